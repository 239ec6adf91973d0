"""The Whispers that faster-whisper knows by a name: where they are, and what memory they take.

Their names are kept here, since reading faster-whisper's takes a second; a test compares them.
Touches nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20
_POSITIONS = 1500  # of an encoder
_BASE_MB = 450  # the program, the libraries, a piece's sound and features
_BEAMS, _TOKENS = 5, 112  # tokens of half a minute's speech


@dataclass(frozen=True)
class Shape:
    """A network's measures (OpenAI's model card and the configurations of the repositories)."""

    millions: int  # of parameters
    d_model: int
    heads: int
    decoder_layers: int


_LESS = Shape(10, 192, 3, 2)  # of the demo, and of tests
_TINY = Shape(39, 384, 6, 4)
_BASE = Shape(74, 512, 8, 6)
_SMALL = Shape(244, 768, 12, 12)
_MEDIUM = Shape(769, 1024, 16, 24)
_LARGE = Shape(1550, 1280, 20, 32)
_TURBO = Shape(809, 1280, 20, 4)
_SHAPES = (_LESS, _TINY, _BASE, _SMALL, _MEDIUM, _TURBO, _LARGE)

KNOWN: dict[str, tuple[str, Shape]] = {
    "tiny.en": ("Systran/faster-whisper-tiny.en", _TINY),
    "tiny": ("Systran/faster-whisper-tiny", _TINY),
    "base.en": ("Systran/faster-whisper-base.en", _BASE),
    "base": ("Systran/faster-whisper-base", _BASE),
    "small.en": ("Systran/faster-whisper-small.en", _SMALL),
    "small": ("Systran/faster-whisper-small", _SMALL),
    "medium.en": ("Systran/faster-whisper-medium.en", _MEDIUM),
    "medium": ("Systran/faster-whisper-medium", _MEDIUM),
    "large-v1": ("Systran/faster-whisper-large-v1", _LARGE),
    "large-v2": ("Systran/faster-whisper-large-v2", _LARGE),
    "large-v3": ("Systran/faster-whisper-large-v3", _LARGE),
    "large": ("Systran/faster-whisper-large-v3", _LARGE),
    "distil-large-v2": ("Systran/faster-distil-whisper-large-v2", Shape(756, 1280, 20, 2)),
    "distil-medium.en": ("Systran/faster-distil-whisper-medium.en", Shape(394, 1024, 16, 2)),
    "distil-small.en": ("Systran/faster-distil-whisper-small.en", Shape(166, 768, 12, 4)),
    "distil-large-v3": ("Systran/faster-distil-whisper-large-v3", Shape(756, 1280, 20, 2)),
    "distil-large-v3.5": ("distil-whisper/distil-large-v3.5-ct2", Shape(756, 1280, 20, 2)),
    "large-v3-turbo": ("mobiuslabsgmbh/faster-whisper-large-v3-turbo", _TURBO),
    "turbo": ("mobiuslabsgmbh/faster-whisper-large-v3-turbo", _TURBO),
}
# For speech in any language, the best first: turbo hears nearly as well as large-v3, in a quarter
# of the time and half of the memory.
BEST = ("large-v3-turbo", "turbo", "large-v3", "large-v2", "large-v1", "medium", "small", "base",
        "tiny")  # fmt: skip
FETCHED = ("large-v3-turbo", "small", "base", "tiny")  # by auto, where none is here


def shape_of(name: str, n_bytes: int) -> Shape:
    """Return a model's measures; of one that is not known those of the next larger one that is.

    Args:
        n_bytes: of its file, two for each parameter.
    """
    if name in KNOWN:
        return KNOWN[name][1]
    return next((each for each in _SHAPES if each.millions * 2e6 >= n_bytes * 0.9), _LARGE)


def need_mb(shape: Shape, batch: int, compute_type: str) -> int:
    """Return what memory recognising takes at most, in MB, about.

    Loading on a CPU holds the file's 16 bits a parameter beside the 8 it makes of them. Of each
    window in a batch there are the attention's scores of one encoder layer, what the layers around
    hold, and keys and values for all the decoder's. With batches of 8 on a CPU this is 1,310 MB for
    tiny, which was measured to take 1,100, and 3,490 for small, which faster-whisper's README has
    at 3,608 with the whole file's sound.
    """
    is_cpu = compute_type == "int8"
    weights = shape.millions * 1e6 * {"int8": 3, "int8_float16": 1.2}.get(compute_type, 2)
    width = 4 if is_cpu else 2  # bytes
    scores = shape.heads * _POSITIONS**2
    layers = 6 * _POSITIONS * shape.d_model
    memory = 2 * shape.decoder_layers * _POSITIONS * shape.d_model
    beams = 2 * shape.decoder_layers * _BEAMS * _TOKENS * shape.d_model
    windows = batch * width * (scores + layers + memory + beams)
    return round((weights + windows) / MIB) + _BASE_MB
