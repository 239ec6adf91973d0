"""Twenty minutes of espeak-ng's speech, heard by the demo's Whisper: all of it, once, in order; and
four hours in as much memory."""

from __future__ import annotations

import difflib
import os
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pysubs2
import pytest
from benchmarks.bench_speech import DEMO, GOAL_MEMORY, OURS, run
from support.media import needs_speech, write_media
from whisper_model.grammar import sentences
from whisper_model.speech import speak_sentences

from tasks.extract import Extracted, extract
from tasks.land.subtitles import write_srt
from tasks.settings import Settings

pytestmark = [needs_speech, pytest.mark.slow]

MINUTES = 20
IN_TIME = 0.98  # of the sentences that are heard word for word
LOST = 0.01  # sentences: the demo's model may take one for another that resembles it
LEAST = 0.5  # of a sentence's words, that it is found by: the model mishears some
N = 288


@pytest.fixture(scope="module")
def lecture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[float]]:
    """Return a recording, its sentences, and when each begins."""
    said = sentences(N, seed=20)
    samples, words = speak_sentences(said)
    path = write_media(tmp_path_factory.mktemp("lecture") / "lecture.mp3", samples)
    return path, said, [each[0].start for each in words]


@pytest.fixture(scope="module")
def heard(
    lecture: tuple[Path, list[str], list[float]], tmp_path_factory: pytest.TempPathFactory
) -> Extracted:
    home = tmp_path_factory.mktemp("home")
    return extract(str(lecture[0]), Settings(home=home, speech_model="demo"))


def plain(text: str) -> list[str]:
    return text.lower().replace(".", "").split()


def test_every_sentence_is_there_once_in_order(
    lecture: tuple[Path, list[str], list[float]], heard: Extracted
) -> None:
    """By its words: of each, most are found in their place, and hardly anything stands between."""
    _, said, starts = lecture
    assert (heard.source.status, heard.source.transcription) == ("ok", "speech")
    assert heard.source.duration_s == pytest.approx(MINUTES * 60, rel=0.1)
    spoken = [(word, n) for n, text in enumerate(said) for word in plain(text)]
    found = [(word, at.start_s) for at in heard.words for word in plain(at.word)]
    matcher = difflib.SequenceMatcher(None, [w for w, _ in spoken], [w for w, _ in found], False)
    matched = [0] * len(said)
    first: dict[int, float] = {}
    for block in matcher.get_matching_blocks():
        for k in range(block.size):
            n = spoken[block.a + k][1]
            matched[n] += 1
            first.setdefault(n, found[block.b + k][1])
    errors = max(len(spoken), len(found)) - sum(matched)
    lost = [text for n, text in enumerate(said) if matched[n] < LEAST * len(plain(text))]

    assert errors < 0.15 * len(spoken)
    assert len(lost) <= LOST * len(said), lost
    assert len(found) == pytest.approx(len(spoken), rel=0.05)
    assert len(heard.segments) == pytest.approx(len(said), rel=0.05)
    late = sorted(abs(first[n] - starts[n]) for n in first if matched[n] == len(plain(said[n])))
    assert len(late) > 0.8 * len(said)
    assert late[int(IN_TIME * len(late))] < 0.5


def test_its_cues_are_readable_and_round_trip(heard: Extracted, tmp_path: Path) -> None:
    """Through two other parsers; each word is shown once."""
    path = tmp_path / "lecture.srt"
    path.write_bytes(write_srt(heard.cues))
    times = [(each.start_ms, each.end_ms) for each in heard.cues]

    assert [(each.start, each.end) for each in pysubs2.load(str(path))] == times
    with av.open(str(path)) as container:
        assert len([each for each in container.demux() if each.size]) == len(times)
    assert all(a < b <= c for (a, b), (c, _) in pairwise(times))
    shown = " ".join(each.text.replace("\n", " ") for each in heard.cues).split()
    assert shown == [each.word for each in heard.words]
    lines = [line for each in heard.cues for line in each.text.splitlines()]
    assert max(map(len, lines)) <= 42
    assert all(len(each.text.splitlines()) <= 2 for each in heard.cues)


@pytest.mark.soak
@pytest.mark.skipif(not os.environ.get("LECTERN_SOAK"), reason="takes ten minutes: make soak")
def test_four_hours_take_as_much_memory_as_twenty_minutes(tmp_path: Path) -> None:
    samples, _ = speak_sentences(sentences(N, seed=21))
    short = write_media(tmp_path / "short.mp3", samples)
    long = write_media(tmp_path / "long.mp3", np.tile(samples, 12))
    before = run(OURS, short, DEMO, tmp_path / "a").memory
    after = run(OURS, long, DEMO, tmp_path / "b").memory

    assert after <= GOAL_MEMORY * before
