"""Translated subtitles: a translation laid on the cues of its source, and subtitle files.

Owns how a sentence is shared among its cues, and the two formats. Times are the source's, always.

The files are written here and not by pysubs2, which takes braces and backslashes for styling (what
a lecture says of LaTeX would go missing), writes "&" and "<" into WebVTT as they are, and sorts.
The formats: https://www.w3.org/TR/webvtt1/; SubRip has none but habit.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate, pairwise

from tasks.media.breaking import Piece, gap, join, pieces, reluctance, width
from tasks.media.cueing import wrap
from tasks.media.turns import names_in, turns_of
from tasks.records import Cue, Word

_DRIFT = 3.0  # what it costs to cut an average part's width off the right place, squared
_TINY_SHARE, _TINY_COLUMNS = 0.25, 8  # of a sentence in a cue that shows more of another
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_JOINER = "\u2060"  # as FFmpeg has it, where a character must not be taken for markup
# What players take for styling in SubRip, which has no escapes: tags, ASS's braces and breaks.
# Two times in a line are a cue's for some readers, whatever else is there.
_SRT_MARKUP = re.compile(
    r"<(?=\s*[a-z/!?])|\{(?=\\)|\\(?=[nh{}])|--(?=>)|(?<=:\d\d)(?=[.,]\d)|&(?=#?\w{1,31};)",
    re.IGNORECASE,
)


def translated_cues(
    cues: Sequence[Cue], words: Sequence[Word], lines: Mapping[int, str], language: str
) -> tuple[Cue, ...]:
    """Return the source's cues with the translation of what each shows.

    None is lost, merged, moved or empty. A sentence is shared among its cues as its source's
    characters are, and cut at good places near there; one with fewer pieces than cues is repeated
    in each. What is too long for two lines has more of them: the time is the source's. The signs
    of speakers ("- ", "ANNA:") stay. A cue without words keeps its text, and so does a sentence
    without a translation.

    Args:
        lines: the translations, by the segments' numbers.
        language: of the translation.
    """
    shown: dict[int, list[Word]] = defaultdict(list)
    for word in words:
        shown[word.cue].append(word)
    names = names_in(cue.text for cue in cues)
    heads = {cue.cue: _heads(cue, shown[cue.cue], names) for cue in cues}
    parts = _parts(shown, heads, lines)
    return tuple(
        replace(cue, text=_text(parts[cue.cue], heads[cue.cue], language) or cue.text)
        for cue in cues
    )


def bilingual(source: Sequence[Cue], target: Sequence[Cue]) -> tuple[Cue, ...]:
    """Return cues that show both languages: the translation above, the source below.

    That is the habit of Chinese subtitles: what its reader looks for comes first, and stays at its
    place however many lines the source has. What is the same in both is shown once.
    """
    return tuple(
        b if a.text.split() == b.text.split() else replace(b, text=f"{b.text}\n{a.text}")
        for a, b in zip(source, target, strict=True)
    )


def write_srt(cues: Sequence[Cue]) -> bytes:
    """Return cues as SubRip, UTF-8.

    What players would take for markup is kept from it by an invisible character (U+2060).
    """
    return _written("", cues, ",", _srt_escaped, voices=False)


def write_vtt(cues: Sequence[Cue]) -> bytes:
    """Return cues as WebVTT; a speaker whom the text does not name is its voice."""
    return _written("WEBVTT", cues, ".", partial(html.escape, quote=False), voices=True)


def _srt_escaped(line: str) -> str:
    return _SRT_MARKUP.sub(rf"\g<0>{_JOINER}", line)


def _heads(cue: Cue, words: Sequence[Word], names: Container[str]) -> dict[int, str]:
    """Return the signs of speakers in a cue, by the segments that they stand before."""
    turns = turns_of(cue.text, names)
    counts = [len(pieces(turn.text)) for turn in turns]
    if sum(counts) != len(words):  # not the words of this text: the signs are words themselves
        return {}
    begins = accumulate(counts, initial=0)
    return {
        words[begin].n: turn.head
        for turn, begin, count in zip(turns, begins, counts, strict=False)
        if turn.head and count
    }


def _parts(
    shown: Mapping[int, Sequence[Word]],
    heads: Mapping[int, Mapping[int, str]],
    lines: Mapping[int, str],
) -> Mapping[int, Mapping[int, str]]:
    """Return what each cue shows of each segment's translation, in the order of the segments."""
    sources: dict[int, dict[int, str]] = defaultdict(dict)  # text by segment and cue
    for cue, words in shown.items():
        for n in dict.fromkeys(word.n for word in words):
            of_it = [Piece(word.word, word.is_spaced) for word in words if word.n == n]
            sources[n][cue] = join(of_it)
    most = {
        cue: max(width(sources[n][cue]) for n in {word.n for word in words})
        for cue, words in shown.items()
        if words
    }
    parts: dict[int, dict[int, str]] = defaultdict(dict)
    for n in sorted(sources):
        text = " ".join(lines.get(n, "").split())
        source = _without_tiny(n, sources[n], width(text), most, heads)
        sizes = [width(part) for part in source.values()]
        shares = _shared(text, sizes) if text else list(source.values())
        for cue, share in zip(source, shares, strict=True):
            parts[cue][n] = share
    return parts


