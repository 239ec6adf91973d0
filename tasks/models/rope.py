"""Longer contexts than a model was trained on, by scaling its rotary positions.

Owns which context a model has with a way of scaling, and the numbers that llama.cpp is told for it.
Pure arithmetic: knows neither files nor llama.cpp.

- linear: positions are divided by the factor (Chen et al., arXiv:2306.15595).
- ntk: the base of the frequencies is raised instead, which keeps the fast ones as they are
  (NTK-aware scaling, as in arXiv:2309.00071, section 3.1).
- yarn: each frequency by its wavelength, and attention is sharpened (arXiv:2309.00071).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # not in the worker, which is to start fast
    from tasks.records import RopeScaling

# Llama 1 and 2 were trained on so many. Files of longer-context fine-tunes of theirs, which divide
# positions, tell these and the factor; those of later models (Gemma 3) tell what comes of it.
_LLAMA_N_CTX = 4096


@dataclass(frozen=True, kw_only=True)
class Rope:
    """What a model's file says of its positions.

    Attributes:
        n_ctx_train: tokens that it says it was trained on; 0 where it does not say.
        n_ctx_orig: before it was made longer; 0 where it does not say.
        scaling: the file's own way: "", "none", "linear", "yarn", "longrope", …
        factor: the file's own; 0 where there is none.
    """

    architecture: str
    n_ctx_train: int
    n_ctx_orig: int = 0
    scaling: str = ""
    factor: float = 0.0


def wanted(scaling: RopeScaling, factor: float) -> RopeScaling:
    """Return the way that settings mean: a factor alone means YaRN, which loses least."""
    return "yarn" if scaling == "auto" and factor > 1 else scaling


def n_ctx_max(rope: Rope, scaling: RopeScaling, factor: float) -> int:
    """Return the tokens that a model takes with a way of scaling; 0 where the file does not tell
    what it was trained on."""
    base = rope.n_ctx_orig or rope.n_ctx_train
    match wanted(scaling, factor):
        case "none":
            return base
        case "auto":
            return _as_filed(rope)
        case _:
            return int(base * factor)


def _as_filed(rope: Rope) -> int:
    """Return the context that the file's own scaling comes to."""
    if rope.factor <= 1 or rope.scaling not in ("linear", "yarn", ""):
        return rope.n_ctx_train
    if rope.n_ctx_orig:
        return max(rope.n_ctx_train, int(rope.n_ctx_orig * rope.factor))
    short = rope.architecture == "llama" and rope.n_ctx_train <= _LLAMA_N_CTX
    return int(rope.n_ctx_train * rope.factor) if short else rope.n_ctx_train


@dataclass(frozen=True)
class RopeParameters:
    """llama_context_params' fields by these names; 0: as the file has it.

    Attributes:
        scaling: None: as the file has it.
    """

    scaling: RopeScaling | None = None
    freq_base: float = 0.0
    freq_scale: float = 0.0
    yarn_orig_ctx: int = 0


def parameters(
    rope: Rope, scaling: RopeScaling, factor: float, *, freq_base: float, n_dims: int
) -> RopeParameters:
    """Return what llama.cpp is told.

    Args:
        freq_base: the file's own.
        n_dims: of a head, that are rotated.
    """
    match wanted(scaling, factor):
        case "none":
            return RopeParameters("none")
        case "linear":
            return RopeParameters("linear", freq_scale=1 / factor)
        case "yarn":
            original = rope.n_ctx_orig or rope.n_ctx_train
            return RopeParameters("yarn", freq_scale=1 / factor, yarn_orig_ctx=original)
        case "ntk":
            raised = freq_base * factor ** (n_dims / (n_dims - 2))
            return RopeParameters("none", freq_base=raised)
        case _:
            return RopeParameters()
