"""The flows from lectures to summaries, translations and transcripts, with Prefect's server and a
scripted model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import polars as pl
import pysubs2
import pytest
from rich.cells import cell_len
from support.cues import cues_of, srt
from support.flow_runs import summarize_video, transcribe, translate_video
from support.lecture_site import LectureSite, feed, lecture_site, page, track
from support.media import (
    empty,
    music,
    silence,
    text_as_media,
    truncated,
    without_audio,
    write_media,
)
from support.rule_translation import translate as by_rule
from support.scripted_server import ScriptedServer
from whisper_model.grammar import sentences
from whisper_model.speech import speak_sentences

from flows.rounds import Outcome
from tasks.settings import settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

LENGTH_S = 600


@pytest.fixture
def server(config: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        monkeypatch.setenv("LECTERN_POOL_URL", server.url)
        monkeypatch.setenv("LECTERN_SPEECH_MODEL", "demo")
        settings.cache_clear()
        yield server


def rows(table: str) -> pl.DataFrame:
    return pl.read_parquet(settings().results / table / "*.parquet")


def spoken(n: int = 90) -> list[str]:
    return sentences(n, seed=6)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with captions beside it."""
    folder = tmp_path_factory.mktemp("talk")
    write_media(folder / "talk.flac", silence(LENGTH_S), title="On bridges")
    (folder / "talk.en.srt").write_text(srt(cues_of(spoken(), LENGTH_S)))
    return folder / "talk.flac"


def times_of(path: Path) -> list[tuple[int, int]]:
    return [(each.start, each.end) for each in pysubs2.load(str(path))]


def times_by_ffmpeg(path: Path) -> list[tuple[int, int]]:
    """Return the times of subtitles as another parser than pysubs2 has them."""
    with av.open(str(path)) as container:
        return [
            (int(packet.pts * packet.time_base * 1000 + 0.5),
             int((packet.pts + packet.duration) * packet.time_base * 1000 + 0.5))
            for packet in container.demux()
            if packet.pts is not None and packet.time_base and packet.size
        ]  # fmt: skip


def files_of(outcome: Outcome) -> dict[str, Path]:
    assert outcome.document is not None
    return {Path(path).name: Path(path) for path in outcome.document.paths}


def test_captions_become_sentences_in_order_each_once(server: ScriptedServer, talk: Path) -> None:
    """Across the borders of cues; the transcript's subtitles are the captions' own."""
    state, outcomes = transcribe(talk)

    assert state.name == "Completed"
    segments = rows("segments").sort("n")
    assert segments["text"].to_list() == spoken()
    assert segments["start_s"].is_sorted()
    [source] = rows("sources").iter_rows(named=True)
    assert (source["kind"], source["transcription"], source["language"]) == (
        "audio",
        "captions",
        "en",
    )
    assert source["duration_s"] == pytest.approx(LENGTH_S, abs=0.1)
    files = files_of(outcomes[talk.name])
    expected = [(start, end) for start, end, _ in cues_of(spoken(), LENGTH_S)]
    for name in ("transcript.srt", "transcript.vtt"):
        assert times_of(files[name]) == times_by_ffmpeg(files[name]) == expected
    page = files["transcript.md"].read_text()
    at = 0
    for sentence in spoken():
        at = page.index(sentence, at) + len(sentence)
    words = rows("words")
    assert words.height == len(" ".join(spoken()).split())
    assert server.log == []


def test_a_translated_lecture_keeps_each_cue_at_its_time(
    server: ScriptedServer, talk: Path, tiny_model: Path
) -> None:
    """Each sentence by the rule, and laid back on the cues, none of which is empty."""
    state, outcomes = translate_video(tiny_model, talk)

    assert state.name == "Completed"
    lines = rows("lines").sort("n")
    assert [by_rule(each) for each in spoken()] == lines["text"].to_list()
    files = files_of(outcomes[talk.name])
    cues = cues_of(spoken(), LENGTH_S)
    for name in ("translation.srt", "translation.vtt", "bilingual.srt", "bilingual.vtt"):
        assert times_of(files[name]) == [(start, end) for start, end, _ in cues]
        assert times_by_ffmpeg(files[name]) == times_of(files[name])
    shown = [each.plaintext for each in pysubs2.load(str(files["translation.srt"]))]
    assert all(shown)
    whole = "".join("".join(by_rule(each).split()) for each in spoken())
    assert "".join("".join(each.split()) for each in shown) == whole
    assert all(cell_len(row) <= 40 for each in shown for row in each.splitlines())