def _without_tiny(
    n: int,
    source: Mapping[int, str],
    columns: int,
    most: Mapping[int, int],
    heads: Mapping[int, Mapping[int, str]],
) -> Mapping[int, str]:
    """Return the cues that are to show a segment: not one with the odd word of it at either end,
    where another segment fills that cue.

    Args:
        columns: of its translation.
    """
    total = sum(map(width, source.values()))

    def is_tiny(cue: int) -> bool:
        size = width(source[cue])
        return (
            size <= _TINY_SHARE * total
            and size * columns < _TINY_COLUMNS * total
            and size < most[cue]
            and n not in heads.get(cue, {})
        )

    ends = {min(source), max(source)}
    return {cue: text for cue, text in source.items() if cue not in ends or not is_tiny(cue)}


def _shared(text: str, sizes: Sequence[int]) -> list[str]:
    """Cut a text into parts as large as others are, at good places near there.

    Exact, by dynamic programming: the costs of a border depend on its place alone.
    """
    found = pieces(text)
    if len(found) < len(sizes):
        return [text] * len(sizes)
    lengths = (width(piece.text) + piece.is_spaced for piece in found)
    ends = list(accumulate(lengths))
    scale = ends[-1] / max(1, sum(sizes))
    bad = [reluctance(a.text, b.text, is_spaced=b.is_spaced) for a, b in pairwise(found)]
    average = ends[-1] / len(sizes)
    goals = [scale * size for size in accumulate(sizes[:-1])]
    borders = _best_borders(goals, ends, bad, average)
    return [join(found[a:b]) for a, b in pairwise([0, *borders, len(found)])]


def _best_borders(
    goals: Sequence[float], ends: Sequence[int], bad: Sequence[float], average: float
) -> list[int]:
    """Return the borders nearest to the goals, each after the one before.

    Args:
        ends: where each piece ends; bad: how bad a border after each but the last is.
    """
    costs = [0.0] + [float("inf")] * len(bad)  # of the borders so far, the last one there
    chosen: list[list[int]] = []
    for goal in goals:
        best, best_at = float("inf"), 0
        following, origins = [float("inf")], [0]
        for border in range(1, len(ends)):
            if costs[border - 1] < best:
                best, best_at = costs[border - 1], border - 1
            drift = (ends[border - 1] - goal) / average
            following.append(best + _DRIFT * drift * drift + bad[border - 1])
            origins.append(best_at)
        costs = following
        chosen.append(origins)
    at = min(range(len(costs)), key=costs.__getitem__)
    borders: list[int] = []
    for origins in reversed(chosen):
        borders.append(at)
        at = origins[at]
    return borders[::-1]


def _text(parts: Mapping[int, str], heads: Mapping[int, str], language: str) -> str:
    """Return a cue's text: a turn begins a line, all else goes on."""
    turns: list[str] = []
    for n, part in parts.items():
        if n in heads:
            turns.append(f"{heads[n]} {part}")
        elif turns:
            turns[-1] += gap(turns[-1], part) + part
        else:
            turns.append(part)
    return "\n".join(wrap(turn, language) for turn in turns)


def _written(
    header: str, cues: Sequence[Cue], point: str, escaped: Callable[[str], str], *, voices: bool
) -> bytes:
    blocks = [header] if header else []
    for number, cue in enumerate(cues, start=1):
        lines = [escaped(line) for line in _lines(cue.text)]
        if voices and cue.speaker and not any(turn.speaker for turn in turns_of(cue.text)):
            lines[:1] = [
                f"<v {' '.join(escaped(cue.speaker).split())}>{line}" for line in lines[:1]
            ]
        times = f"{_time(cue.start_ms, point)} --> {_time(cue.end_ms, point)}"
        blocks.append("\n".join([str(number), times, *lines]))
    # A lone surrogate can't be written to any file.
    return "".join(f"{block}\n\n" for block in blocks).encode("utf-8", "replace")


def _lines(text: str) -> Iterator[str]:
    """The lines of a cue; an empty one would end it."""
    return (line.strip() for line in _CONTROLS.sub("", text).splitlines() if line.strip())


def _time(ms: int, point: str) -> str:
    seconds, ms = divmod(max(0, ms), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{ms:03d}"
