"""Captions that lie beside a media file: which belong to it, and in which language they are.

Owns how such files are named. Opens none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from types import MappingProxyType

from tasks.media.containers import HEAD, MEDIA_SUFFIXES, MediaKind, is_media, media_kind

__all__ = [
    "CAPTION_SUFFIXES", "HEAD", "MEDIA_SUFFIXES", "MediaKind", "Sidecar", "choose", "is_media",
    "is_sidecar", "language_of", "media_kind", "sidecars",
]  # fmt: skip

CAPTION_SUFFIXES: Mapping[str, str] = MappingProxyType(
    {".srt": "srt", ".vtt": "vtt", ".ass": "ass", ".ssa": "ssa", ".ttml": "ttml", ".dfxp": "ttml"}
)
"""What pysubs2 calls the format; of several files of one language the first suffix is taken."""

# Parts of a name that say how captions are, not in which language.
_PLAIN = frozenset({"default", "full", "orig", "original"})
_FOR_THE_DEAF = frozenset({"sdh", "cc", "hi"})
_FORCED = frozenset({"forced", "foreign"})
# What Chinese files are named, of which some are other languages' codes.
_CHINESE = frozenset(
    {"chs", "cht", "sc", "tc", "gb", "big5", "简体", "繁体", "繁體", "简中", "繁中", "中文"}
)
_NAMED = {
    "english": "en",
    "chinese": "zh",
    "英文": "en",
    "日文": "ja",
    "jp": "ja",
    "kr": "ko",
    "yue": "zh",
}
_LONG_CODES = frozenset({"fil", "haw"})  # ISO 639-3's, of languages that ISO 639-1 lacks
_BILINGUAL = re.compile("[&+_]")


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Captions that lie beside a media file.

    Attributes:
        language: ISO 639-1 code that its name says; "" where it says none.
    """

    path: Path
    language: str


def sidecars(path: Path, written: Container[str] = ()) -> tuple[Sidecar, ...]:
    """Return the captions beside a media file, the most suitable of a language first.

    talk.srt, talk.en.srt, talk.zh-Hans.vtt and talk.mp4.srt belong to talk.mp4; talk.en.forced.srt,
    which has little of what is said, is left out.

    Args:
        written: absolute paths of what Lectern has written: its own translations are no captions.
    """
    try:
        names = sorted(each.name for each in path.parent.iterdir())
    except OSError:
        return ()  # whoever opens the media file says what is wrong
    found: list[tuple[int, int, Sidecar]] = []
    order = list(CAPTION_SUFFIXES)
    for name in names:
        here = path.parent / name
        label = _label(name, path.name)
        if label is None or label.is_forced or path.name not in _owners(name, names):
            continue
        if str(here.absolute()) in written or not here.is_file():
            continue
        rank = order.index(here.suffix.lower())
        found.append((label.drawbacks, rank, Sidecar(here, label.language)))
    return tuple(each for *_, each in sorted(found, key=lambda each: each[:2]))


def is_sidecar(path: Path, names_in_folder: Collection[str]) -> bool:
    """Tell whether a file holds captions of a media file in its folder."""
    return path.suffix.lower() in CAPTION_SUFFIXES and bool(_owners(path.name, names_in_folder))


def choose(languages: Sequence[str], wanted: str) -> int:
    """Return the position of the captions to read, of at least one.

    Those in the language that is spoken come first, then those that name none, then English ones,
    then the first.

    Args:
        languages: of each, ISO 639-1; "": not named.
        wanted: the code of what is spoken; "": not known.
    """
    bases = [_base(each) for each in languages]
    for each in (_base(wanted), "", "en"):
        if each in bases:
            return bases.index(each)
    return 0


@lru_cache(1024)
def language_of(tag: str) -> str:
    """Return the ISO 639-1 code of a language tag (eng, chi, zh-Hans, zh_CN); "" for no language.

    A few languages that ISO 639-1 lacks have their code of ISO 639-3.
    """
    tag = tag.strip().lower()
    if tag in _CHINESE:
        return "zh"
    if tag in _NAMED:
        return _NAMED[tag]
    import langcodes  # takes a moment, for those files alone whose names have such a part
    from langcodes.tag_parser import LanguageTagError

    try:
        found = langcodes.get(re.split("[-_]orig", tag)[0]).prefer_macrolanguage()
    except LanguageTagError:
        return ""
    code = _NAMED.get(found.language or "", found.language or "")
    return code if found.is_valid() and (len(code) == 2 or code in _LONG_CODES) else ""


@dataclass(frozen=True, slots=True)
class _Label:
    """What the name of captions says besides their media file's name."""

    language: str = ""
    is_forced: bool = False
    drawbacks: int = 0


def _label(name: str, media: str) -> _Label | None:
    """Return what a name says of captions of a media file; None: they are not of that file."""
    (stem, suffix), (own, own_suffix) = _split(name), _split(media)
    if suffix not in CAPTION_SUFFIXES or not (stem == own or stem.startswith(f"{own}.")):
        return None
    rest = stem[len(own) :].removeprefix(own_suffix)
    parts = [part for part in rest.split(".") if part]
    return _of_parts(parts)


def _of_parts(parts: Sequence[str]) -> _Label | None:
    language, is_forced, drawbacks = "", False, 0
    for part in parts:
        several = [language_of(each) for each in _BILINGUAL.split(part)]
        if part in _FORCED:
            is_forced = True
        elif part in _FOR_THE_DEAF and (part != "hi" or language):  # else it is Hindi
            drawbacks += 1
        elif language_of(part) and not language:
            language = language_of(part)
        elif len(several) > 1 and all(several):  # each cue in two languages
            drawbacks += 2
        elif part not in _PLAIN:
            return None
    return _Label(language, is_forced, drawbacks)


def _owners(name: str, names: Collection[str]) -> list[str]:
    """Return the media files that captions belong to: those with the longest name in common."""
    beginning = _split(name)[0].partition(".")[0]
    fitting = [
        each
        for each in names
        if _split(each)[1] in MEDIA_SUFFIXES
        and _split(each)[0].startswith(beginning)
        and _label(name, each) is not None
    ]
    longest = max((len(_split(each)[0]) for each in fitting), default=0)
    return [each for each in fitting if len(_split(each)[0]) == longest]


@lru_cache(1 << 16)  # each name of a folder is compared with each file of captions in it
def _split(name: str) -> tuple[str, str]:
    """Return a name's stem and suffix, as names are compared: some systems write é in two
    characters, and some know no capitals."""
    plain = PurePath(unicodedata.normalize("NFC", name).casefold())
    return plain.stem, plain.suffix


def _base(language: str) -> str:
    return language.lower().partition("-")[0]