def test_formats_and_the_place_beside_the_source_can_be_chosen(
    server: ScriptedServer, talk: Path, tiny_model: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(talk.parent, own)
    _, outcomes = translate_video(
        tiny_model, own / talk.name, formats=["srt", "md"], output="target", beside=True
    )

    names = {path.name for path in files_of(outcomes[talk.name]).values()}
    assert names == {"translation.srt", "translation.md", "talk.zh.srt", "talk.zh.md"}
    asked = len(server.log)
    _, outcomes = translate_video(tiny_model, own / talk.name, beside=True)  # not of its own files
    assert len(server.log) == asked
    assert {"talk.zh.srt", "talk.zh.vtt", "talk.zh.html"} <= {p.name for p in own.iterdir()}
    assert transcribe(own)[1].keys() == {talk.name}


def test_a_lecture_is_summarised_by_chapters_with_links_to_their_times(
    server: ScriptedServer, talk: Path, tiny_model: Path
) -> None:
    """The model names numbers of lines; the times are looked up."""
    state, outcomes = summarize_video(tiny_model, talk, language="en")

    assert state.name == "Completed"
    [document] = rows("documents").iter_rows(named=True)
    headings = [section["heading"] for section in document["sections"]]
    assert len(headings) >= 2
    assert "The beginning" in headings
    starts = [section["start_s"] for section in document["sections"]]
    assert starts == sorted(starts)
    segment_starts = rows("segments")["start_s"].to_list()
    assert set(starts[1:]) <= set(segment_starts)
    assert all(
        citation["start_s"] in segment_starts
        for section in document["sections"]
        for bullet in section["bullets"]
        for citation in bullet["citations"]
    )
    page = files_of(outcomes[talk.name])["summary.html"].read_text()
    assert f"{talk.as_uri()}#t={int(starts[1])}" in page
    assert rows("generations").filter(task="chapters").height >= 1
    asked = len(server.log)
    summarize_video(tiny_model, talk, language="en")
    assert len(server.log) == asked


def test_chapters_of_its_own_are_kept(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """The model is not asked for any."""
    path = tmp_path / "own.mkv"
    chapters = ((0.0, "Opening"), (200.0, "Bridges"), (400.0, "Closing"))
    text = srt(cues_of(spoken(), LENGTH_S))
    write_media(path, silence(LENGTH_S), chapters=chapters, subtitles=text, subtitle_language="eng")
    _, outcomes = summarize_video(tiny_model, path)

    document = outcomes[path.name].document
    assert document is not None
    assert [(each.heading, each.start_s) for each in document.sections] == [
        (title, start) for start, title in chapters
    ]
    assert rows("generations").filter(task="chapters").is_empty()


def test_bad_sources_get_a_line_and_a_row_and_the_others_go_on(
    server: ScriptedServer, talk: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """Seven good ones, and every kind of bad one."""
    folder = tmp_path / "course"
    folder.mkdir()
    for n in range(7):
        said = sentences(12, seed=n)
        write_media(folder / f"good {n}.ogg", silence(60 + n))
        (folder / f"good {n}.vtt").write_text(
            "WEBVTT\n\n" + srt(cues_of(said, 60)).replace(",", ".")
        )
    bad = {
        empty(folder / "nothing.mp4"): "is empty",
        text_as_media(folder / "letter.mp4"): "",
        without_audio(folder / "mute.mp4"): "sound",
        write_media(folder / "silent.flac", silence(20)): "no speech was found in it",
        write_media(folder / "tune.flac", music(20)): "no speech was found in it",
    }
    cut = write_media(folder / "whole.mp4", silence(60))
    bad[truncated(cut)] = ""
    missing = folder / "gone.mp3"
    bad[missing] = "does not exist"
    state, outcomes = summarize_video(tiny_model, folder, missing)

    assert state.name == "Completed with warnings"
    failed = {name: each for name, each in outcomes.items() if each.failed}
    assert failed.keys() == {path.name for path in bad}
    sources = rows("sources")
    for path, problem in bad.items():
        error = failed[path.name].error
        assert problem in error, error
        assert error.startswith(str(path)), error
        assert "\n" not in error
        [row] = sources.filter(uri=str(path)).iter_rows(named=True)
        assert (row["status"], row["error"]) == ("failed", error)
    assert len(outcomes) - len(failed) == 7


def test_a_playlist_is_each_of_its_videos_and_works_without_the_network_later(
    server: ScriptedServer, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten sources: what is gone, plays nothing or leads elsewhere has a line and a row; the others
    are made, and what was fetched is used when nobody answers any more."""
    monkeypatch.setenv("LECTERN_ALLOW_PRIVATE_ADDRESSES", "true")
    settings.cache_clear()
    with lecture_site() as site:
        good = [talk_page(site, n) for n in range(7)]
        bad = {
            site.url("/gone.html"): "404",
            site.put("/words.html", page()): "nothing that can be played",
            site.redirect("/away.html", "ftp://example.org/talk.mp4"): "leads to ftp:",
        }
        links = "".join(
            f"{'</item><item>' if n else ''}<guid>{n}</guid><link>{url}</link>"
            for n, url in enumerate([*good, *bad])
        )
        course = site.put("/course.xml", feed([links]), "application/rss+xml")
        state, outcomes = summarize_video(tiny_model, course)
        asked = len(server.log)

    assert state.name == "Completed with warnings"
    assert len(outcomes) == 10
    failed = {each.uri: each.error for each in outcomes.values() if each.failed}
    assert failed.keys() == bad.keys()
    sources = rows("sources")
    for url, problem in bad.items():
        assert failed[url].startswith(url)
        assert problem in failed[url]
        [row] = sources.filter(uri=url).iter_rows(named=True)
        assert (row["status"], row["error"]) == ("failed", failed[url])
    state, outcomes = summarize_video(tiny_model, course)  # nobody is there
    assert {each.uri for each in outcomes.values() if not each.failed} == set(good)
    assert len(server.log) == asked


def talk_page(site: LectureSite, n: int) -> str:
    """Put a video with captions on the site; nobody needs to fetch more than these."""
    text = srt(cues_of(sentences(12, seed=n), 60))
    captions = site.put(f"/{n}.vtt", f"WEBVTT\n\n{text.replace(',', '.')}", "text/vtt")
    video = site.put(f"/{n}.mp4", b"never fetched", "video/mp4")
    return site.put(f"/talk-{n}.html", page(video, track(captions, "en"), f"Talk {n}"))


def test_a_page_that_plays_nothing_is_a_document_for_the_command(
    server: ScriptedServer, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LECTERN_ALLOW_PRIVATE_ADDRESSES", "true")
    settings.cache_clear()
    words = f"<p>{' '.join(spoken(12))}</p>"
    with lecture_site() as site:
        url = site.put("/essay.html", f"<!doctype html><title>An essay</title><body>{words}")
        state, outcomes = summarize_video(tiny_model, url, urls="any")

    assert state.name == "Completed"
    assert rows("sources")["kind"].to_list() == ["html"]
    assert outcomes["essay.html"].document is not None


def test_addresses_of_this_network_are_refused(server: ScriptedServer, tiny_model: Path) -> None:
    """The line says what would allow them."""
    with lecture_site() as site:
        url = site.put("/talk.mp3", b"ID3", "audio/mpeg")
        state, outcomes = summarize_video(tiny_model, url)

    assert state.is_failed()
    assert "LECTERN_ALLOW_PRIVATE_ADDRESSES" in outcomes["talk.mp3"].error


def test_of_a_folder_only_what_is_played_is_transcribed(
    server: ScriptedServer, talk: Path, tmp_path: Path
) -> None:
    """A document that is named is refused, with what to do."""
    own = tmp_path / "own"
    shutil.copytree(talk.parent, own)
    (own / "notes.md").write_text("# Notes\n\nOf that lecture.\n")

    assert transcribe(own)[1].keys() == {talk.name}
    _, outcomes = transcribe(own / "notes.md")
    assert "lectern summarize" in outcomes["notes.md"].error


def test_captions_that_cannot_be_read_are_no_reason_to_lose_a_recording(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """Its speech is recognised; where captions alone are wanted, the line names their file."""
    samples, _ = speak_sentences(spoken(3))
    path = write_media(tmp_path / "talk.ogg", samples)
    (tmp_path / "talk.srt").write_text("not a caption")
    _, outcomes = transcribe(path)

    source = outcomes[path.name].source
    assert source is not None
    assert source.transcription == "speech"
    _, outcomes = transcribe(path, captions="only")
    assert "talk.srt" in outcomes[path.name].error


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_at_once(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "talk.mp4"
    os.mkfifo(pipe)
    state, outcomes = summarize_video(tiny_model, pipe)

    assert state.is_failed()
    assert "is not a file" in outcomes[pipe.name].error
