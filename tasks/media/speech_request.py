"""What is asked of the process that recognises speech. Shared by both sides; light to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.errors import SourceError

RATE = 16_000  # samples a second: Whisper's
VERSION = 1  # of how recordings are cut and their words placed

Stamp = tuple[int, int, int, int]
"""What tells a file's states apart: device, inode, size in bytes, time of change in ns."""


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of a file as it is now, None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def refuse_changed(path: Path, uri: str, stamp: Stamp | None) -> None:
    """Make sure that a recording is still the one that its words are kept for.

    Raises:
        SourceError: it is not.
    """
    if stamp_of(path) != stamp:
        raise SourceError(uri, "changes while it is read", "Try again when it is written")


@dataclass(frozen=True)
class PieceLimits:
    """How large pieces are.

    Attributes:
        batch: windows recognised together: pieces have whole multiples of it.
        window_s: that a model hears at once.
        speech_s: of a piece, about; the first has a single batch, so that it is soon there.
        section_s: searched for speech at once.
    """

    batch: int = 8
    window_s: float = 30.0
    speech_s: float = 480.0
    section_s: float = 120.0

    def n_windows(self, start: int) -> int:
        """Return how many windows a piece has that begins at a sample."""
        whole = round(self.speech_s / (self.window_s * self.batch)) if start else 1
        return self.batch * max(1, whole)

    @property
    def window(self) -> int:
        return round(self.window_s * RATE)

    @property
    def section(self) -> int:
        return round(self.section_s * RATE)


@dataclass(frozen=True, kw_only=True)
class SpeechRequest:
    """What the parent asks for.

    Attributes:
        stamp: of the media file whose words these are; None: it was not there.
        folder: holds the finished pieces, and gets those that are made.
        progress, result: descriptors of where it says how far it is, and why it failed.
        model: a folder; model_name: in messages; device: cpu or cuda; compute_type: CTranslate2's.
        language: one of Whisper's codes; "" if it is to be found.
        max_hours: a longer recording is refused.
        window_s, speech_s, section_s: as of PieceLimits.
    """

    media: str
    uri: str
    stamp: Stamp | None
    folder: str
    progress: int
    result: int
    model: str
    model_name: str
    device: str
    compute_type: str
    n_threads: int
    batch: int
    language: str
    hotwords: str
    max_hours: float
    window_s: float
    speech_s: float
    section_s: float

    @property
    def limits(self) -> PieceLimits:
        return PieceLimits(self.batch, self.window_s, self.speech_s, self.section_s)


@dataclass(frozen=True)
class Failure:
    """Why there is no answer: a PipelineError, of a kind named here, as JSON holds it."""

    kind: str
    subject: str
    problem: str
    remedy: str
