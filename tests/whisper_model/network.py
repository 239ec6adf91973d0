"""Whisper's network in PyTorch, small, and how it begins. Owns the weights' shapes.

The last dimensions of the streams carry the position alone at first, and chosen attention heads
begin by looking at a fixed distance, so that the encoder starts as a convolution would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

MELS, POSITIONS, STEPS = 80, 1500, 448
PLACE = 32
ENCODER_LOOKS = ((-3, 3, -8, 8), (-6, 6, -14, 14), (-10, 10, -20, 20), (-10, 10, -26, 26))
DECODER_LOOKS = ((-1, -2), (-1, None), (-1, None))


@dataclass(frozen=True)
class Shape:
    """How large the network is."""

    tokens: int
    times: int
    classes: int
    told: int
    width: int = 128
    hidden: int = 512
    encoder_heads: int = 4
    decoder_heads: int = 2


def places(count: int, width: int, fastest: float, slowest: float) -> Tensor:
    """Sines and cosines of each place in the last dimensions, zeros before."""
    pairs = PLACE // 2
    rates = fastest * (slowest / fastest) ** (torch.arange(pairs) / (pairs - 1))
    angles = torch.arange(count)[:, None] * rates
    table = torch.zeros(count, width)
    table[:, width - PLACE : width - pairs] = angles.sin()
    table[:, width - pairs :] = angles.cos()
    return table


class Attention(nn.Module):
    """Attention of a stream to itself or to another, with its norm and the way back."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        h = self.norm(x)
        q, k, v = (self.split(part(h)) for part in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return x + self.out(mixed.transpose(1, 2).flatten(2))

    def across(self, x: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """The stream after attending to the source, and the first head's log weights."""
        q = self.split(self.query(self.norm(x)))
        k, v = self.split(self.key(source)), self.split(self.value(source))
        scores = (q @ k.transpose(2, 3)).float() / math.sqrt(q.shape[-1])
        logs = scores.log_softmax(-1)
        mixed = logs.exp().to(v.dtype) @ v
        return x + self.out(mixed.transpose(1, 2).flatten(2)), logs[:, 0]

    @torch.no_grad()
    def look(self, head: int, distance: float, rates: Tensor, gain: float) -> None:
        """Make a head attend to the place at this distance."""
        size, pairs = self.query.weight.shape[0] // self.heads, PLACE // 2
        width = self.query.weight.shape[1]
        rows = slice(head * size, (head + 1) * size)
        for linear, turn in ((self.query, distance), (self.key, 0.0)):
            linear.weight[rows] = 0
            block = torch.zeros(size, PLACE)
            cos, sin = torch.diag((rates * turn).cos()), torch.diag((rates * turn).sin())
            block[:pairs] = torch.cat([cos, sin], 1)
            block[pairs : 2 * pairs] = torch.cat([-sin, cos], 1)
            linear.weight[rows, width - PLACE :] = block * gain


class FeedForward(nn.Module):
    """The two layers that follow attention."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(F.gelu(self.inner(self.norm(x))))


class Encoder(nn.Module):
    """From 80 mel bands at 100 frames a second to a stream of 50 places a second."""

    fastest, slowest = 1.0, 0.003

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(MELS, shape.width, 3, padding=1)
        self.conv2 = nn.Conv1d(shape.width, shape.width, 3, stride=2, padding=1)
        self.places = nn.Parameter(
            places(POSITIONS, shape.width, self.fastest, self.slowest), requires_grad=False
        )
        layers = len(ENCODER_LOOKS)
        self.attention = nn.ModuleList(
            Attention(shape.width, shape.encoder_heads) for _ in range(layers)
        )
        self.forward_layers = nn.ModuleList(
            FeedForward(shape.width, shape.hidden) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(shape.width)
        with torch.no_grad():
            self.conv2.weight[shape.width - PLACE :] = 0
            self.conv2.bias[shape.width - PLACE :] = 0
            self.conv1.weight *= 2
            self.conv2.weight *= 3
        pairs = PLACE // 2
        rates = self.fastest * (self.slowest / self.fastest) ** (torch.arange(pairs) / (pairs - 1))
        for attention, looks in zip(self.attention, ENCODER_LOOKS, strict=True):
            for head, distance in enumerate(looks):
                attention.look(head, distance, rates, 1.6)

    def forward(self, features: Tensor, first: int = 0) -> Tensor:
        """`features` are (batch, mels, frames); `first` is the place of the first of them."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(features)))).transpose(1, 2)
        x = x + self.places[first : first + x.shape[1]]
        for attention, after in zip(self.attention, self.forward_layers, strict=True):
            x = after(attention(x))
        return self.norm(x)


class Decoder(nn.Module):
    """From tokens and the encoder's stream to the next tokens."""

    fastest, slowest = 1.5, 0.005

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(shape.tokens, shape.width) * 0.3)
        self.places = nn.Parameter(places(STEPS, shape.width, self.fastest, self.slowest))
        layers = len(DECODER_LOOKS)
        self.itself = nn.ModuleList(
            Attention(shape.width, shape.decoder_heads) for _ in range(layers)
        )
        self.source = nn.ModuleList(
            Attention(shape.width, shape.decoder_heads) for _ in range(layers)
        )
        self.forward_layers = nn.ModuleList(
            FeedForward(shape.width, shape.hidden) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(shape.width)
        with torch.no_grad():
            self.embedding[:, shape.width - PLACE :] = 0
            times = places(shape.times, PLACE, Encoder.fastest, Encoder.slowest)
            turn = torch.linalg.qr(torch.randn(shape.width - PLACE, PLACE))[0].T
            self.embedding[-shape.times :, : shape.width - PLACE] = times @ turn
        pairs = PLACE // 2
        rates = self.fastest * (self.slowest / self.fastest) ** (torch.arange(pairs) / (pairs - 1))
        for attention, looks in zip(self.itself, DECODER_LOOKS, strict=True):
            for head, distance in enumerate(looks):
                if distance is not None:
                    attention.look(head, distance, rates, 2.5)

    def forward(self, tokens: Tensor, source: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The logits, and of each layer the log weights of the head that follows the audio."""
        x = self.embedding[tokens] + self.places[: tokens.shape[1]]
        followed = []
        for itself, across, after in zip(
            self.itself, self.source, self.forward_layers, strict=True
        ):
            x, logs = across.across(itself(x, causal=True), source)
            followed.append(logs)
            x = after(x)
        return self.norm(x) @ self.embedding.T, followed


class Whisper(nn.Module):
    """The whole, and the classifiers of words that only training needs."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(shape)
        self.decoder = Decoder(shape)
        self.classes = nn.Linear(shape.width, shape.told * shape.classes)

    def classify(self, source: Tensor) -> Tensor:
        """Logits of what the encoder has to know at each place."""
        return self.classes(source).unflatten(-1, (self.shape.told, -1))
