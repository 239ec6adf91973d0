"""Models of a real one's shape, with weights from a random generator and known answers.

Speed and memory depend on a model's shape and not on what its weights say. So that answers can
be checked all the same, the blocks hardly change what flows past them, and the output matrix is
the embeddings' moved on by a row: after token t comes token t + 1. It follows that the output
matrix can't be the embeddings themselves, as in the models of these shapes; the work for a token
is the same, the file is larger by one matrix.

The vocabulary has the size of theirs: the bytes, three control tokens, and numbered words
that no text is ever cut into, so prompts are given as tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

_CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
FIRST_WORD = 256 + len(_CONTROL)  # the tokens before are bytes and control tokens
_BLOCK_SCALE = 0.01  # of the blocks' weights, beside 1 of the embeddings'
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
Matrix = NDArray[np.float16]


@dataclass(frozen=True)
class Shape:
    """What determines the work for a token; names are GGUF's."""

    name: str
    block_count: int
    embedding_length: int
    head_count: int
    head_count_kv: int
    feed_forward_length: int
    vocabulary: int
    context_length: int = 32768


# As the configurations of Qwen2.5-0.5B and -1.5B have them.
HALF_B = Shape("0.5B", 24, 896, 14, 2, 4864, 151_936)
ONE_AND_HALF_B = Shape("1.5B", 28, 1536, 12, 2, 8960, 151_936)
TINY = Shape("tiny", 2, 256, 4, 2, 256, 4096)  # for the benchmark's own test
SHAPES = {shape.name: shape for shape in (HALF_B, ONE_AND_HALF_B, TINY)}


def word(token: int) -> str:
    """Return a word token's text, without the blank before it."""
    return f"w{token}"


def write_model(path: Path, shape: Shape, block_scale: float = _BLOCK_SCALE) -> None:
    """Write the model in f16. All blocks share one set of random weights in memory.

    Args:
        block_scale: of their weights; beyond about 0.03 answers depend on all of the context.
    """
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name(f"random-{shape.name}")
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.embedding_length)
    writer.add_block_count(shape.block_count)
    writer.add_feed_forward_length(shape.feed_forward_length)
    writer.add_head_count(shape.head_count)
    writer.add_head_count_kv(shape.head_count_kv)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_vocabulary(writer, shape.vocabulary)
    for name, tensor in _tensors(shape, block_scale):
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter, size: int) -> None:
    words = [f"Ġ{word(token)}" for token in range(FIRST_WORD, size)]
    normal, control = int(gguf.TokenType.NORMAL), int(gguf.TokenType.CONTROL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*_byte_tokens(), *_CONTROL, *words])
    writer.add_token_types([normal] * 256 + [control] * len(_CONTROL) + [normal] * len(words))
    # As many as a real vocabulary has, since reading them takes its time; none ever applies.
    writer.add_token_merges([f"{one} {other}" for one, other in itertools.pairwise(words)])
    writer.add_eos_token_id(256 + _CONTROL.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(_TEMPLATE)


def _byte_tokens() -> list[str]:
    """Return GPT-2's printable stand-ins for the 256 bytes, in byte order."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def _tensors(shape: Shape, block_scale: float) -> Iterator[tuple[str, NDArray[np.generic]]]:
    rng = np.random.default_rng(0)
    d, ff = shape.embedding_length, shape.feed_forward_length
    kv = shape.head_count_kv * (d // shape.head_count)

    def weights(rows: int, columns: int, scale: float = block_scale) -> Matrix:
        return (rng.standard_normal((rows, columns), np.float32) * np.float32(scale)).astype(
            np.float16
        )

    embeddings = weights(shape.vocabulary, d, 1.0)
    yield "token_embd.weight", embeddings
    yield "output.weight", np.roll(embeddings, 1, axis=0)
    yield "output_norm.weight", np.ones(d, np.float32)
    block: dict[str, NDArray[np.generic]] = {
        "attn_norm.weight": np.ones(d, np.float32),
        "ffn_norm.weight": np.ones(d, np.float32),
        "attn_q.weight": weights(d, d),
        "attn_q.bias": np.zeros(d, np.float32),
        "attn_k.weight": weights(kv, d),
        "attn_k.bias": np.zeros(kv, np.float32),
        "attn_v.weight": weights(kv, d),
        "attn_v.bias": np.zeros(kv, np.float32),
        "attn_output.weight": weights(d, d),
        "ffn_gate.weight": weights(ff, d),
        "ffn_up.weight": weights(ff, d),
        "ffn_down.weight": weights(d, ff),
    }
    for number in range(shape.block_count):
        yield from ((f"blk.{number}.{name}", tensor) for name, tensor in block.items())
