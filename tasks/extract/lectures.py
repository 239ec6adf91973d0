"""What is played to its rows: from a file or a URL to timed sentences, cues and words.

Owns whether captions or speech are read, and what a source of them is identified by. Knows nothing
of containers, networks and speech models: `tasks.media` does.
"""

from __future__ import annotations

import hashlib
import logging
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal

from tasks.errors import ModelError, SourceError
from tasks.extract.copying import read_file
from tasks.extract.formats import SUFFIXES
from tasks.extract.sentences import detect_language
from tasks.media.captions import MAX_BYTES
from tasks.media.containers import HEAD, MEDIA_SUFFIXES, is_media, media_kind
from tasks.media.fetch import Fetched, fetch
from tasks.media.sidecars import CAPTION_SUFFIXES, choose, sidecars
from tasks.media.speech_request import Stamp, stamp_of
from tasks.media.transcript import Sentence, TimedCue, TimedWord
from tasks.naming import file_name, path_of, title_of
from tasks.records import CaptionsMode, Chapter, Cue, Segment, Source, SourceKind, Word

if TYPE_CHECKING:
    from tasks.media.probe import Probe
    from tasks.media.whisper_models import SpeechModel
    from tasks.settings import Settings

Urls = Literal["documents", "videos", "any"]
Progress = Callable[[str, int, int], None]

log = logging.getLogger(__name__)

LECTURE_VERSION = "1"
"""Part of every source_id: raise it when the same file gives other segments than before."""

_NO_CAPTIONS = "Give --captions prefer to have its speech recognised"


@dataclass(frozen=True)
class LectureOptions:
    """How what is played is read.

    Attributes:
        urls: what URLs lead to: documents; videos; any: videos where there are some.
        captions: the setting, unless given.
        language: code of the one that is spoken; "": what is found.
        hotwords: terms that speech recognition is to expect.
        again: recognise speech anew that was recognised before.
        turn: returns a block that a speech model has the machine's memory in.
        written: returns the absolute paths of what Lectern has written: translations beside their
            sources are no captions of them.
    """

    urls: Urls = "documents"
    captions: CaptionsMode | None = None
    language: str = ""
    hotwords: str = ""
    again: bool = False
    turn: Callable[[SpeechModel], AbstractContextManager[None]] = lambda model: nullcontext()
    written: Callable[[], Container[str]] = tuple


@dataclass(frozen=True)
class Lecture:
    """What was read of a source."""

    source: Source
    segments: tuple[Segment, ...]
    cues: tuple[Cue, ...]
    words: tuple[Word, ...]


@dataclass(frozen=True)
class _About:
    """What is known of a source besides its words.

    Attributes:
        of: by what its captions are told from the same ones of another; "": they are all there is.
        stamp: of the file as it was hashed.
    """

    uri: str
    kind: SourceKind
    title: str
    duration_s: float | None = None
    chapters: tuple[Chapter, ...] = ()
    language: str = ""
    of: str = ""
    stamp: Stamp | None = None


@dataclass(frozen=True)
class _Captions:
    """Captions that were found.

    Attributes:
        name: of their file, or of one that they could be.
        place: of a file of their own; else "".
    """

    data: bytes
    name: str
    language: str
    place: str = ""


@dataclass(frozen=True)
class _Said:
    """What was said, and how that is known."""

    words: Sequence[TimedWord]
    cues: Sequence[TimedCue]
    language: str
    identity: Sequence[str]
    speech_model: str = ""
    duration_s: float | None = None
    lost: Sequence[str] = field(default=())


def is_lecture(path: Path) -> bool:
    """Tell whether a file is played, or holds captions: by its name, else by its first bytes."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or not is_file(path):
        return suffix in CAPTION_SUFFIXES or suffix in MEDIA_SUFFIXES
    if suffix in CAPTION_SUFFIXES or is_media(path):
        return True
    try:
        with path.open("rb") as file:
            return media_kind(file.read(HEAD)) is not None
    except (OSError, ValueError):
        return False  # whoever reads it as a document says what is wrong


def is_file(path: Path) -> bool:
    """Tell whether it is a regular file: to open a pipe may block for ever."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def leads_to_document(url: str) -> bool:
    """Tell whether a URL names a document."""
    return PurePath(file_name(url)).suffix.lower() in SUFFIXES.keys() - {".html", ".htm"}


