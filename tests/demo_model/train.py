"""Train the network, scheduled by tokens or by time; saved every minute, so it may be stopped.

Owns batches, the loss and the learning rate. The loss counts the answer only, and the lessons
draw chosen heads to the right places.

    python train.py SCRATCH --tokens 14e6 [--resume] [--rate 2e-3] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import corpus
import numpy as np
import torch
from network import PREVIOUS_HEADS, Lesson, Lessons, Network, Shape
from samples import Composer, Sample
from tokenizers import Tokenizer
from torch import Tensor, distributed, multiprocessing, nn

BATCH_TOKENS, POOL = 3072, 96
LIMITS = (
    (0.15, (384, 384, 448, 512)),
    (0.40, (384, 512, 640, 768)),
    (0.75, (448, 640, 768, 1024, 1024)),
    (1.01, (384, 512, 640, 768, 1024, 1024, 1400)),
)
STRETCH_SHARE, STRETCH_MOST = 0.25, 900
FIRST_WEIGHT, STRUCTURE_WEIGHT = 20.0, 3.0
LAYER_WEIGHTS = (0.3, 0.3, 1.5, 0.3, 0.3)
CHECKPOINT_SECONDS, REPORT_STEPS = 60, 25


@dataclass(frozen=True)
class Batch:
    """Padded samples: ids and positions (batch, time), and the answer's tokens at `rows`."""

    ids: Tensor
    positions: Tensor
    lessons: Lessons
    rows: tuple[Tensor, Tensor]
    answers: Tensor
    weights: Tensor


