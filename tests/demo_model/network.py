"""The network: a small llama with heads that begin as what a copier needs.

Owns the shapes, the initialisation and the forward pass. It knows nothing of text. Three things
make it learn to copy in minutes: rotary pairs of which half never turn (exported as
`rope_freqs`), first-layer heads that start out looking one to four tokens back, and heads in the
last two layers that start out copying what they look at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Sizes of the network, in llama.cpp's words where it has them."""

    n_vocab: int = 8192
    n_embd: int = 256
    n_layer: int = 5
    n_head: int = 6
    head_size: int = 64
    n_ff: int = 640
    norm_eps: float = 1e-5
    turning_pairs: int = 16
    longest_wave: float = 2000.0

    def frequencies(self) -> Tensor:
        """Radians a token of each turning pair: geometric, from 1 down to 1/longest_wave."""
        steps = torch.arange(self.turning_pairs, dtype=torch.float64) / (self.turning_pairs - 1)
        return self.longest_wave**-steps


PREVIOUS_HEADS = 4
POINTER_HEADS = 2


@dataclass(frozen=True)
class Lesson:
    """Where one head should look: for each row of the batch, queries and their targets.

    Args:
        queries: positions, shape (batch, n).
        targets: positions, shape (batch, n); -1 where there is none.
    """

    queries: Tensor
    targets: Tensor


Lessons = Mapping[tuple[int, int], Sequence[Lesson]]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn interleaved pairs, as llama.cpp does for this architecture; the rest stays."""
    turning = 2 * cos.shape[-1]
    even, odd = x[..., 0:turning:2], x[..., 1:turning:2]
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)
    return torch.cat((turned, x[..., turning:]), -1)


def narrow(x: Tensor) -> Tensor:
    """Cast once to what autocast would cast each use to."""
    return x.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else x


def lesson_loss(query: Tensor, key: Tensor, lesson: Lesson) -> Tensor:
    """Cross-entropy of one head's attention (query, key: batch, time, size) towards the targets."""
    batch, time, size = key.shape
    count = lesson.queries.shape[1]
    rows = query.gather(1, lesson.queries.view(batch, count, 1).expand(batch, count, size))
    scores = torch.bmm(rows, key.transpose(1, 2)).float() / math.sqrt(size)
    future = torch.arange(time)[None, None, :] > lesson.queries[:, :, None]
    log_weights = functional.log_softmax(scores.masked_fill(future, -1e9), -1)
    wanted = lesson.targets >= 0
    picked = log_weights.gather(2, lesson.targets.clamp(min=0)[:, :, None])[:, :, 0]
    return -(picked * wanted).sum() / wanted.sum().clamp(min=1)


class Block(nn.Module):
    """Attention and a gated feed-forward, each behind an RMS norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.n_head * shape.head_size
        self.attn_norm = nn.RMSNorm(shape.n_embd, eps=shape.norm_eps)
        self.ffn_norm = nn.RMSNorm(shape.n_embd, eps=shape.norm_eps)
        self.attn_q = nn.Linear(shape.n_embd, width, bias=False)
        self.attn_k = nn.Linear(shape.n_embd, width, bias=False)
        self.attn_v = nn.Linear(shape.n_embd, width, bias=False)
        self.attn_output = nn.Linear(width, shape.n_embd, bias=False)
        self.ffn_gate = nn.Linear(shape.n_embd, shape.n_ff, bias=False)
        self.ffn_up = nn.Linear(shape.n_embd, shape.n_ff, bias=False)
        self.ffn_down = nn.Linear(shape.n_ff, shape.n_embd, bias=False)
        self._start()

    def _start(self) -> None:
        for layer in (self.attn_q, self.attn_k, self.attn_v, self.ffn_gate, self.ffn_up):
            nn.init.normal_(layer.weight, std=self.shape.n_embd**-0.5)
        for layer in (self.attn_output, self.ffn_down):
            nn.init.normal_(layer.weight, std=0.3 * layer.in_features**-0.5)

    def _heads(self, x: Tensor) -> Tensor:
        batch, time, _ = x.shape
        return x.view(batch, time, self.shape.n_head, self.shape.head_size).transpose(1, 2)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, lessons: Mapping[int, Sequence[Lesson]]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the new residual stream and one loss for each lesson given to a head."""
        batch, time, _ = x.shape
        y = narrow(self.attn_norm(x))
        value = self._heads(self.attn_v(y))
        cos, sin = cos.to(value.dtype), sin.to(value.dtype)
        query = rotate(self._heads(self.attn_q(y)), cos, sin)
        key = rotate(self._heads(self.attn_k(y)), cos, sin)
        losses = [
            lesson_loss(query[:, head], key[:, head], lesson)
            for head, given in lessons.items()
            for lesson in given
        ]
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attn_output(attended.transpose(1, 2).reshape(batch, time, -1))
        y = narrow(self.ffn_norm(x))
        return x + self.ffn_down(functional.silu(self.ffn_gate(y)) * self.ffn_up(y)), losses


