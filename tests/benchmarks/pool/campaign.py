"""Measure: round after round, in each all scenarios, in each all peers, in another order.

So a machine that is slower for a while is so for all, and a run that is ended early has about
as many rounds of everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .peers.measured import Peer
from .places import Places
from .scenarios import Scenario, make_peers
from .store import Round, Sample, Store
from .tuned import Tuned
from .work import Kind, Request, Work

_WARM_UP = Work((Kind(shared=0, own=32, out=4),), 1)


@dataclass(frozen=True)
class Plan:
    """A scenario with the model it is measured on.

    Attributes:
        key: what its rounds are kept under; determined once, since the code may change meanwhile.
    """

    scenario: Scenario
    model: Path
    tuned: Tuned
    key: str

    def missing(self, store: Store, n_rounds: int) -> list[int]:
        """Return the numbers of the rounds that are still to be measured."""
        wanted = range(min(n_rounds, self.scenario.most_rounds or n_rounds))
        return sorted({*wanted} - {r.number for r in store.rounds(self.key)})


class Listener(Protocol):
    """Who is told how far it is."""

    def begins(self, scenario: Scenario, peer: str, number: int) -> None: ...
    def measured(self, scenario: Scenario, round_: Round) -> None: ...


def measure_missing(
    plans: Sequence[Plan], n_rounds: int, store: Store, places: Places, listener: Listener
) -> None:
    """Measure what the store does not have.

    Raises:
        PeerError: a peer fails.
    """
    missing = {plan: plan.missing(store, n_rounds) for plan in plans}
    for number in range(n_rounds):
        for plan in (plan for plan in plans if number in missing[plan]):
            round_ = _round(plan, number, places, listener)
            store.add(round_)
            listener.measured(plan.scenario, round_)


def _round(plan: Plan, number: int, places: Places, listener: Listener) -> Round:
    scenario = plan.scenario
    seed, vocabulary = f"{scenario.name} {number}", scenario.shape.vocabulary
    requests = scenario.work.requests(seed, vocabulary)
    warm_up = _WARM_UP.requests(f"{seed} warm-up", vocabulary)[0]
    samples = {}
    peers = make_peers(scenario, plan.model, plan.tuned, places)
    turn = number % len(peers)
    for peer in (*peers[turn:], *peers[:turn]):
        listener.begins(scenario, peer.name, number)
        samples[peer.name] = _sample(peer, warm_up, requests)
    return Round(plan.key, number, samples)


def _sample(peer: Peer, warm_up: Request, requests: Sequence[Request]) -> Sample:
    measured = peer.measure(warm_up, requests)
    by = measured.disturbance
    return Sample(measured.seconds, measured.seen, by.others, by.stolen, by.load)
