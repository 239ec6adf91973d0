"""What the tiny models of several architectures have in common: bytes for a vocabulary, and writing
them down."""

from __future__ import annotations

from collections.abc import Iterable

import gguf
import numpy as np
from numpy.typing import NDArray
from support.tiny_model import CHATML, EOG, SPECIAL, TOKENS

Tensor = NDArray[np.float32]


def add_bytes(writer: gguf.GGUFWriter) -> None:
    """Add the tiny model's vocabulary and its chat template."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([1] * (len(TOKENS) - len(SPECIAL)) + [3] * len(SPECIAL))
    writer.add_token_merges([f"{TOKENS[0]} {TOKENS[1]}"])  # none makes a token; there must be one
    writer.add_eos_token_id(EOG)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


def ascii_output(weights: Tensor) -> Tensor:
    """Return an output matrix with which no token but ASCII's is ever the best."""
    weights[[t for t in range(len(TOKENS)) if not 32 <= t < 127]] = 0
    return weights


def write(writer: gguf.GGUFWriter, tensors: Iterable[tuple[str, Tensor]]) -> None:
    for name, tensor in tensors:
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
