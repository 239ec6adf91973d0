"""The parent's side of recognising speech: a child, how far it is, and how it ended.

Owns that what it leaves on the disk is of one state of the recording. Knows nothing of sound and of
Whisper.

The child has the model's memory and gives all of it back when a recording is done: a GGUF model may
need it next.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

from tasks.errors import ModelError, PipelineError, SourceError, StorageError
from tasks.extract.child import REPORT
from tasks.extract.copying import FULL
from tasks.extract.process import Child
from tasks.media.speech_request import SpeechRequest, refuse_changed, stamp_of
from tasks.media.speech_store import read_pieces, remove_pieces
from tasks.naming import short_name
from tasks.settings import Settings

Progress = Callable[[str, int, int], None]

_POLL_S = 0.25
_MAX_RESULT = 1 << 16  # bytes of JSON


def recognise(request: SpeechRequest, settings: Settings, progress: Progress | None) -> None:
    """Make the pieces that are missing, of one state of the recording.

    Raises:
        PipelineError: see `_run`; or the recording is another one by now.
    """
    folder, media = Path(request.folder), Path(request.media)
    n_before = len(read_pieces(folder))
    try:
        _run(request, settings, progress)
        refuse_changed(media, request.uri, request.stamp)
    except BaseException as error:
        if stamp_of(media) != request.stamp:
            remove_pieces(folder, n_before)
            if isinstance(error, SourceError):  # what is wrong may be that alone
                refuse_changed(media, request.uri, request.stamp)
        raise


def _run(request: SpeechRequest, settings: Settings, progress: Progress | None) -> None:
    """Run the child to its end.

    Raises:
        PipelineError: as the child has it, or for its death.
    """
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as result:
        request = replace(request, progress=told.fileno(), result=result.fileno())
        environment = {"OMP_NUM_THREADS": str(request.n_threads), "HF_HUB_OFFLINE": "1"}
        descriptors = (request.progress, request.result)
        with Child("tasks.media.speech_child", request, descriptors, environment) as child:
            while (code := child.wait(_POLL_S)) is None:
                if progress:
                    progress(f"transcribing {short_name(request.uri)}", *_how_far(told))
        failure = os.pread(result.fileno(), _MAX_RESULT, 0)
    if code in FULL:
        problem = "no space is left for what is heard in recordings"
        remedy = "Free some, or set LECTERN_HOME to a folder on another disk"
        raise StorageError(str(settings.home), problem, remedy)
    if failure:
        raise _failure(json.loads(failure))
    if code:
        raise _end_of(code, request)


def _how_far(told: IO[bytes]) -> tuple[int, int]:
    """Return the seconds that the child is through with, and those in all; 0: nobody knows."""
    text = os.pread(told.fileno(), 64, 0).split()
    return (int(float(text[0])), int(float(text[1]))) if len(text) > 1 else (0, 0)


def _failure(content: dict[str, str]) -> PipelineError:
    kinds = {kind.__name__: kind for kind in (SourceError, ModelError, StorageError)}
    kind = kinds.get(content["kind"], PipelineError)
    return kind(content["subject"], content["problem"], content["remedy"])


def _end_of(code: int, request: SpeechRequest) -> PipelineError:
    """Return what ended a child that gave no reason, and what one can do. Want of memory passes:
    it is no fault of the recording's.
    """
    if code == -signal.SIGKILL:  # not by us
        problem = "its process was killed, as the system does when memory runs out"
        remedy = (
            "Close other programs, or set LECTERN_SPEECH_MODEL to a smaller model, and run again: "
            "it goes on where it was"
        )
        return ModelError(request.model_name, problem, remedy)
    if code > 0:
        problem = f"the recogniser of its speech ended without an answer (status {code})"
        return SourceError(request.uri, problem, REPORT)
    problem = f"crashes the recogniser of its speech ({signal.strsignal(-code)})"
    return SourceError(request.uri, problem, "Get a fresh copy, or convert it")
