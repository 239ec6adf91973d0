"""Train the small Whisper on espeak-ng's speech, and export it: one command, no network.

    cd tests && python -m whisper_model.train_whisper SCRATCH ../data/models/whisper-demo

Owns batches, the losses and the learning rate. The corpus and the checkpoint are kept in SCRATCH.
"""

from __future__ import annotations

import argparse
import math
import os
import pickle
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from whisper_model.clips import CLASSES, IGNORED, Clip, Composer, noises, synthesize
from whisper_model.export import export
from whisper_model.network import Shape, Whisper
from whisper_model.vocabulary import END, NUMBER, TIMES, TRAINED

SENTENCES, NOISES, SEED = 12000, 60, 1
PHASES = (
    (0.10, 0.0, ((200, 32),)),
    (0.30, 0.0, ((250, 24), (400, 14))),
    (0.40, 0.2, ((300, 18), (500, 9), (750, 5), (1100, 3))),
    (0.60, 0.2, ((500, 9), (750, 5), (750, 5), (1100, 3), (1500, 2))),
    (1.01, 0.2, ((750, 5), (1000, 4), (1500, 2), (1500, 2))),
)
"""Until which share of the steps; the chance of timestamps; places and clips of a batch."""
MOVED = (0.7, 0.1)
"""How often clips do not begin with the 30 s, at first and later: later, time tells the place."""

RATE, WARM_STEPS, LEAST = 2e-3, 150, 0.02
CLASS_WEIGHTS = (1.0, 0.4, 0.4, 0.4, 0.3, 0.3)
CLASS_WEIGHT, LOOK_WEIGHTS, OWN_WEIGHT = 0.5, (0.15, 0.3), 0.15
REPORT_STEPS, SAVE_STEPS = 50, 250


@dataclass(frozen=True)
class Batch:
    """Clips of the same number of places, padded to the same number of tokens."""

    features: Tensor
    tokens: Tensor
    targets: Tensor
    spans: Tensor
    own_spans: Tensor
    classes: Tensor

    @classmethod
    def of(cls, clips: list[Clip]) -> Batch:
        longest = max(len(clip.tokens) for clip in clips)

        def filled(rows: list[list[int]], value: int) -> Tensor:
            return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])

        def spans(rows: list[list[tuple[int, int]]]) -> Tensor:
            return torch.tensor([[*row, *[(0, 0)] * (longest - len(row))] for row in rows])

        return cls(
            torch.from_numpy(np.stack([clip.features for clip in clips])),
            filled([clip.tokens for clip in clips], NUMBER[END]),
            filled([clip.targets for clip in clips], IGNORED),
            spans([clip.spans for clip in clips]),
            spans([clip.own_spans for clip in clips]),
            torch.from_numpy(np.stack([clip.classes for clip in clips])),
        )


def looks_lost(logs: Tensor, spans: Tensor) -> Tensor:
    """The cross entropy of a head that should look evenly at each span."""
    place = torch.arange(logs.shape[-1])
    inside = (place >= spans[..., :1]) & (place < spans[..., 1:])
    sizes = inside.sum(-1)
    even = -(logs * inside).sum(-1) / sizes.clamp(min=1)
    return (even * (sizes > 0)).sum() / (sizes > 0).sum().clamp(min=1)


def losses(model: Whisper, batch: Batch, first: int, spell: bool) -> tuple[Tensor, list[float]]:
    """The loss, and what it is made of. Without `spell` only the encoder is trained."""
    source = model.encoder(batch.features, first)
    classified = model.classify(source).float()
    of_class = sum(
        weight * F.cross_entropy(classified[:, :, i].flatten(0, 1), batch.classes[:, i].flatten())
        for i, weight in enumerate(CLASS_WEIGHTS)
    )
    right = (classified[:, :, 0].argmax(-1) == batch.classes[:, 0]).float().mean()
    if not spell:
        return of_class, [float(of_class.detach()), float(right)]
    logits, followed = model.decoder(batch.tokens, source)
    flat, targets = logits.float().flatten(0, 1), batch.targets.flatten()
    of_token = F.cross_entropy(flat, targets, ignore_index=IGNORED)
    kept = targets != IGNORED
    hits = (flat.argmax(-1) == targets)[kept].float().mean()
    own = looks_lost(followed[0], batch.own_spans)
    middle, last = (looks_lost(logs, batch.spans) for logs in followed[1:])
    total = of_token + CLASS_WEIGHT * of_class + OWN_WEIGHT * own
    total = total + LOOK_WEIGHTS[0] * middle + LOOK_WEIGHTS[1] * last
    parts = (of_class, right, of_token, hits, own, middle, last)
    return total, [float(part.detach()) for part in parts]


