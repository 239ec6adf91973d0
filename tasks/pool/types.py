"""What crosses the pool's borders: an answer, what it used, how long it took.

Names are OpenAI's for tokens and the scheduler's for time; see the `generations` table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one request. cached_tokens of prompt_tokens were taken from the KV cache. What a
    server does not tell is 0."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds of one request, by perf_counter in the pool.

    ttft_s counts from submission to the first token; tpot_s is
    decode_s / (completion_tokens - 1) and None below two tokens. Of another server, ttft_s,
    decode_s (first text to last) and e2e_s are measured here, from the request that it answered;
    None is what neither tells.
    """

    queue_s: float | None = None
    prefill_s: float | None = None
    decode_s: float | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAnswer:
    """A finished chat completion."""

    text: str
    finish_reason: str
    usage: Usage
    timings: Timings
    mean_logprob: float | None
    model: str
    worker: str
