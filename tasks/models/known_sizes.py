"""What the models with names take, in files and in memory: sizes.toml, beside models.toml.

Owns that file's form. What stands in it is computed in tasks.pool.sizes.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveInt, TypeAdapter

from tasks.models.registry import read_tables

QUANTIZATIONS = ("Q4_0", "Q4_K_M", "Q5_K_M", "Q8_0")
N_CTX = 4096


class Size(BaseModel):
    """Bytes of one model in one quantization.

    Attributes:
        file: all tensors.
        memory_1, memory_8: with the caches of one and of eight sequences of N_CTX tokens, and what
            computing takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: PositiveInt
    memory_1: PositiveInt
    memory_8: PositiveInt


Sizes = dict[str, Size]
"""Of one model, by quantization."""

_FORM = TypeAdapter(dict[str, Sizes])


def read_sizes(path: Path) -> dict[str, Sizes]:
    """Read sizes.toml, by the models' names; a missing file has none.

    Raises:
        ModelError: it is malformed, or can't be read.
    """
    return read_tables(path, _FORM)