def corpus(scratch: Path, seed: int) -> Composer:
    """Draws from the corpus, which is made at the first call."""
    path = scratch / "corpus.pickle"
    if not path.exists():
        made = list(synthesize(SENTENCES, SEED)), list(noises(NOISES, SEED))
        path.write_bytes(pickle.dumps(made))
    return Composer(*pickle.loads(path.read_bytes()), seed)


def batches(composer: Composer, steps: range, total: int) -> Iterator[tuple[Batch, int]]:
    """A batch of each step, and the place in the 30 s where its features begin."""
    rng = random.Random(f"batches {SEED} {steps.start}")
    for step in steps:
        _, timed, sizes = next(p for p in PHASES if step / total < p[0])
        places, count = rng.choice(sizes)
        moved = MOVED[step / total >= PHASES[1][0]]
        first = rng.randint(0, 1500 - places) if rng.random() < moved else 0
        yield Batch.of([composer.clip(places, timed) for _ in range(count)]), first


def rate(step: int, total: int, highest: float) -> float:
    """The learning rate: a short rise, then half a cosine."""
    falling = 0.5 * (1 + math.cos(math.pi * min(1, step / total)))
    return highest * min(1, (step + 1) / WARM_STEPS) * (falling * (1 - LEAST) + LEAST)


def optimizer(model: Whisper) -> torch.optim.AdamW:
    """AdamW that pulls matrices towards zero, and vectors not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.02},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98), fused=True)


def train(asked: argparse.Namespace) -> None:
    """Train until `steps`, from the checkpoint if asked, and export on the way."""
    torch.manual_seed(SEED)
    model = Whisper(Shape(len(TRAINED), len(TIMES), len(CLASSES) + 1, len(CLASS_WEIGHTS)))
    descent, seen, first_step = optimizer(model), list[list[float]](), 0
    checkpoint, begin = asked.scratch / "checkpoint.pt", time.monotonic()
    if asked.resume:
        kept = torch.load(checkpoint)
        model.load_state_dict(kept["model"])
        descent.load_state_dict(kept["optimizer"])
        first_step = kept["step"]
    steps = range(first_step, asked.steps)
    for step, (batch, first) in zip(
        steps, batches(corpus(asked.scratch, SEED + first_step), steps, asked.steps), strict=True
    ):
        for group in descent.param_groups:
            group["lr"] = rate(step, asked.steps, asked.rate)
        with torch.autocast("cpu", torch.bfloat16):
            loss, parts = losses(model, batch, first, step / asked.steps >= PHASES[0][0] / 2)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        descent.step()
        descent.zero_grad(set_to_none=True)
        seen.append(parts)
        if (step + 1) % REPORT_STEPS == 0:
            means = np.mean([row for row in seen if len(row) == len(parts)], 0).round(3)
            seen = []
            if not asked.threads:
                torch.set_num_threads(2 if os.getloadavg()[0] < 1.5 else 1)
            print(f"{time.monotonic() - begin:6.0f} s, step {step + 1}:", *means, flush=True)
        if (step + 1) % SAVE_STEPS == 0 or step + 1 == asked.steps:
            state = {"model": model.state_dict(), "optimizer": descent.state_dict()}
            torch.save({**state, "step": step + 1}, checkpoint)
            export(model, asked.folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scratch", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--threads", type=int, default=1, help="0: one or two, by the load")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads or 1)
    asked.scratch.mkdir(parents=True, exist_ok=True)
    train(asked)


if __name__ == "__main__":
    main()