class Collator:
    """Turns samples into batches."""

    def __init__(self, composer: Composer, rng: random.Random) -> None:
        self.composer = composer
        self.rng = rng

    def batch(self, samples: list[Sample]) -> Batch:
        """Pad samples to one length, a multiple of 32."""
        longest = max(len(sample.ids) for sample in samples)
        shape = (len(samples), -(-longest // 32) * 32)
        ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        batch_rows, time_rows, answers, weights = [], [], [], []
        for number, sample in enumerate(samples):
            count = len(sample.ids)
            ids[number, :count] = sample.ids
            positions[number] = self._positions(sample, shape[1])
            batch_rows += [number] * (count - sample.answer)
            time_rows += range(sample.answer - 1, count - 1)
            answers += sample.ids[sample.answer :]
            weights += self._weights(sample)
        return Batch(
            torch.from_numpy(ids),
            torch.from_numpy(positions),
            self._lessons(samples),
            (torch.tensor(batch_rows), torch.tensor(time_rows)),
            torch.tensor(answers),
            torch.tensor(weights),
        )

    def _positions(self, sample: Sample, length: int) -> np.ndarray:
        """Count positions; sometimes leave gaps, so that longer prompts are no surprise."""
        steps = np.ones(length, np.int64)
        steps[0] = 0
        if self.rng.random() < STRETCH_SHARE:
            places = self.rng.sample(sample.breaks, min(3, len(sample.breaks)))
            most = self.rng.randint(1, STRETCH_MOST) // len(places)
            for place in places:
                steps[place] += self.rng.randint(0, most)
        return np.cumsum(steps)

    def _weights(self, sample: Sample) -> list[float]:
        """Weigh the tokens that carry the structure more, and the first, which tells the mode."""
        weights = []
        for position in range(sample.answer, len(sample.ids)):
            structural = (
                sample.ids[position] in self.composer.structure
                or sample.ids[position - 1] in self.composer.before_choice
            )
            weights.append(STRUCTURE_WEIGHT if structural else 1.0)
        weights[0] = FIRST_WEIGHT
        return weights

    def _lessons(self, samples: list[Sample]) -> Lessons:
        copies = self._lesson((sample.copies for sample in samples), 80)
        mode = self._lesson(
            ({sample.answer - 1: sample.keyword, sample.answer - 2: sample.keyword})
            for sample in samples
        )
        lessons = {
            (1, 0): [self._lesson((sample.lines for sample in samples), 64)],
            (1, 3): [self._lesson((sample.paragraphs for sample in samples), 48)],
            (2, 0): [self._lesson((sample.openers for sample in samples), 48)],
            (2, 1): [mode],
            (2, 2): [mode],
            (3, 0): [copies],
            (3, 1): [copies],
            (4, 0): [copies],
            (4, 1): [copies],
        }
        for head in range(PREVIOUS_HEADS):
            lessons[0, head] = [self._back(samples, head + 1)]
        lessons[1, 1], lessons[1, 2] = [self._back(samples, 4)], [self._back(samples, 2)]
        return lessons

    def _lesson(self, targets: Iterable[dict[int, int]], most: int = 2) -> Lesson:
        """Draw at most `most` targets of each sample."""
        queries, wanted = [], []
        for given in targets:
            keys = list(given)
            keys = self.rng.sample(keys, most) if len(keys) > most else keys
            spare = most - len(keys)
            queries.append(keys + [0] * spare)
            wanted.append([given[key] for key in keys] + [-1] * spare)
        return Lesson(torch.tensor(queries), torch.tensor(wanted))

    def _back(self, samples: list[Sample], distance: int) -> Lesson:
        """Ask a head to look a fixed number of tokens back."""
        picked = [{q: q - distance for q in self._some(sample)} for sample in samples]
        return self._lesson(picked, 40)

    def _some(self, sample: Sample) -> list[int]:
        return [self.rng.randint(5, len(sample.ids) - 1) for _ in range(40)]


class Trainer:
    """One training run over a budget of tokens."""

    def __init__(self, arguments: argparse.Namespace, worker: int = 0) -> None:
        self.scratch: Path = arguments.scratch
        self.worker, self.workers = worker, arguments.workers
        self.budget, self.rate = arguments.tokens, arguments.rate
        seed = arguments.seed * 100 + worker
        self.rng = random.Random(seed)
        torch.manual_seed(arguments.seed)
        tokenizer = Tokenizer.from_file(str(self.scratch / "tokenizer.json"))
        documents = corpus.load(self.scratch / "corpus.jsonl")
        self.composer = Composer(tokenizer, documents, seed, arguments.real_share)
        self.collator = Collator(self.composer, self.rng)
        self.network = Network(Shape(n_vocab=tokenizer.get_vocab_size()))
        self.resumed: bool = arguments.resume
        if self.resumed:
            state = torch.load(self.scratch / "checkpoint.pt")
            self.network.load_state_dict(state["network"])
        self.tokens = 0
        self.started, self.seconds = time.perf_counter(), 60 * arguments.minutes
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in self.network.parameters() if p.ndim > 1]},
                {
                    "params": [p for p in self.network.parameters() if p.ndim < 2],
                    "weight_decay": 0.0,
                },
            ],
            lr=self.rate,
            betas=(0.9, 0.98),
            eps=1e-8,
            weight_decay=0.02,
            fused=True,
        )

    def run(self) -> None:
        """Train until the budget is spent."""
        saved = time.perf_counter()
        batches = self._batches()
        step, recent = 0, []
        while self._agree():
            recent.append(self._step(next(batches), step))
            step += 1
            now = time.perf_counter()
            if step % REPORT_STEPS == 0:
                if self.worker == 0:
                    self._report(step, now - self.started, recent)
                recent = []
            if now - saved > CHECKPOINT_SECONDS:
                self._save()
                saved = now
        self._save()

    def done(self) -> float:
        """Tell how much of the run is over: by tokens, or by time where that runs out first."""
        seconds = time.perf_counter() - self.started
        return max(self.tokens / self.budget, seconds / self.seconds)

    def _batches(self) -> Iterator[list[Sample]]:
        """Compose samples without end, those of like length together."""
        while True:
            done = min(1.0, self.done())
            stages = LIMITS[-1:] if self.resumed else LIMITS
            limits = next(limits for until, limits in stages if done < until)
            pool = [self.composer.sample(self.rng.choice(limits)) for _ in range(POOL)]
            pool.sort(key=lambda sample: len(sample.ids))
            batches: list[list[Sample]] = [[]]
            for sample in pool:
                if len(sample.ids) * (len(batches[-1]) + 1) > BATCH_TOKENS:
                    batches.append([])
                batches[-1].append(sample)
            self.rng.shuffle(batches)
            yield from batches

    def _step(self, samples: list[Sample], step: int) -> list[float]:
        done = min(1.0, self.done())
        batch = self.collator.batch(samples)
        self.tokens += batch.ids.numel() * self.workers
        warm = min(1.0, (step + 1) / (25 if self.resumed else 100))
        decay = 0.5 * (1 + math.cos(math.pi * done)) * 0.98 + 0.02
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * warm * decay
        with torch.autocast("cpu", torch.bfloat16):
            logits, losses = self.network(batch.ids, batch.positions, batch.rows, batch.lessons)
        each = nn.functional.cross_entropy(logits.float(), batch.answers, reduction="none")
        by_layer = [sum(lost) / len(lost) for lost in losses]
        loss = (each * batch.weights).sum() / batch.weights.sum()
        loss = loss + sum(w * lost for w, lost in zip(LAYER_WEIGHTS, by_layer, strict=True))
        loss.backward()
        self._share_gradients()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        right = (logits.argmax(-1) == batch.answers).float()
        wrong = torch.bincount(batch.rows[0], weights=1 - right, minlength=len(samples))
        whole = (wrong == 0).float().mean()
        figures = [each.mean(), right.mean(), whole, *by_layer]
        return [float(figure.detach()) for figure in figures]

    def _share_gradients(self) -> None:
        """Average the gradients of all workers: one exchange a step, however busy the cores."""
        if self.workers == 1:
            return
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.workers
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(part.view_as(gradient))

    def _agree(self) -> bool:
        """Tell whether all workers are to go on: they end together."""
        if self.workers == 1:
            return self.done() < 1
        going = torch.tensor(float(self.done() < 1))
        distributed.all_reduce(going, op=distributed.ReduceOp.MIN)
        return bool(going)

    def _report(self, step: int, seconds: float, recent: list[list[float]]) -> None:
        loss, right, whole, *lessons = np.mean(recent, axis=0)
        shown = " ".join(f"{lesson:.3f}" for lesson in lessons)
        print(
            f"{seconds:6.0f} s  step {step}  {self.tokens / 1e6:.2f} M tokens"
            f"  loss {loss:.4f}  token {right:.4f}  answer {whole:.3f}  lessons {shown}",
            flush=True,
        )

    def _save(self) -> None:
        if self.worker:
            return
        path = self.scratch / "checkpoint.pt"
        torch.save({"network": self.network.state_dict(), "tokens": self.tokens}, f"{path}.new")
        Path(f"{path}.new").replace(path)


def work(worker: int, arguments: argparse.Namespace) -> None:
    """Train as one of several processes of one thread each."""
    torch.set_num_threads(1)
    if arguments.workers > 1:
        meeting = f"file://{(arguments.scratch / 'meeting').resolve()}"
        distributed.init_process_group(
            "gloo", init_method=meeting, rank=worker, world_size=arguments.workers
        )
    Trainer(arguments, worker).run()


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--tokens", type=float, default=14e6)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="end earlier")
    parser.add_argument("--real-share", type=float, default=0.75)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    (arguments.scratch / "meeting").unlink(missing_ok=True)
    multiprocessing.spawn(work, (arguments,), nprocs=arguments.workers)


if __name__ == "__main__":
    main()
