"""Which tensors a model of a shape has, as llama.cpp's converter writes them.

Owns the lists of the architectures that can be told from a shape alone (llama.cpp's
src/models/*.cpp, `load_arch_tensors`). Knows no types and no files. Factors that scale positions
(some hundred bytes, which the shape does not tell) are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from tasks.models.registry import ModelShape


class UnknownShapeError(Exception):
    """The model is not of a kind whose tensors are known here."""


@dataclass(frozen=True)
class Tensor:
    """One of a model's.

    Attributes:
        shape: the row's length last, as numpy has it.
    """

    name: str
    shape: tuple[int, ...]

    @property
    def n_weights(self) -> int:
        return prod(self.shape)

    @property
    def is_matrix(self) -> bool:
        """Whether the converter keeps it in fewer bits than 32."""
        whole = ("ffn_gate_inp", "ssm_conv1d")
        return len(self.shape) > 1 and not any(name in self.name for name in whole)


@dataclass(frozen=True)
class Layout:
    """What an architecture's blocks have beside plain attention and feed-forward.

    Attributes:
        one_qkv: queries, keys and values come from one matrix.
        one_gate_up: the gate and what it lets through come from one matrix.
        ffn_norm: the feed-forward part has a norm of its own before it.
        post_norms: norms follow both parts.
        layer_norm: norms subtract the mean, which have an epsilon of another name.
        gated: what attention finds passes a gate, whose weights are among those of the queries.
    """

    one_qkv: bool = False
    qkv_bias: bool = False
    qk_norm: bool = False
    one_gate_up: bool = False
    ffn_norm: bool = True
    post_norms: bool = False
    layer_norm: bool = False
    gated: bool = False


_PLAIN = Layout()
_COHERE = Layout(ffn_norm=False, layer_norm=True)
LAYOUTS = {
    "baichuan": _PLAIN,
    "chatglm": Layout(one_qkv=True, qkv_bias=True, one_gate_up=True),
    "cohere2": _COHERE,
    "command-r": _COHERE,
    "gemma": _PLAIN,
    "gemma2": Layout(post_norms=True),
    "gemma3": Layout(qk_norm=True, post_norms=True),
    "glm4": Layout(one_gate_up=True, post_norms=True),
    "hunyuan-dense": Layout(qk_norm=True),
    "internlm2": _PLAIN,
    "llama": _PLAIN,
    "minicpm": _PLAIN,
    "mistral3": _PLAIN,
    "phi3": Layout(one_qkv=True, one_gate_up=True),
    "qwen2": Layout(qkv_bias=True),
    "qwen3": Layout(qk_norm=True),
    "qwen35": Layout(qk_norm=True, gated=True, ffn_norm=False),
    "qwen3moe": Layout(qk_norm=True),
}


def layout_of(shape: ModelShape) -> Layout:
    """Return what a shape's architecture says of it.

    Raises:
        UnknownShapeError: it is none of LAYOUTS.
    """
    if shape.architecture not in LAYOUTS:
        raise UnknownShapeError(
            f"the tensors of its architecture, {shape.architecture}, are not known"
        )
    return LAYOUTS[shape.architecture]


def tensors_of(shape: ModelShape) -> Iterator[Tensor]:
    """Yield all of a model's tensors.

    Raises:
        UnknownShapeError: its architecture's are not known.
    """
    layout = layout_of(shape)
    width = shape.embedding_length
    yield Tensor("token_embd.weight", (shape.n_vocab, width))
    if not shape.tied_embeddings or shape.repeated_embeddings:
        yield Tensor("output.weight", (shape.n_vocab, width))
    yield Tensor("output_norm.weight", (width,))
    for number in range(shape.block_count):
        block = _state(shape) if shape.has_state(number) else _attention(shape, layout)
        for tensor in (*block, *_feed_forward(shape, layout)):
            yield Tensor(f"blk.{number}.{tensor.name}", tensor.shape)


def n_parameters(shape: ModelShape) -> int:
    """Return the weights of all tensors, those that a file repeats once.

    Raises:
        UnknownShapeError: its architecture's are not known.
    """
    once = shape.model_copy(update={"repeated_embeddings": False})
    return sum(tensor.n_weights for tensor in tensors_of(once))


def _attention(shape: ModelShape, layout: Layout) -> Iterator[Tensor]:
    width, head = shape.embedding_length, shape.head_length
    q, kv = shape.head_count * head, shape.head_count_kv * head
    yield Tensor("attn_norm.weight", (width,))
    asked = 2 * q if layout.gated else q
    rows = {"qkv": q + 2 * kv} if layout.one_qkv else {"q": asked, "k": kv, "v": kv}
    for name, n in rows.items():
        yield Tensor(f"attn_{name}.weight", (n, width))
        if layout.qkv_bias or shape.attention_bias:
            yield Tensor(f"attn_{name}.bias", (n,))
    if layout.qk_norm:
        yield Tensor("attn_q_norm.weight", (head,))
        yield Tensor("attn_k_norm.weight", (head,))
    yield Tensor("attn_output.weight", (width, q))
    if layout.post_norms or layout.gated:
        yield Tensor("post_attention_norm.weight", (width,))


def _state(shape: ModelShape) -> Iterator[Tensor]:
    """Yield what a block with a gated delta net has instead of attention."""
    width, inner, heads = shape.embedding_length, shape.ssm_inner_size, shape.ssm_time_step_rank
    mixed = inner + 2 * shape.ssm_group_count * shape.ssm_state_size
    yield Tensor("attn_norm.weight", (width,))
    yield Tensor("attn_qkv.weight", (mixed, width))
    yield Tensor("attn_gate.weight", (inner, width))
    yield Tensor("ssm_conv1d.weight", (mixed, shape.ssm_conv_kernel))
    yield Tensor("ssm_dt.bias", (heads,))
    yield Tensor("ssm_a", (heads,))
    yield Tensor("ssm_beta.weight", (heads, width))
    yield Tensor("ssm_alpha.weight", (heads, width))
    yield Tensor("ssm_norm.weight", (shape.ssm_state_size,))
    yield Tensor("ssm_out.weight", (width, inner))
    yield Tensor("post_attention_norm.weight", (width,))


def _feed_forward(shape: ModelShape, layout: Layout) -> Iterator[Tensor]:
    width, inner = shape.embedding_length, shape.feed_forward_length
    if layout.ffn_norm:
        yield Tensor("ffn_norm.weight", (width,))
    if shape.expert_count:
        yield from _experts(shape)
    elif layout.one_gate_up:
        yield Tensor("ffn_up.weight", (2 * inner, width))
        yield Tensor("ffn_down.weight", (width, inner))
    else:
        yield Tensor("ffn_gate.weight", (inner, width))
        yield Tensor("ffn_up.weight", (inner, width))
        yield Tensor("ffn_down.weight", (width, inner))
    if layout.post_norms:
        yield Tensor("post_ffw_norm.weight", (width,))


def _experts(shape: ModelShape) -> Iterator[Tensor]:
    width, n = shape.embedding_length, shape.expert_count
    inner = shape.expert_feed_forward_length or shape.feed_forward_length
    yield Tensor("ffn_gate_inp.weight", (n, width))
    yield Tensor("ffn_gate_exps.weight", (n, inner, width))
    yield Tensor("ffn_up_exps.weight", (n, inner, width))
    yield Tensor("ffn_down_exps.weight", (n, width, inner))
