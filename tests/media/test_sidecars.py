"""Captions beside a media file: found by their names, chosen by their languages."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tasks.media.sidecars import choose, is_sidecar, language_of, sidecars


def _beside(folder: Path, media: str, *names: str) -> list[tuple[str, str]]:
    for name in (media, *names):
        (folder / name).write_bytes(b"1")
    return [(each.path.name, each.language) for each in sidecars(folder / media)]


@pytest.mark.parametrize(("name", "language"), [
    ("talk.srt", ""),
    ("talk.en.srt", "en"),
    ("talk.zh-Hans.vtt", "zh"),
    ("talk.zh_TW.ass", "zh"),
    ("talk.chs.srt", "zh"),
    ("talk.简体.srt", "zh"),
    ("talk.eng.sdh.srt", "en"),
    ("talk.en.hi.srt", "en"),
    ("talk.hi.srt", "hi"),
    ("talk.en-orig.vtt", "en"),
    ("talk.Deutsch.srt", None),
    ("talk.mp4.en.srt", "en"),
    ("TALK.EN.SRT", "en"),
    ("talk.en.forced.srt", None),
    ("talk.part2.srt", None),
    ("talk.new.srt", None),
    ("talks.srt", None),
    ("talk.en.txt", None),
    ("my talk.srt", None),
])  # fmt: skip
def test_captions_are_known_by_their_names(tmp_path: Path, name: str, language: str | None) -> None:
    """They have the media file's name, and then a language or what else captions are; None: they
    are not its captions, or hold little of what is said."""
    expected = [] if language is None else [(name, language)]

    assert _beside(tmp_path, "talk.mp4", name) == expected


@pytest.mark.parametrize(
    "stem", ["第一讲：树木 (上)", "Lecture 1.2 intro", "talk.en", "été", "[x] a*b"]
)
def test_any_name_will_do(tmp_path: Path, stem: str) -> None:
    found = _beside(tmp_path, f"{stem}.MP4", f"{stem}.zh.SRT", f"{stem}.srt")

    assert sorted(found) == sorted([(f"{stem}.zh.SRT", "zh"), (f"{stem}.srt", "")])
    names = [each.name for each in tmp_path.iterdir()]
    assert all(is_sidecar(Path(name), names) for name, _ in found)


def test_an_accent_written_in_two_characters_is_the_same(tmp_path: Path) -> None:
    """A file that a Mac wrote lies beside one that another system did."""
    name = unicodedata.normalize("NFD", "café.fr.srt")

    assert _beside(tmp_path, unicodedata.normalize("NFC", "café.mkv"), name) == [(name, "fr")]


def test_captions_belong_to_the_longest_name(tmp_path: Path) -> None:
    """talk.en.srt is of talk.en.mp4, where there is one."""
    (tmp_path / "talk.en.mp4").touch()

    assert _beside(tmp_path, "talk.mp4", "talk.en.srt", "talk.srt") == [("talk.srt", "")]
    assert [each.path.name for each in sidecars(tmp_path / "talk.en.mp4")] == ["talk.en.srt"]


def test_plain_captions_come_before_those_for_the_deaf_and_bilingual_ones(tmp_path: Path) -> None:
    found = _beside(
        tmp_path, "talk.mp4", "talk.chs&eng.srt", "talk.en.ass", "talk.en.cc.srt", "talk.en.vtt"
    )

    assert [name for name, _ in found] == [
        "talk.en.vtt", "talk.en.ass", "talk.en.cc.srt", "talk.chs&eng.srt",
    ]  # fmt: skip


def test_what_lectern_wrote_is_no_caption(tmp_path: Path) -> None:
    (tmp_path / "talk.mp4").touch()
    for name in ("talk.zh.srt", "talk.en.srt"):
        (tmp_path / name).touch()

    found = sidecars(tmp_path / "talk.mp4", written={str(tmp_path / "talk.zh.srt")})

    assert [each.path.name for each in found] == ["talk.en.srt"]


def test_a_folder_that_is_not_there_has_no_captions(tmp_path: Path) -> None:
    assert sidecars(tmp_path / "none" / "talk.mp4") == ()


def test_captions_without_their_media_are_a_source_of_their_own() -> None:
    names = ["talk.mp4", "talk.en.srt", "other.srt", "notes.txt", "talk.txt"]

    assert is_sidecar(Path("talk.en.srt"), names)
    assert not is_sidecar(Path("other.srt"), names)
    assert not is_sidecar(Path("talk.mp4"), names)
    assert not is_sidecar(Path("talk.txt"), names)
    assert is_sidecar(Path("talk.en.forced.srt"), names)


@pytest.mark.parametrize(("languages", "wanted", "expected"), [
    (["en", "zh"], "zh", 1),
    (["en", "zh"], "zh-hant", 1),
    (["en", "zh"], "", 0),
    (["zh", "en"], "", 1),
    (["de", "fr"], "", 0),
    (["de"], "ja", 0),
    (["en", "", "de"], "ja", 1),
    (["de", "en"], "ja", 1),
])  # fmt: skip
def test_the_spoken_language_is_chosen_first(
    languages: list[str], wanted: str, expected: int
) -> None:
    assert choose(languages, wanted) == expected


@pytest.mark.parametrize(("tag", "code"), [
    ("eng", "en"), ("chi", "zh"), ("zho", "zh"), ("cmn-Hant", "zh"), ("ger", "de"), ("pt-BR", "pt"),
    ("yue", "zh"), ("fil", "fil"), ("und", ""), ("", ""), ("xx", ""), ("final", ""), ("zxx", ""),
])  # fmt: skip
def test_tags_become_codes(tag: str, code: str) -> None:
    assert language_of(tag) == code
