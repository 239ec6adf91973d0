"""The pool's numbers in Prometheus' text format."""

from __future__ import annotations

from tasks.pool.supervisor import Supervisor


def metrics_text(supervisor: Supervisor) -> str:
    """Return what /metrics answers; names are those of the records."""
    counters = supervisor.counters
    lines = ["# TYPE lectern_requests_total counter"]
    for reason, n in sorted(counters.requests.items()):
        lines.append(f'lectern_requests_total{{finish_reason="{reason}"}} {n}')
    sums = {
        "prompt_tokens_total": counters.prompt_tokens,
        "cached_tokens_total": counters.cached_tokens,
        "completion_tokens_total": counters.completion_tokens,
        "queue_seconds_total": counters.queue_s,
        "prefill_seconds_total": counters.prefill_s,
        "decode_seconds_total": counters.decode_s,
        "worker_busy_seconds_total": counters.busy_s,
        "worker_llama_seconds_total": counters.llama_s,
        "worker_loads_total": counters.loads,
        "worker_crashes_total": counters.crashes,
    }
    gauges = {"requests_running": supervisor.running, "requests_waiting": supervisor.waiting}
    for kind, values in (("counter", sums), ("gauge", gauges)):
        for name, value in values.items():
            lines += [f"# TYPE lectern_{name} {kind}", f"lectern_{name} {value}"]
    return "\n".join(lines) + "\n"