def read_lecture_file(
    uri: str, settings: Settings, options: LectureOptions, progress: Progress | None
) -> Lecture:
    """Read a video, a recording or a file of captions; what is wrong with its content, or in it, is
    in its source's row.

    Raises:
        SourceError: it can't be read at all.
        ModelError: the speech model can't be had.
        StorageError: the disk is full.
    """
    path = path_of(uri)
    stamp = stamp_of(path)
    content = _hashed(path, uri, progress)
    try:
        if path.suffix.lower() in CAPTION_SUFFIXES:
            about = _About(uri, "subtitles", title_of("", uri))
            return _lecture(about, _of_captions(_read(path), about, options))
        return _of_media(path, content, uri, settings, options, progress, stamp)
    except SourceError as error:
        return _failed(uri, content, error)


def _of_media(
    path: Path,
    content: str,
    uri: str,
    settings: Settings,
    options: LectureOptions,
    progress: Progress | None,
    stamp: Stamp | None,
) -> Lecture:
    from tasks.media.probe import probe

    found = probe(path, uri, settings)
    title = title_of(found.title, uri)
    about = _About(
        uri, found.kind, title, found.duration_s, found.chapters, found.language, content, stamp
    )
    mode = options.captions or settings.captions
    candidates = () if mode == "ignore" else _captions_of(path, found, mode, options)
    if said := _first_captions(candidates, about, mode, options):
        return _lecture(about, said)
    if mode == "only":
        raise SourceError(uri, "has no captions", _NO_CAPTIONS)
    if not found.has_audio:
        raise SourceError(uri, "has no sound, and no captions", "Name the recording of its sound")
    return _lecture(about, _of_speech(path, content, about, settings, options, progress))


def read_lecture_url(
    uri: str, settings: Settings, options: LectureOptions, progress: Progress | None
) -> Lecture:
    """Read a video or a recording that a URL leads to.

    Raises:
        NoMedia: there is none.
        SourceError: it can't be had, or nobody speaks in it.
        ModelError, StorageError: see `read_lecture_file`.
    """
    mode = options.captions or settings.captions
    languages = [options.language] if options.language else []
    got = fetch(uri, settings, captions=mode, languages=languages, progress=progress)
    title = title_of(got.title, uri)
    about = _About(uri, "video", title, got.duration_s, got.chapters, got.language, uri)
    if got.captions:
        own = partial(_read, got.captions.path, got.captions.language)
        if said := _first_captions([own], about, mode, options):
            return _lecture(about, said)
        got = fetch(uri, settings, captions="ignore", languages=languages, progress=progress)
    assert got.media is not None
    return _of_fetched(got.media, got, about, settings, options, progress)


def _of_fetched(
    media: Path,
    got: Fetched,
    about: _About,
    settings: Settings,
    options: LectureOptions,
    progress: Progress | None,
) -> Lecture:
    """Read what was fetched, of which its page may not tell all."""
    from tasks.media.probe import probe

    found = probe(media, about.uri, settings)
    if not found.has_audio:
        raise SourceError(about.uri, "has no sound, and no captions")
    about = replace(
        about,
        kind=MEDIA_SUFFIXES.get(PurePath(file_name(about.uri)).suffix.lower(), "video"),
        duration_s=found.duration_s or about.duration_s,
        chapters=about.chapters or found.chapters,
    )
    return _lecture(about, _of_speech(media, got.content, about, settings, options, progress))


def _captions_of(
    path: Path, found: Probe, mode: CaptionsMode, options: LectureOptions
) -> Iterator[Callable[[], _Captions]]:
    """Yield the captions beside a file, then those in it: of several, the language's own."""
    spoken = options.language or found.language
    is_needed = mode == "only"
    beside = sidecars(path, options.written())
    if (at := _chosen([each.language for each in beside], spoken, is_needed)) is not None:
        yield partial(_read, beside[at].path, beside[at].language)
    within = [each for each in found.captions if not each.is_forced]
    if (at := _chosen([each.language for each in within], spoken, is_needed)) is not None:
        own = within[at]
        yield lambda: _Captions(own.data, own.name, own.language)


