"""The pool's numbers in Prometheus' text format; their names are those of the records."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tasks.pool.api import timings
from tasks.pool.protocol import Done
from tasks.pool.supervisor import Supervisor

# Seconds: from a token of a small model on a GPU to a night.
_LONG = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000)
_SHORT = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)


class Metrics:
    """All that /metrics tells of a supervisor.

    Counters and gauges are the supervisor's own; latencies are taken from each answer.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Sums(supervisor))
        self._latencies = {
            name: Histogram(
                f"lectern_{name}_seconds", about, buckets=buckets, registry=self._registry
            )
            for name, about, buckets in (
                ("queue", "from a request's arrival to its seat", _LONG),
                ("prefill", "from its seat to the first token of its answer", _LONG),
                ("ttft", "from its arrival to the first token of its answer", _LONG),
                ("tpot", "between tokens of an answer", _SHORT),
                ("e2e", "from its arrival to the end of its answer", _LONG),
            )
        }

    def observe(self, done: Done, e2e_s: float) -> None:
        """Take an answer's times."""
        times = timings(done, e2e_s)
        for name, histogram in self._latencies.items():
            if (seconds := getattr(times, f"{name}_s")) is not None:
                histogram.observe(seconds)

    def text(self) -> str:
        return generate_latest(self._registry).decode()


class _Sums(Collector):
    """What the supervisor counts anyway."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def collect(self) -> Iterator[Metric]:
        counters = self._supervisor.counters
        ended = CounterMetricFamily(
            "lectern_requests", "requests that have ended", labels=["finish_reason"]
        )
        for reason, n in sorted(counters.requests.items()):
            ended.add_metric([reason], n)
        yield ended
        sums = {
            "prompt_tokens": ("tokens of answered prompts", counters.prompt_tokens),
            "cached_tokens": ("of these, taken from the KV cache", counters.cached_tokens),
            "completion_tokens": ("tokens of answers", counters.completion_tokens),
            "worker_busy_seconds": ("time of workers with something to do", counters.busy_s),
            "worker_llama_seconds": ("of this, inside llama.cpp", counters.llama_s),
            "worker_loads": ("models loaded, by each worker", counters.loads),
            "worker_swaps": ("loads of another model than the one before", counters.swaps),
            "worker_crashes": ("workers that died at work", counters.crashes),
        }
        for name, (about, value) in sums.items():
            yield CounterMetricFamily(f"lectern_{name}", about, value=value)
        ready = [worker for worker in self._supervisor.workers if worker.ready]
        gauges = {
            "workers": ("workers that have loaded their model", len(ready)),
            "slots": (
                "sequences that are decoded together",
                sum(worker.seats for worker in ready),
            ),
            "worker_memory_estimate_bytes": (
                "what the workers should have resident, all together",
                sum(worker.memory_estimate for worker in ready),
            ),
            "requests_running": ("requests in a slot", self._supervisor.running),
            "requests_waiting": ("requests in the queue", self._supervisor.waiting),
        }
        for name, (about, value) in gauges.items():
            yield GaugeMetricFamily(f"lectern_{name}", about, value=value)
