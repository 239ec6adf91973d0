"""The words of a recording, with their times: recognised by Whisper in a child process, and kept.

Owns what is kept for which recording, going on where a run ended, and that one recording at a time
is recognised on a machine. Knows nothing of sound and of Whisper itself; whose recording it is and
what becomes of its words is the caller's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import StorageError
from tasks.files import make_folder, remove_leftovers, write_private
from tasks.media.guards import marked
from tasks.media.speech_languages import whisper_code
from tasks.media.speech_process import Progress, recognise
from tasks.media.speech_request import (
    VERSION,
    PieceLimits,
    SpeechRequest,
    Stamp,
    refuse_changed,
    stamp_of,
)
from tasks.media.speech_store import HeardPiece, read_pieces, word_of, word_row
from tasks.media.speech_words import in_order
from tasks.media.transcript import TimedWord
from tasks.media.whisper_models import SpeechModel, identity, resolve, that_fits
from tasks.naming import short_name
from tasks.pool.cpus import physical_cores
from tasks.settings import Settings

Turn = Callable[[SpeechModel], AbstractContextManager[None]]

_POLL_S = 0.25
_FINAL_VERSION = 1
_FINAL = "final.json"


@dataclass(frozen=True)
class SpeechOptions:
    """What the user says of a recording.

    Attributes:
        language: as they write it; "": to be found.
        hotwords: names and terms that are likely to be said in it.
    """

    language: str = ""
    hotwords: str = ""


@dataclass(frozen=True)
class Heard:
    """What was said in a recording.

    Attributes:
        language: an ISO 639-1 code (Whisper's own for some); "" where nothing was said.
        duration_s: of what is played, as far as it can be read.
        words: in the order of time; empty where no speech was found.
        model: the name of the model that recognised them.
        lost: what of the recording could not be read, each in a clause; empty where nothing.
        identity: what the words depend on besides the recording, in a hash.
    """

    language: str
    language_probability: float
    duration_s: float
    words: tuple[TimedWord, ...]
    model: str
    lost: tuple[str, ...] = ()
    identity: str = ""


def _at_once(model: SpeechModel) -> AbstractContextManager[None]:
    return nullcontext()


def transcribe(
    media: Path,
    content: str,
    uri: str,
    settings: Settings,
    options: SpeechOptions,
    *,
    again: bool = False,
    progress: Progress | None = None,
    turn: Turn = _at_once,
    stamp: Stamp | None = None,
    limits: PieceLimits | None = None,
) -> Heard:
    """Return the words of a recording: those kept, or those recognised now.

    A run that ended early, however it did, is continued at the end of its last finished piece, with
    the words that it would have come to.

    Args:
        content: hex sha256 of the file.
        uri: its name in messages.
        again: recognise it anew.
        progress: told what is done, the seconds done and those in all; may raise, which ends the
            child.
        turn: returns the block in which the model that is given to it has the machine's memory. It
            is entered only where a child has to run, and no two are at once on a machine.
        stamp: of the file when it was hashed.
        limits: of the pieces, for tests; the batch is the settings'.

    Raises:
        SourceError: it can't be read, changes meanwhile, or has no sound; or it crashes its
            recogniser.
        ModelError: the model can't be had or loaded, or there is no memory for it.
        StorageError: what was heard can't be kept.
    """
    if stamp is not None:
        refuse_changed(media, uri, stamp)
    stamp = stamp or stamp_of(media)
    chosen = resolve(settings, progress)
    whole = _identity(chosen, settings, options, progress)
    place = _place(content, whole, settings)
    if not again and (kept := _read_final(place)):
        return kept
    with _alone(settings, uri, progress):
        if not again and (kept := _read_final(place)):  # by the run that was waited for
            return kept
        with turn(chosen):
            model = that_fits(chosen, settings)
            if model != chosen:
                whole = _identity(model, settings, options, progress)
            folder = make_folder(_place(content, whole, settings))
            if again:
                _forget(folder)
            elif model != chosen and (kept := _read_final(folder)):
                return kept
            remove_leftovers(folder.iterdir())
            request = _request(media, uri, stamp, folder, model, settings, options, limits)
            recognise(request, settings, progress)
            heard = _put_together(read_pieces(folder), model, whole, uri)
            write_private(folder / _FINAL, _final_text(heard))
    return heard


def _identity(
    model: SpeechModel, settings: Settings, options: SpeechOptions, progress: Progress | None
) -> str:
    """Return what determines the words besides the recording: the model's files and the type that
    it computes in, the language and the hotwords given, and how recordings are cut. That depends on
    the batch too: pieces end where one does.
    """
    parts = [
        identity(model, settings, progress),
        model.compute_type,
        str(VERSION),
        str(settings.speech_batch),
        whisper_code(options.language) if options.language else "",
        options.hotwords.strip(),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _place(content: str, whole: str, settings: Settings) -> Path:
    key = hashlib.sha256(f"{content} {whole}".encode()).hexdigest()
    return settings.home / "speech" / key


def _forget(folder: Path) -> None:
    for path in folder.glob("*.json"):
        path.unlink()


@contextmanager
def _alone(settings: Settings, uri: str, progress: Progress | None) -> Iterator[None]:
    """Hold the machine's one place for recognising speech."""
    from filelock import FileLock, Timeout

    lock = FileLock(make_folder(settings.home) / "speech.lock")
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_POLL_S)
        except Timeout:
            if progress:
                progress(f"transcribing {short_name(uri)}: waiting for another recording", 0, 0)
    try:
        yield
    finally:
        lock.release()


def _request(
    media: Path,
    uri: str,
    stamp: Stamp | None,
    folder: Path,
    model: SpeechModel,
    settings: Settings,
    options: SpeechOptions,
    limits: PieceLimits | None,
) -> SpeechRequest:
    limits = limits or PieceLimits()
    return SpeechRequest(
        media=str(media),
        uri=uri,
        stamp=stamp,
        folder=str(folder),
        progress=-1,
        result=-1,
        model=str(model.folder),
        model_name=model.name,
        device=model.device,
        compute_type=model.compute_type,
        n_threads=physical_cores(),
        batch=settings.speech_batch,
        language=whisper_code(options.language) if options.language else "",
        hotwords=options.hotwords.strip(),
        max_hours=settings.media_max_hours,
        window_s=limits.window_s,
        speech_s=limits.speech_s,
        section_s=limits.section_s,
    )


def _put_together(pieces: Sequence[HeardPiece], model: SpeechModel, whole: str, uri: str) -> Heard:
    if not pieces or not pieces[-1].is_last:
        problem = "what was heard in it is gone from the disk"
        raise StorageError(uri, problem, "Run again, and leave LECTERN_HOME alone meanwhile")
    last = next((piece for piece in pieces if piece.language), pieces[-1])
    return Heard(
        language=last.language,
        language_probability=last.language_probability,
        duration_s=round(pieces[-1].duration_s, 3),
        words=in_order(marked([window for piece in pieces for window in piece.windows])),
        model=model.name,
        lost=pieces[-1].lost,
        identity=whole,
    )


def _final_text(heard: Heard) -> str:
    words = [word_row(word) for word in heard.words]
    content = {"version": _FINAL_VERSION, **vars(heard), "words": words}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _read_final(folder: Path) -> Heard | None:
    """Return what is kept, None where there is nothing, or it is of another version or damaged."""
    try:
        content: dict[str, Any] = json.loads((folder / _FINAL).read_bytes())
        if content.pop("version") != _FINAL_VERSION:
            return None
        words = tuple(word_of(row) for row in content.pop("words"))
        return Heard(**{**content, "words": words, "lost": tuple(content["lost"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
