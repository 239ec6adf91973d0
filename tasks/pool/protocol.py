"""What the front and its worker say to each other: one JSON object a line.

Requests and events as frozen records, and their coding. Knows neither pipes nor llama.cpp.
Tokens only: the front renders and tokenizes, the worker never sees a chat message.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:  # not in the worker, which is to start fast
    from tasks.records import RopeScaling

FlashAttn = Literal["auto", "on", "off"]


class GrammarError(ValueError):
    """A request's grammar is not GBNF."""


class TopLogprob(TypedDict):
    """A token and its log-probability, in OpenAI's form."""

    token: str
    bytes: list[int]
    logprob: float


class TokenLogprob(TopLogprob):
    """The chosen token, and the best ones in its place if they were asked for."""

    top_logprobs: list[TopLogprob]


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """The model a worker loads and the context it makes; names are llama.cpp's.

    What can be tuned does not tell one from another: a worker is not exchanged for it.

    Attributes:
        n_ctx: of one sequence.
        n_seq_max: sequences together.
        adapts: n_seq_max was not set by the user: fewer will do where they don't fit.
        n_batch: tokens of a step; llama.cpp's n_batch and n_ubatch.
        n_threads, n_threads_batch: for steps of one token, and for all others; 0: one a
            physical core.
        flash_attn: auto: where it is known to be faster.
        n_draft: guessed tokens of a step, at most; 0: none.
        draft_path: a smaller model with the same vocabulary, to guess with; may be empty.
        lora: adapters, each as its path, its scale and the sha256 of its content.
        rope_scaling, rope_factor: how positions beyond n_ctx_train / rope_factor are made.
        tensor_split: each GPU's share of the model; none: by what they have free.
        gpus: those that the worker may use, by llama.cpp's numbers; None: all.
        n_workers: how many there are to be; 0: one for each GPU that it fits on, else one.
    """

    model_path: str = field(compare=False)  # the same content may lie in several places
    n_ctx: int
    n_gpu_layers: int = -1
    n_seq_max: int = field(default=8, compare=False)
    n_batch: int = field(default=512, compare=False)
    n_threads: int = field(default=0, compare=False)
    n_threads_batch: int = field(default=0, compare=False)
    kv_unified: bool = field(default=False, compare=False)
    flash_attn: FlashAttn = field(default="auto", compare=False)
    adapts: bool = field(default=False, compare=False)
    n_draft: int = 32
    draft_path: str = ""
    lora: Sequence[Sequence[str | float]] = ()
    rope_scaling: RopeScaling = "auto"
    rope_factor: float = 1.0
    tensor_split: Sequence[float] = ()
    gpus: Sequence[int] | None = field(default=None, compare=False)
    n_workers: int = field(default=1, compare=False)


@dataclass(frozen=True, kw_only=True)
class EngineRequest:
    """Tokens in, and how to choose and when to stop the tokens that come out.

    Attributes:
        seed: for sampling; -1 draws one.
        logprobs: None: not asked for; 0: of each chosen token; n: also of the n best.
        stop_tokens: those that end the answer beside the model's own.
        stream: send text as it comes, not only at the end.
        run: who asks; the scheduler takes turns between runs.
        waited_s: seconds it waited before it was handed to the worker.
    """

    id: int
    prompt: list[int]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repeat_penalty: float = 1.0
    dry_multiplier: float = 0.0  # 0: no DRY
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_sequence_breakers: list[str] = field(default_factory=list)
    seed: int = -1
    logit_bias: dict[str, float] = field(default_factory=dict)  # by token id, as JSON has it
    stop: list[str] = field(default_factory=list)
    stop_tokens: list[int] = field(default_factory=list)
    grammar: str = ""
    ignore_eos: bool = False
    logprobs: int | None = None
    stream: bool = False
    run: str = ""
    interactive: bool = False
    waited_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Forget this request; no event about it follows."""

    id: int


@dataclass(frozen=True, kw_only=True)
class Tune:
    """Measure what is fastest, as long as no request comes; told again, go on where it was.

    Attributes:
        budget_s: seconds of measuring, in all.
        free: the fields of a Tuning that may be changed.
    """

    budget_s: float
    free: list[str]


@dataclass(frozen=True, kw_only=True)
class Loading:
    progress: float  # 0 to 1


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The model is loaded.

    Attributes:
        n_ctx: of one sequence.
        memory_estimate: bytes that the process should have resident; 0: not known.
        n_seq_max: sequences together; 0: as configured.
        gpus: those that it uses, where it has chosen them itself.
        siblings: the GPUs of each further worker that there should be; None: all, or none.
        note: what the user should know of how it runs; may be empty.
    """

    n_ctx: int
    n_vocab: int
    memory_estimate: int = 0
    n_seq_max: int = 0
    gpus: Sequence[int] | None = None
    siblings: Sequence[Sequence[int] | None] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Alive:
    """A step was computed; told now and then, since an answer can take an hour, and when there
    is nothing left to do.

    Attributes:
        busy_s: seconds of all steps since the worker's start.
        llama_s: of these, in llama.cpp.
    """

    busy_s: float
    llama_s: float


@dataclass(frozen=True, kw_only=True)
class LoadFailed:
    problem: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a tuning was measured to do, once.

    Attributes:
        tuning: the fields of a Tuning.
        rates: the fields of Rates.
    """

    tuning: dict[str, Any]
    rates: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """Measuring is done, and the worker's context is now made so.

    Attributes:
        tuning: the fields of the best Tuning.
        left: fields that were not looked at, for want of time.
        memory_estimate: as Ready has it.
    """

    tuning: dict[str, Any]
    left: list[str]
    memory_estimate: int = 0


@dataclass(frozen=True, kw_only=True)
class Started:
    """The request has a slot: if the worker dies now, this request may be why."""

    id: int


@dataclass(frozen=True, kw_only=True)
class Text:
    """More of a streamed answer."""

    id: int
    text: str
    logprobs: list[TokenLogprob]


@dataclass(frozen=True, kw_only=True)
class Done:
    """A finished answer: all of its text, or for a streamed one what was not yet sent."""

    id: int
    text: str
    logprobs: list[TokenLogprob]
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    queue_s: float
    prefill_s: float
    decode_s: float


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The worker can't do this request; others are not affected."""

    id: int
    code: str
    problem: str
    remedy: str = ""


Order = EngineRequest | Cancel | Tune
AnswerEvent = Started | Text | Done | Refused
Event = Loading | Ready | Alive | LoadFailed | Measured | Tuned | AnswerEvent

_KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(WorkerConfig, EngineRequest, Cancel, Tune),
        *(Loading, Ready, Alive, LoadFailed, Measured, Tuned, Started, Text, Done, Refused),
    )
}


def encode(message: Order | Event | WorkerConfig) -> bytes:
    """Return one line, newline included."""
    return json.dumps({"kind": type(message).__name__, **vars(message)}).encode() + b"\n"


def decode(line: bytes) -> Any:
    """Return the record in a line that encode() wrote."""
    body = json.loads(line)
    return _KINDS[body.pop("kind")](**body)
