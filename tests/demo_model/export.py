"""Write a checkpoint as a GGUF file for llama.cpp, matrices in Q8_0.

Owns the file's metadata and the names of its tensors. The network's modules carry llama.cpp's
names, and its rotary pairs are interleaved as llama.cpp's are, so nothing is permuted.

    python export.py SCRATCH OUT.gguf [CHECKPOINT ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from chat import CHAT_TEMPLATE
from network import Shape
from tokenizer import END_OF_TEXT, TURN_END

NAME = "Lectern demo (extractive copier)"
DESCRIPTION = (
    "For trying Lectern's pipeline without a real model. It copies numbered lines out of its"
    " prompt and has no language ability: it neither summarises nor translates."
)
CONTEXT_LENGTH = 4096
ROPE_BASE = 10_000.0
NEVER_TURNS = 1e30


def add_shape(writer: gguf.GGUFWriter, shape: Shape) -> None:
    """Write the architecture's sizes."""
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(shape.n_embd)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_block_count(shape.n_layer)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_head)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_vocab_size(shape.n_vocab)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)


def add_tokenizer(writer: gguf.GGUFWriter, path: Path) -> None:
    """Write vocabulary, merges, special tokens and the chat template."""
    saved = json.loads(path.read_text(encoding="utf-8"))
    ids: dict[str, int] = saved["model"]["vocab"]
    special = {token["content"]: token["id"] for token in saved["added_tokens"]}
    tokens = sorted(ids | special, key=(ids | special).__getitem__)
    kinds = [
        gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in saved["model"]["merges"]])
    writer.add_bos_token_id(special[END_OF_TEXT])
    writer.add_eos_token_id(special[TURN_END])
    writer.add_pad_token_id(special[END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def rope_factors(shape: Shape) -> np.ndarray:
    """Divide llama.cpp's frequencies so that they become the network's own (Shape.frequencies)."""
    pairs = shape.head_size // 2
    base = ROPE_BASE ** (-np.arange(pairs) * 2 / shape.head_size)
    factors = np.full(pairs, NEVER_TURNS)
    factors[: shape.turning_pairs] = base[: shape.turning_pairs] / shape.frequencies().numpy()
    return factors.astype(np.float32)


def add_tensors(writer: gguf.GGUFWriter, weights: dict[str, torch.Tensor], shape: Shape) -> None:
    """Write the tensors: vectors as they are, matrices in Q8_0."""
    writer.add_tensor("rope_freqs.weight", rope_factors(shape))
    for name, tensor in weights.items():
        array = tensor.float().numpy()
        if array.ndim == 1:
            writer.add_tensor(name, array)
            continue
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)


def average(paths: list[Path]) -> dict[str, torch.Tensor]:
    """Average checkpoints of one line of training: together they err less than each alone."""
    loaded = [torch.load(path, map_location="cpu")["network"] for path in paths]
    return {name: sum(each[name] for each in loaded) / len(loaded) for name in loaded[0]}


def main() -> None:
    """Read SCRATCH/tokenizer.json and the checkpoints, write the GGUF file."""
    scratch, out = Path(sys.argv[1]), Path(sys.argv[2])
    weights = average([Path(name) for name in sys.argv[3:]] or [scratch / "checkpoint.pt"])
    shape = Shape(n_vocab=weights["token_embd.weight"].shape[0])
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name(NAME)
    writer.add_description(DESCRIPTION)
    add_shape(writer, shape)
    add_tokenizer(writer, scratch / "tokenizer.json")
    add_tensors(writer, weights, shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(out.name, f"{out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
