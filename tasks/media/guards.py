"""What a recogniser of speech may have made up: marked, never removed.

Owns the marks and when they are set. Thresholds of probability and compression are those by which
Whisper itself rejects what it heard (openai/whisper, transcribe.py). Pure.

The marks:
    no_speech: the model itself doubts that anyone speaks; or a line that recognisers are known to
        hear in silence, where there is hardly a sound.
    over_silence: its time lies mostly where no speech is.
    gap: before it, or within its time, somebody speaks for seconds of whom there is no word.
    repetition: the same words again and again.
    compression: the text around it repeats itself so much that it packs well.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tasks.media.transcript import TimedWord

NO_SPEECH_PROB, AVG_LOGPROB, COMPRESSION_RATIO = 0.6, -1.0, 2.4
_UNSURE_LOGPROB, _UNSURE_NO_SPEECH, _UNSURE_WORDS = -0.7, 0.3, 0.4
# How often so many words in a row must come to be a loop: "no, no, no" and "very, very" are said.
_LEAST_TIMES = {1: 6, 2: 4}
_ELSE_TIMES = 3
_LONGEST_LOOP = 40  # words: a long sentence
_ENDS = re.compile(r"[.!?。！？…]+[\"'”’」』)）]*$")

# Heard in silence and music, since subtitles that models learnt from end with them.
_KNOWN = (
    r"(thank you|thanks)( (so|very) much)? for (watching|listening|your attention)( .*)?",
    r"(please )?(like and )?subscribe( to (my|our|the) channel)?( .*)?",
    r"(don t|do not) forget to (like|subscribe)( .*)?",
    r"see you (in the )?next (video|time)( .*)?",
    r"subtitles by (the )?amara ?org( community)?",
    r"(subtitles|captions|transcription|transcribed|translated)( \w+)? by .{1,60}",
    r"字幕由.{1,20}(提供|制作)", r"(中文)?字幕(志愿者|組|组|製作|制作|校对|校對).{0,20}",
    r"请不吝点赞.{0,20}", r"請不吝點贊.{0,20}", r".{0,10}(点赞|點贊).{0,4}(订阅|訂閱).{0,12}",
    r"(感谢|感謝|谢谢|謝謝)(大家|您|你)?(的)?(观看|觀看|收看|收听|收聽)", r"明镜与点点栏目",
    r"ご(視聴|清聴)(いただき)?ありがとうございま(す|した)", r"チャンネル登録.{0,20}",
    r"시청해 ?주셔서 감사합니다", r"sous titr\w+ .{0,60}", r"untertitel( \w+)* von .{0,60}",
    r"untertitel im auftrag des zdf.{0,40}", r"(субтитры|редактор субтитров) .{0,60}",
    r"продолжение следует", r"gracias por ver( el video)?", r"subtítulos .{0,60}",
)  # fmt: skip
_KNOWN_LINE = re.compile("|".join(_KNOWN))


class Timed(Protocol):
    """A word, in the recording or in a window of it."""

    @property
    def text(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


@dataclass(frozen=True)
class HeardWindow:
    """What a model heard in a stretch of speech of half a minute at most.

    Attributes:
        avg_logprob: of its tokens; no_speech_prob: that nobody speaks; compression_ratio: of its
            text to that packed by zlib. All as the model's program has them.
    """

    words: tuple[TimedWord, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float


def marked(windows: Sequence[HeardWindow]) -> tuple[TimedWord, ...]:
    """Return all words in their order, each with its marks."""
    words = [word for window in windows for word in window.words]
    owners = [window for window in windows for _ in window.words]
    marks = [set(word.marks) for word in words]
    for found, owner in zip(marks, owners, strict=True):
        found.update(window_marks(owner))
    for start, end in loops(words):
        for found in marks[start:end]:
            found.add("repetition")
    for start, end in lines(words):
        if is_known_line(words[start:end]) and _is_unsure(words[start:end], owners[start]):
            for found in marks[start:end]:
                found.add("no_speech")
    return tuple(
        replace(word, marks=tuple(sorted(found))) for word, found in zip(words, marks, strict=True)
    )


def window_marks(window: HeardWindow) -> set[str]:
    """Return the marks that all words of a window get."""
    found = set()
    if window.no_speech_prob > NO_SPEECH_PROB and window.avg_logprob < AVG_LOGPROB:
        found.add("no_speech")
    if window.compression_ratio > COMPRESSION_RATIO:
        found.add("compression")
    return found


def is_over_silence(start_s: float, end_s: float, speech_s: float) -> bool:
    """Tell whether a word is mostly after the speech in which it was heard.

    Args:
        start_s, end_s: from the beginning of a window; speech_s: how long that is.
    """
    return (start_s + end_s) / 2 >= speech_s


def loops(words: Sequence[Timed]) -> Iterator[tuple[int, int]]:
    """Yield where the same words, or the same line, come again and again: first and end."""
    bare = [_bare(word.text) for word in words]
    for length in range(1, _LONGEST_LOOP + 1):
        start = 0
        same = 0  # words in a row that are those of one turn before
        for i in range(length, len(bare) + 1):
            if i < len(bare) and bare[i] == bare[i - length]:
                start = start if same else i - length
                same += 1
                continue
            times = same // length + 1
            if same and times >= _LEAST_TIMES.get(length, _ELSE_TIMES):
                yield start, i
            same = 0


def looped(words: Sequence[Timed]) -> Iterator[tuple[float, float]]:
    """Yield from when to when the same words come again and again."""
    for start, end in loops(words):
        yield words[start].start_s, words[end - 1].end_s


def lines(words: Sequence[TimedWord]) -> Iterator[tuple[int, int]]:
    """Yield the sentences among words, as their marks or a pause end them: first and end."""
    start = 0
    for i, word in enumerate(words):
        following = words[i + 1] if i + 1 < len(words) else None
        if following is None or _ENDS.search(word.text) or following.start_s - word.end_s > 1:
            yield start, i + 1
            start = i + 1


def is_known_line(words: Sequence[TimedWord]) -> bool:
    """Tell whether a sentence is one that recognisers are known to hear where nobody speaks."""
    text = "".join(f" {word.text}" if word.is_spaced else word.text for word in words)
    return _KNOWN_LINE.fullmatch(_bare(text)) is not None


def _is_unsure(words: Sequence[TimedWord], window: HeardWindow) -> bool:
    """Tell whether there is reason to doubt a line besides what it says."""
    told = [word.probability for word in words if word.probability is not None]
    return (
        window.avg_logprob < _UNSURE_LOGPROB
        or window.no_speech_prob > _UNSURE_NO_SPEECH
        or any("over_silence" in word.marks for word in words)
        or (bool(told) and sum(told) / len(told) < _UNSURE_WORDS)
    )


def _bare(text: str) -> str:
    """Return a text without punctuation and capitals: letters and digits, single spaces."""
    kept = (c if unicodedata.category(c)[0] in "LNM" else " " for c in text.casefold())
    return " ".join("".join(kept).split())