def _chosen(languages: Sequence[str], spoken: str, is_needed: bool) -> int | None:
    """Return which captions to take; None: none. A translation is no transcript."""
    if not languages:
        return None
    at = choose(languages, spoken)
    is_other = spoken and languages[at] and languages[at] != spoken.partition("-")[0].lower()
    return at if is_needed or not is_other else None


def _first_captions(
    candidates: Iterable[Callable[[], _Captions]],
    about: _About,
    mode: CaptionsMode,
    options: LectureOptions,
) -> _Said | None:
    """Return what the first captions say that can be read; None: there are none.

    Raises:
        SourceError: captions are wanted, and can't be read.
    """
    for read in candidates:
        try:
            return _of_captions(read(), about, options)
        except SourceError as error:
            if mode == "only":
                raise
            log.warning("%s Its speech is recognised instead.", error)
    return None


def _read(path: Path, language: str = "") -> _Captions:
    """Read a file of captions.

    Raises:
        SourceError: it can't be read, or is too large for one.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            problem = f"is larger than {MAX_BYTES >> 20} MB: these are no captions"
            raise SourceError(str(path), problem, "Name a file of captions")
        return _Captions(path.read_bytes(), path.name, language, str(path))
    except OSError as error:
        problem = f"can't be read ({error.strerror})"
        raise SourceError(str(path), problem, "Check its permissions") from error


def _failed(uri: str, content: str, error: SourceError) -> Lecture:
    """Return the row of a file that could be read, but nothing can be made of."""
    suffix = path_of(uri).suffix.lower()
    known: SourceKind = MEDIA_SUFFIXES.get(suffix, "unknown")
    identity = hashlib.sha256(f"{content} {LECTURE_VERSION}".encode()).hexdigest()
    source = Source(
        source_id=identity,
        uri=uri,
        kind="subtitles" if suffix in CAPTION_SUFFIXES else known,
        title=title_of("", uri),
        status="failed",
        error=str(error),
        remedy=error.remedy,
    )
    return Lecture(source, (), (), ())


def _of_captions(captions: _Captions, about: _About, options: LectureOptions) -> _Said:
    from tasks.media.captions import read_captions, words_of

    try:
        cues = read_captions(captions.data, captions.name)
    except SourceError as error:
        raise SourceError(captions.place or about.uri, error.problem, error.remedy) from error
    text = "\n".join(cue.text for cue in cues)
    language = options.language or captions.language or detect_language(text)
    identity = [hashlib.sha256(captions.data).hexdigest(), "captions", language, about.of]
    end = max(cue.end_ms for cue in cues) / 1000
    return _Said(words_of(cues, language), cues, language, identity, duration_s=end)


def _of_speech(
    media: Path,
    content: str,
    about: _About,
    settings: Settings,
    options: LectureOptions,
    progress: Progress | None,
) -> _Said:
    from tasks.media.speech import SpeechOptions, transcribe

    how = SpeechOptions(options.language, options.hotwords)
    try:
        heard = transcribe(
            media,
            content,
            about.uri,
            settings,
            how,
            again=options.again,
            progress=progress,
            turn=options.turn,
            stamp=about.stamp,
        )
    except ModelError as error:
        problem = f"its speech can't be recognised: {error.subject}: {error.problem}"
        raise ModelError(about.uri, problem, error.remedy) from error
    if not heard.words:
        remedy = "Listen to it: it may be silent, or music alone"
        raise SourceError(about.uri, "no speech was found in it", remedy)
    return _Said(
        heard.words,
        (),
        heard.language,
        [content, "speech", heard.identity],
        heard.model,
        heard.duration_s,
        heard.lost,
    )


def _lecture(about: _About, said: _Said) -> Lecture:
    """Number what was said."""
    from tasks.media.cueing import lay_out
    from tasks.media.utterances import sentences_of

    breaks = [chapter.start_s for chapter in about.chapters]
    sentences = sentences_of(said.words, said.language, breaks=breaks)
    cues, words = said.cues, said.words
    if not cues:
        cues, words = lay_out(words, sentences, said.language)
    marks = [f"{chapter.start_s} {chapter.title}" for chapter in about.chapters]
    identity = [*said.identity, LECTURE_VERSION, *marks]
    source_id = hashlib.sha256("\n".join(identity).encode()).hexdigest()
    segments = _segments(source_id, sentences, about.chapters)
    error = _loss(about.uri, said.lost)
    source = Source(
        source_id=source_id,
        uri=about.uri,
        kind=about.kind,
        title=about.title,
        language=said.language or "und",
        n_segments=len(segments),
        status="partial" if error else "ok",
        error=str(error) if error else "",
        remedy=error.remedy if error else "",
        duration_s=(said if said.speech_model else about).duration_s or said.duration_s,
        chapters=_numbered(about.chapters, segments),
        transcription="speech" if said.speech_model else "captions",
        speech_model=said.speech_model,
    )
    return Lecture(source, segments, _cues(source_id, cues), _words(source_id, words, sentences))


def _segments(
    source_id: str, sentences: Sequence[Sentence], chapters: Sequence[Chapter]
) -> tuple[Segment, ...]:
    starts = [chapter.start_s for chapter in chapters]
    return tuple(
        Segment(
            source_id=source_id,
            n=n,
            text=each.text,
            kind="sentence",
            page=None,
            page_label="",
            paragraph=each.paragraph,
            heading_path=_path(each, starts, chapters),
            start_s=each.start_s,
            end_s=each.end_s,
            speaker=each.speaker,
            marks=each.marks,
        )
        for n, each in enumerate(sentences, start=1)
    )


def _path(
    sentence: Sentence, starts: Sequence[float], chapters: Sequence[Chapter]
) -> tuple[str, ...]:
    """Return the chapter that most of a sentence is in."""
    middle = (sentence.start_s + sentence.end_s) / 2
    at = bisect_right(starts, middle) - 1
    return (chapters[at].title,) if at >= 0 and chapters[at].title else ()


def _numbered(chapters: Sequence[Chapter], segments: Sequence[Segment]) -> tuple[Chapter, ...]:
    """Return chapters with the first segment of each that holds one."""
    starts = [chapter.start_s for chapter in chapters]
    first: dict[int, int] = {}
    for each in segments:
        assert each.start_s is not None
        assert each.end_s is not None
        at = bisect_right(starts, (each.start_s + each.end_s) / 2) - 1
        first.setdefault(at, each.n)
    return tuple(replace(chapter, n=first.get(at)) for at, chapter in enumerate(chapters))


def _cues(source_id: str, cues: Sequence[TimedCue]) -> tuple[Cue, ...]:
    return tuple(
        Cue(
            source_id=source_id,
            cue=each.number,
            start_ms=each.start_ms,
            end_ms=each.end_ms,
            text=each.text,
            speaker=each.speaker,
        )
        for each in cues
    )


def _words(
    source_id: str, words: Sequence[TimedWord], sentences: Sequence[Sentence]
) -> tuple[Word, ...]:
    return tuple(
        Word(
            source_id=source_id,
            n=n,
            cue=word.cue,
            word=word.text,
            start_s=word.start_s,
            end_s=word.end_s,
            is_spaced=word.is_spaced,
            probability=word.probability,
        )
        for n, sentence in enumerate(sentences, start=1)
        for word in words[sentence.first : sentence.last + 1]
    )


def _loss(uri: str, lost: Sequence[str]) -> SourceError | None:
    if not lost:
        return None
    named = "; ".join(lost[:3]) + (" and others" if len(lost) > 3 else "")
    return SourceError(uri, f"not all of it can be heard: {named}", "Get a fresh copy")


def _hashed(path: Path, uri: str, progress: Progress | None) -> str:
    """Return the hex sha256 of a file.

    Raises:
        SourceError: it is not there, can't be read, changes meanwhile, or is empty.
    """
    digest, done = hashlib.sha256(), 0
    total = path.stat().st_size if is_file(path) else 0
    for data in read_file(path, uri):
        digest.update(data)
        done += len(data)
        if progress:
            progress(f"reading {file_name(uri)}", done, total)
    return digest.hexdigest()
