"""What is asked of the process that fetches, what it answers, and which captions are chosen.

Shared by both sides; reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tasks.records import CaptionsMode, Chapter

FailureKind = Literal["source", "no_media", "storage"]
_NO_CAPTIONS = frozenset({"live_chat", "danmaku", "comments", "rechat"})  # that yt-dlp lists too
_ORIGINAL = "-orig"  # how YouTube marks automatic captions that are no machine translation


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """What the parent asks for.

    Attributes:
        task: fetch: what one URL leads to; entries: the URLs that it lists.
        answers: the descriptor for lines of JSON, each a `Told`.
        folder: for what is fetched; what an earlier run left there is continued.
        languages: of captions, the best first, where the video's own language is not known.
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
    """Captions that a page offers."""

    language: str
    is_automatic: bool = False


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
    """What came of it; times are seconds. entries is of the task of that name."""

    title: str = ""
    duration_s: float | None = None
    language: str = ""
    chapters: tuple[Chapter, ...] = ()
    uploader: str = ""
    webpage_url: str = ""
    offered: tuple[Offered, ...] = ()
    captions: CaptionsMade | None = None
    media: MediaMade | None = None
    entries: tuple[str, ...] = ()


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

    Args:
        language: the video's own, "" where it is not known.
    """
    if mode == "ignore":
        return Choice()
    offers = [each for each in offered if each.language not in _NO_CAPTIONS]
    wanted = [language, *languages]
    if best := _best([each for each in offers if not each.is_automatic], wanted):
        return Choice(captions=best)
    if mode == "prefer":
        return Choice()
    best = _best([each for each in offers if each.is_automatic], wanted)
    return Choice(captions=best) if best else None


def _best(offers: Sequence[Offered], wanted: Sequence[str]) -> Offered | None:
    for tag in filter(None, wanted):
        same = [each for each in offers if each.language.lower() == tag.lower()]
        alike = [each for each in offers if language_of(each.language) == language_of(tag)]
        if same or alike:
            return (same or alike)[0]
    original = [each for each in offers if each.language.endswith(_ORIGINAL)]
    return next(iter(original or offers), None)


def language_of(tag: str) -> str:
    """Return the language of a tag, without script and region: en for en-US and for eng."""
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    try:
        return langcodes.Language.get(tag.removesuffix(_ORIGINAL)).language or tag.lower()
    except LanguageTagError:
        return tag.lower()
