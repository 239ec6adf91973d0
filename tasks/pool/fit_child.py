"""The child process that tells what a model takes here. `python -m tasks.pool.fit_child`

Reads one JSON line, an Order; writes one: the fields of a Fit, or a `problem`; or where no more is
asked, the `refusal` of a worker, which is null if it would load it. All numbers are llama.cpp's
own, of loads and quantizations that allocate nothing. It is a program of its own, with limits,
because the file may be hostile, and because what it has in memory itself is what a worker has.
"""

from __future__ import annotations

import json
import resource
import sys
from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import llama_cpp as llama
import psutil

from tasks.errors import ModelError
from tasks.models.header_values import quantization_of
from tasks.models.limits import lower
from tasks.models.stdout import claim_stdout
from tasks.pool.cgroups import memory_groups
from tasks.pool.devices import gpus, gpus_for, how_it_runs
from tasks.pool.fit import Need, NoRoomError, free_memory
from tasks.pool.fit_answer import Fit, GpuFit, Order, QuantizedFit
from tasks.pool.loading import Needs, needs, refuse_too_large
from tasks.pool.protocol import WorkerConfig

_CPU_SECONDS = 120
_STEP = 256  # tokens in which contexts are counted
# Of a graph for a step: llama_context::graph_max_nodes() allows so many for a token at most, and
# ggml_backend_sched_new() has 61 tensors and some numbers for each.
_MOST_NODES, _NODE_BYTES = 160, 22 << 10
_MOST_N_CTX, _MOST_SEQUENCES = 1 << 20, 64  # as the settings have them


def main() -> None:
    out = claim_stdout()
    import_module("tasks.pool.serving")  # as a worker does: its memory counts
    order = Order(**json.loads(sys.stdin.readline()))
    config = WorkerConfig(**order.config)
    _limit(config)
    answer: dict[str, Any]
    try:
        if order.only_refusal:
            answer = {"refusal": _refusal(config, order.held)}
        else:
            answer = asdict(_fit(config, order))
    except ModelError as error:
        answer = {"problem": error.problem, "remedy": error.remedy}
    except MemoryError:
        answer = {"problem": "its header takes more memory than a file of its size should"}
    out.write(json.dumps(answer).encode() + b"\n")
    out.flush()


def _limit(config: WorkerConfig) -> None:
    """Bound this process like tasks.models.vocabulary_child; not its memory where there are GPUs,
    whose drivers reserve what they do not use.

    A context describes the graph of a step in addresses that it mostly does not use, and that count
    nevertheless: of Qwen3.5-27B 0.6 GiB for a step of 512 tokens, 1.8 GiB for one of 2,048.
    """
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_CPU, _CPU_SECONDS)
    if gpus():
        return
    graph = _NODE_BYTES * _MOST_NODES * config.n_batch
    with suppress(OSError):  # llama.cpp will say what is wrong with it
        size = Path(config.model_path).stat().st_size
        room = (1 << 30) + 4 * min(size, 1 << 29) + graph
        lower(resource.RLIMIT_DATA, min(room, psutil.virtual_memory().total))


def _refusal(config: WorkerConfig, held: int) -> tuple[str, str, str] | None:
    """Return the subject, the problem and the remedy of what a worker would say."""
    try:
        refuse_too_large(config, held)
    except NoRoomError as error:
        return error.subject, error.problem, error.remedy
    return None


def _fit(config: WorkerConfig, order: Order) -> Fit:
    llama.llama_backend_init()
    with needs(config) as need_of:
        process = int(psutil.Process().memory_info().rss) + order.unseen
        longest = need_of.model.n_ctx(replace(config, n_ctx=_MOST_N_CTX))
        asked, config = config.n_ctx, replace(config, n_ctx=min(config.n_ctx, longest))
        here = _Here(need_of, config, order.quantization)
        need = here.need(config)
        whole = need.everywhere
        ram = psutil.virtual_memory().total
        return Fit(
            quantization=order.quantization or quantization_of(need_of.model.handle),
            n_ctx=config.n_ctx,
            n_ctx_asked=asked,
            n_seq_max=config.n_seq_max,
            weights=whole.weights,
            cache=whole.cache,
            compute=whole.compute,
            process=process,
            ram=need.total + process,
            ram_free=here.ram + process,
            ram_total=ram,
            ram_limit=min((each.limit for each in memory_groups() if each.limit < ram), default=0),
            gpus=[
                GpuFit(part.gpu.name, part.total, part.gpu.free, part.gpu.total)
                for part in need.gpus
            ],
            fits=here.holds(need),
            most_n_seq=here.most_n_seq(config),
            most_n_ctx=here.most_n_ctx(config, longest),
            quantizations=[
                QuantizedFit(name, each.weights, each.total + process, here.holds(each))
                for name in order.others
                if (each := here.quantized(config, name)) is not None
            ],
            note=how_it_runs(config, need),
        )


class _Here:
    """What is free here, and what of a model's needs it holds.

    Args:
        quantization: to count as if it were so quantized; "": as it is.

    Raises:
        ModelError: llama.cpp does not know it.
    """

    def __init__(self, need_of: Needs, config: WorkerConfig, quantization: str) -> None:
        self._need_of, self._quantization = need_of, quantization
        self.ram = free_memory()
        self._gpus = gpus_for(config) if config.n_gpu_layers else []
        if quantization and not need_of.weights_as(quantization):
            raise _no_such(quantization)

    def need(self, config: WorkerConfig) -> Need:
        return self.quantized(config, self._quantization) or self._need_of(config)

    def quantized(self, config: WorkerConfig, name: str) -> Need | None:
        """Return the need if it were so quantized; None: llama.cpp does not know."""
        size = self._need_of.weights_as(name) if name else 0
        if not size:
            return None
        whole = self._need_of(config).everywhere
        return replace(whole, weights=whole.weights - self._need_of.model.n_bytes + size)

    def holds(self, need: Need) -> bool:
        """Tell whether it fits; what is not laid out yet, into all that is free together."""
        ram = self.ram + (0 if need.gpus else sum(gpu.room for gpu in self._gpus))
        return need.total <= ram and all(part.total <= part.gpu.free for part in need.gpus)

    def most_n_seq(self, config: WorkerConfig) -> int:
        """Return how many sequences of n_ctx tokens fit."""
        return self._most(_MOST_SEQUENCES, lambda n: replace(config, n_seq_max=n))

    def most_n_ctx(self, config: WorkerConfig, longest: int) -> int:
        """Return how many tokens fit if there is one sequence."""
        alone = replace(config, n_seq_max=1)
        if self._fits(replace(alone, n_ctx=longest)):
            return longest
        return _STEP * self._most(longest // _STEP, lambda n: replace(alone, n_ctx=_STEP * n))

    def _most(self, end: int, config: Callable[[int], WorkerConfig]) -> int:
        """Return the largest number up to `end` with which it fits."""
        return bisect_left(range(1, end + 1), True, key=lambda n: not self._fits(config(n)))

    def _fits(self, config: WorkerConfig) -> bool:
        try:
            return self.holds(self.need(config))
        except ModelError:  # llama.cpp makes no such context
            return False


def _no_such(quantization: str) -> ModelError:
    from tasks.models.nearest import listed, nearest  # a worker does not have it in memory

    prefix = "LLAMA_FTYPE_MOSTLY_"
    names = [name.removeprefix(prefix) for name in dir(llama) if name.startswith(prefix)]
    problem = f"llama.cpp can't quantize it to {quantization}"
    return ModelError("", problem, f"Choose another: {listed(nearest(quantization, names))}")


if __name__ == "__main__":
    main()
