"""What is asked of the process that fetches, what it answers, and which captions are chosen.

Shared by both sides; reads and writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tasks.media.sidecars import language_of
from tasks.records import CaptionsMode, Chapter

FailureKind = Literal["source", "no_media", "storage"]
_NO_CAPTIONS = frozenset({"live_chat", "danmaku", "comments", "rechat"})  # that yt-dlp lists too
_UNNAMED = ("", "und")
_ORIGINAL = "-orig"  # how YouTube marks automatic captions that are no machine translation


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """What the parent asks for.

    Attributes:
        task: fetch: what one URL leads to; entries: the URLs that it lists.
        answers: the descriptor for lines of JSON, each a `Told`.
        folder: for what is fetched; what an earlier run left there is continued.
        languages: that are spoken, as the user says; the best first.
        cookies: the path of a cookies.txt, or "". proxy: its URL, or "".
    """

    task: Literal["fetch", "entries"]
    url: str
    folder: str
    mode: CaptionsMode = "prefer"
    languages: list[str] = field(default_factory=list)
    max_mb: int
    max_hours: float
    playlist_max: int
    proxy: str = ""
    cookies: str = ""
    js_runtime: str = "none"
    allow_private: bool = False
    answers: int = -1


@dataclass(frozen=True, kw_only=True)
class Offered:
    """Captions that a page offers.

    Attributes:
        language: its tag or label for them, "" where it has none.
        is_lost: they can't be had, or read; what they are in still tells of the others.
    """

    language: str
    is_automatic: bool = False
    is_lost: bool = False


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What of a page is fetched: captions, or else the media."""

    captions: Offered | None = None

    @property
    def media(self) -> bool:
        return self.captions is None


@dataclass(frozen=True, kw_only=True)
class CaptionsMade:
    """Captions in the request's folder."""

    file: str
    offered: Offered


@dataclass(frozen=True, kw_only=True)
class MediaMade:
    """The media in the request's folder; content is its hex sha256."""

    file: str
    suffix: str
    content: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of it; times are seconds.

    Attributes:
        entries: of the task of that name. n_beyond: how many more the list has than are allowed.
    """

    title: str = ""
    duration_s: float | None = None
    language: str = ""
    chapters: tuple[Chapter, ...] = ()
    offered: tuple[Offered, ...] = ()
    captions: CaptionsMade | None = None
    media: MediaMade | None = None
    entries: tuple[str, ...] = ()
    n_beyond: int = 0


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why nothing came of it."""

    kind: FailureKind = "source"
    problem: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Told:
    """One line of what the process tells: how far it is (bytes), or how it ended."""

    name: str = ""
    done: int = 0
    total: int = 0
    answer: Answer | None = None
    failure: Failure | None = None


def choose(
    mode: CaptionsMode, offered: Iterable[Offered], language: str, languages: Sequence[str]
) -> Choice | None:
    """Return what to fetch; None where only captions are wanted and there are none.

    With `prefer` it is what people wrote down in the language that is spoken: a translation is no
    transcript, and is taken only where nothing tells that it is one.

    Args:
        language: the video's own, "" where it is not known.
        languages: that the user names, the best first; they count more.
    """
    if mode == "ignore":
        return Choice()
    offers = [each for each in offered if each.language not in _NO_CAPTIONS]
    people = [each for each in offers if not each.is_automatic]
    automatic = [each for each in offers if each.is_automatic]
    own = language if language_of_tag(language) else _original(automatic)
    spoken = [*filter(None, languages)] or [own]
    if mode == "prefer":
        return Choice(captions=_transcript(people, spoken))
    wanted = [*spoken, own]
    best = _best(_had(people), wanted) or _best(_had(automatic), wanted)
    return Choice(captions=best) if best else None


def language_of_tag(tag: str) -> str:
    """Return the ISO 639-1 code of a site's tag (en-US, eng, English, en-nP7-2PuUl7o), or ""."""
    return language_of(tag) or language_of(re.split(r"[-_(]", tag, maxsplit=1)[0])


def _had(offers: Sequence[Offered]) -> list[Offered]:
    return [each for each in offers if not each.is_lost]


def _original(automatic: Sequence[Offered]) -> str:
    """Return the tag of what a site has recognised by itself; "" where it does not mark it."""
    return next((each.language for each in automatic if each.language.endswith(_ORIGINAL)), "")


def _transcript(people: Sequence[Offered], spoken: Sequence[str]) -> Offered | None:
    """Return what is most likely a transcript; None where most likely nothing is."""
    if any(language_of_tag(tag) for tag in spoken):
        unnamed = (each for each in _had(people) if each.language in _UNNAMED)
        return _in_language(_had(people), spoken) or next(unnamed, None)
    if len({language_of_tag(each.language) or each.language for each in people}) == 1:
        return next(iter(_had(people)), None)
    return _in_language(_had(people), ["en"])


def _best(offers: Sequence[Offered], wanted: Sequence[str]) -> Offered | None:
    return _in_language(offers, [*wanted, "en"]) or next(iter(offers), None)


def _in_language(offers: Sequence[Offered], wanted: Sequence[str]) -> Offered | None:
    """Return captions in the first of these languages that there are; of its own tag, if there."""
    for tag in wanted:
        if code := language_of_tag(tag):
            alike = [each for each in offers if language_of_tag(each.language) == code]
            same = (each for each in alike if each.language.lower() == tag.lower())
            if found := next(same, next(iter(alike), None)):
                return found
    return None