class Network(nn.Module):
    """The whole model; the output layer is the embedding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.n_vocab, shape.n_embd)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.n_layer))
        self.output_norm = nn.RMSNorm(shape.n_embd, eps=shape.norm_eps)
        self.register_buffer("frequencies", shape.frequencies().float(), persistent=False)
        with torch.no_grad():
            self._start_embedding()
            for head in range(PREVIOUS_HEADS):
                self._start_previous_head(head)
            for order, layer in enumerate((shape.n_layer - 2, shape.n_layer - 1)):
                for head in range(POINTER_HEADS):
                    self._start_pointer_head(layer, head, order * POINTER_HEADS + head)

    def _start_embedding(self) -> None:
        """Large embeddings and a small last norm; one constant axis, as llama has no biases."""
        nn.init.normal_(self.token_embd.weight, std=1.0)
        self.token_embd.weight[:, 0] = 4.0
        nn.init.constant_(self.output_norm.weight, 1 / 12)

    def _start_previous_head(self, head: int) -> None:
        """Let a first-layer head look `head + 1` tokens back, by position alone."""
        block = self.blk[0]
        rows = slice(head * self.shape.head_size, (head + 1) * self.shape.head_size)
        block.attn_q.weight[rows] *= 0.1
        block.attn_k.weight[rows] *= 0.1
        for pair in range(10):
            row = rows.start + 2 * pair
            angle = (head + 1) * float(self.frequencies[pair])
            block.attn_k.weight[row, 0] = 1.9
            block.attn_q.weight[row, 0] = 1.9 * math.cos(angle)
            block.attn_q.weight[row + 1, 0] = -1.9 * math.sin(angle)

    def _start_pointer_head(self, layer: int, head: int, part: int) -> None:
        """Let a head copy one quarter of the embedding that it looks at."""
        size = self.shape.head_size
        rows, axes = slice(head * size, (head + 1) * size), slice(part * size, (part + 1) * size)
        block = self.blk[layer]
        block.attn_v.weight[rows] = 0
        block.attn_output.weight[:, rows] = 0
        block.attn_v.weight[rows, axes] = torch.eye(size)
        block.attn_output.weight[axes, rows] = 3.0 * torch.eye(size)

    def forward(
        self, ids: Tensor, positions: Tensor, rows: tuple[Tensor, Tensor], lessons: Lessons
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """Return logits at `rows` (batch and time indices) and the lesson losses by layer."""
        angles = positions.float()[:, None, :, None] * self.frequencies
        cos, sin = angles.cos(), angles.sin()
        x = self.token_embd(ids)
        losses: list[list[Tensor]] = []
        for number, block in enumerate(self.blk):
            mine = {head: given for (layer, head), given in lessons.items() if layer == number}
            x, lost = block(x, cos, sin, mine)
            losses.append(lost)
        return functional.linear(self.output_norm(x)[rows], self.token_embd.weight), losses
