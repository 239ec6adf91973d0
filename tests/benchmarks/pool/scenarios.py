"""What is measured: a work, a model, and the peers that take turns at it.

Sizes are such that all of it takes two or three hours on two cores: the summarise batch on the
smaller model is the one that everything else is read against; the others have fewer requests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from . import build
from .peers.batched_bench import BatchedBench, LoadTime
from .peers.llama_server import LlamaServer
from .peers.measured import Peer
from .peers.plain_loop import PlainLoop
from .peers.pool import Pool
from .places import Places
from .shapes import HALF_B, ONE_AND_HALF_B, TINY, Shape
from .tuned import Tuned
from .work import SUMMARISE, TRANSLATE, Kind, Work

POOL, LOOP, LIMIT = "pool", "plain loop", "llama.cpp's limit"
SERVER, SERVER_TUNED = "llama-server", "llama-server, pool's settings"
STREAMED = "pool, streamed"
OFF, LOOKUP = "pool, no speculation", "pool, speculation"
LOAD = "llama.cpp's load time"
BATCH = (POOL, SERVER, SERVER_TUNED, LOOP, LIMIT)
NEEDS_PROGRAMS = frozenset({SERVER, SERVER_TUNED, LIMIT, LOAD})
N_CTX = 1024  # tokens that a sequence holds, for all: settings are tuned for it
_LOOP_SHARE = 8  # the loop answers one in so many
_ROUNDS_WITHOUT_GOALS = 2


@dataclass(frozen=True)
class Scenario:
    """One comparison.

    Attributes:
        label: what it is called beside its model.
        n_seq: sequences at most; None: as many as the pool's settings have.
        n_clients: requests under way at once; 0: all.
        from_start: with the time that starting takes, and nothing warm.
        tunes: measure first what is best for the model here, if it is not known.
        most_rounds: fewer than of others, since no goal is read from it.
    """

    name: str
    label: str
    shape: Shape
    quantization: str
    work: Work
    peers: tuple[str, ...]
    n_seq: int | None = None
    n_clients: int = 0
    from_start: bool = False
    tunes: bool = True
    most_rounds: int | None = None

    @property
    def title(self) -> str:
        return f"{self.label}, {self.shape.name} {self.quantization}"


def _batch(name: str, shape: Shape, quantization: str, n_requests: int) -> Scenario:
    work = Work(_KINDS[name], n_requests)
    peers = BATCH if len(work.kinds) == 1 else tuple(peer for peer in BATCH if peer != LIMIT)
    has_goals = quantization == "Q4_0" and len(work.kinds) == 1
    return Scenario(
        f"{name}-{shape.name}-{quantization}",
        name,
        shape,
        quantization,
        work,
        peers,
        most_rounds=None if has_goals else _ROUNDS_WITHOUT_GOALS,
    )


def _speculation(name: str, kind: Kind, n_seq: int) -> Scenario:
    work = Work((kind,), n_seq)
    label = f"{name}, {n_seq} at once"
    peers = (LOOKUP, OFF)
    return Scenario(f"{name}-at-{n_seq}", label, ONE_AND_HALF_B, "Q4_0", work, peers, n_seq)


_KINDS = {
    "summarise": (SUMMARISE,),
    "translate": (TRANSLATE,),
    "mixed": (SUMMARISE, TRANSLATE),
}
_COPIED = Kind(shared=20, own=180, out=160, ahead="everything")
_NEW = replace(_COPIED, ahead="nothing")
_MISLED = replace(_COPIED, ahead="misleading")
_ONE_TOKEN = Work((Kind(shared=0, own=16, out=1),), 1)

FULL: tuple[Scenario, ...] = (
    _batch("summarise", HALF_B, "Q4_0", 48),
    _batch("translate", HALF_B, "Q4_0", 16),
    _batch("mixed", HALF_B, "Q4_0", 16),
    _batch("summarise", ONE_AND_HALF_B, "Q4_0", 8),
    _batch("translate", ONE_AND_HALF_B, "Q4_0", 4),
    _batch("summarise", HALF_B, "Q4_K_M", 16),
    _batch("summarise", ONE_AND_HALF_B, "Q4_K_M", 8),
    _speculation("copy", _COPIED, 1),
    _speculation("copy", _COPIED, 4),
    _speculation("new", _NEW, 1),
    _speculation("new", _NEW, 4),
    _speculation("mislead", _MISLED, 1),
    _speculation("mislead", _MISLED, 4),
    Scenario(
        "clients",
        "16 clients",
        HALF_B,
        "Q4_0",
        Work((SUMMARISE,), 16),
        (POOL, STREAMED),
        n_clients=16,
    ),
    *(
        Scenario(
            f"start-{shape.name}",
            "start",
            shape,
            "Q4_0",
            _ONE_TOKEN,
            (POOL, SERVER, LOAD),
            from_start=True,
        )
        for shape in (HALF_B, ONE_AND_HALF_B)
    ),
)
QUICK = (Scenario("quick", "summarise", HALF_B, "Q4_0", Work((SUMMARISE,), 16), BATCH),)
_SHORT = Kind(shared=12, own=40, out=3)
TRIAL = (  # of the harness itself: in seconds, and without the programs
    Scenario(
        "trial",
        "trial",
        TINY,
        "F16",
        Work((_SHORT, replace(_SHORT, out=5)), 4),
        (POOL, LOOP),
        n_seq=4,
        tunes=False,
    ),
    Scenario(
        "trial-start", "start", TINY, "F16", _ONE_TOKEN, (POOL,), from_start=True, tunes=False
    ),
)


def make_peers(scenario: Scenario, model: Path, tuned: Tuned, places: Places) -> list[Peer]:
    """Return the scenario's peers; no more sequences than requests, but where starting counts."""
    n_seq = scenario.n_seq or tuned.n_seq_max
    if not scenario.from_start:
        n_seq = min(n_seq, scenario.work.n_requests)
    tuned = replace(tuned, n_seq_max=n_seq)
    return [_make(name, scenario, model, tuned, places) for name in scenario.peers]


def _make(name: str, scenario: Scenario, model: Path, tuned: Tuned, places: Places) -> Peer:
    n_ctx, work = N_CTX, scenario.work
    if name == LOOP:
        sample = max(2 * len(work.kinds), work.n_requests // _LOOP_SHARE)
        return PlainLoop(name, model, n_ctx, tuned.n_threads, sample)
    if name == LIMIT:
        return BatchedBench(name, places.program(build.BATCHED_BENCH), model, work.kinds[0], tuned)
    if name == LOAD:
        return LoadTime(name, places.program(build.BATCHED_BENCH), model, tuned, n_ctx)
    if name in (SERVER, SERVER_TUNED):
        return LlamaServer(
            name=name,
            binary=places.program(build.SERVER),
            model=model,
            n_ctx=n_ctx,
            tuned=tuned,
            log=places.log("llama-server"),
            defaults=name == SERVER,
            from_start=scenario.from_start,
        )
    return Pool(
        name=name,
        model=model,
        home=places.home,
        n_ctx=n_ctx,
        n_seq_max=tuned.n_seq_max,
        n_clients=scenario.n_clients,
        streamed=name == STREAMED,
        overrides=_SPECULATION.get(name, {}),
        from_start=scenario.from_start,
    )


_SPECULATION = {OFF: {"pool_speculation": "off"}, LOOKUP: {"pool_speculation": "auto"}}
