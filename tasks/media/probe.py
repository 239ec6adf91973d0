"""What a media file is: its kind, length, title, chapters, and the captions in it.

The parent's side: a child process opens the file (`tasks.media.probe_child`), within limits. Knows
nothing of containers, and of captions only that some lie beside a file.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from tasks.errors import SourceError
from tasks.extract.copying import FULL, disk_is_full
from tasks.extract.process import Child, end_of
from tasks.media.containers import MediaKind
from tasks.media.probe_child import ProbeRequest
from tasks.media.sidecars import sidecars
from tasks.records import Chapter

if TYPE_CHECKING:
    from tasks.settings import Settings

_BYTES_A_SECOND = 20_000_000  # of a slow disk or network: a file with captions is read to its end


@dataclass(frozen=True)
class EmbeddedCaptions:
    """Captions inside a media file.

    Attributes:
        language: ISO 639-1; "" where the file does not say.
        is_forced: they hold only what is said in another language than the rest.
        data: all of them, as a file that pysubs2 reads; times are the container's.
        name: of that file.
    """

    language: str
    title: str
    is_forced: bool
    data: bytes
    name: str


@dataclass(frozen=True)
class Probe:
    """What a media file is.

    Attributes:
        kind: audio where there is no picture but an album's cover.
        duration_s: as the container says, which may be an estimate; None: not known.
        language: of the audio track that is heard, ISO 639-1; "" where the file does not say.
        chapters: in the order of time.
        unread_captions: those that are pictures or the like: their codec, and their language.
    """

    kind: MediaKind
    duration_s: float | None
    title: str
    language: str
    chapters: tuple[Chapter, ...]
    has_audio: bool
    captions: tuple[EmbeddedCaptions, ...]
    unread_captions: tuple[str, ...] = ()


def probe(path: Path, uri: str, settings: Settings) -> Probe:
    """Return what a media file is.

    Args:
        uri: what errors call it.

    Raises:
        SourceError: it can't be read, is no media, empty, damaged, cut short or encrypted, or
            nothing is said in it: it has neither sound nor captions, and none lie beside it.
        StorageError: the disk is full.
    """
    with _opened(path, uri) as file, tempfile.TemporaryFile() as result:
        seconds = settings.pdf_seconds + os.fstat(file.fileno()).st_size / _BYTES_A_SECOND
        request = ProbeRequest(file.fileno(), result.fileno(), settings.pdf_memory_mb, seconds)
        code = _run(request)
        if code in FULL:
            raise disk_is_full()
        answer = None if code else _answer(result)
    if answer is None:
        raise SourceError(uri, *end_of(code))
    if "problem" in answer:
        raise SourceError(uri, answer["problem"], answer["remedy"])
    found = _probe(answer)
    if not (found.has_audio or found.captions or sidecars(path)):
        raise _silent(uri, found)
    return found


def _opened(path: Path, uri: str) -> BinaryIO:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for ever
            raise SourceError(uri, "is not a file", "Name a video or a recording")
        file = path.open("rb")
    except FileNotFoundError as error:
        raise SourceError(uri, "does not exist", "Check the path") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(uri, f"can't be read ({reason})", "Check its permissions") from error
    if not os.fstat(file.fileno()).st_size:
        file.close()
        raise SourceError(uri, "is empty", "Get a fresh copy")
    return file


def _run(request: ProbeRequest) -> int | None:
    """Run the child to its end, and return its exit status; None when its time was up."""
    descriptors = (request.document, request.result)
    with Child("tasks.media.probe_child", request, descriptors) as child:
        return child.wait(request.seconds)


def _answer(result: IO[bytes]) -> Mapping[str, Any] | None:
    """Return the child's answer, None if it died before it had one."""
    try:
        answer = json.loads(os.pread(result.fileno(), os.fstat(result.fileno()).st_size, 0))
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _probe(answer: Mapping[str, Any]) -> Probe:
    chapters = [Chapter(start_s=start_s, title=title) for start_s, title in answer["chapters"]]
    captions = [
        EmbeddedCaptions(**{**each, "data": base64.b64decode(each["data"])})
        for each in answer["captions"]
    ]
    parts = {
        "chapters": tuple(chapters),
        "captions": tuple(captions),
        "unread_captions": tuple(answer["unread_captions"]),
    }
    return Probe(**{**answer, **parts})


def _silent(uri: str, found: Probe) -> SourceError:
    if found.unread_captions:
        problem = f"has no sound, and its captions are no text: {', '.join(found.unread_captions)}"
        return SourceError(uri, problem, "Put its captions beside it, as an .srt file")
    remedy = "Name the recording of its sound, or put captions beside it"
    return SourceError(uri, "has no sound, and no captions", remedy)
