"""The state's name follows the run, seldom enough, and never brings a run back."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

import pytest

from flows.progress import Phase, phase_of_text
from flows.run_state import Pace, StateName
from flows.server import RunningServer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def asking(n: int) -> Phase:
    return Phase("asking", f"Asking {n} of 10,000", n / 10_000)


def test_a_night_takes_few_names() -> None:
    """Ten hours, looked at every two seconds: at most a hundred states, and never two in 15 s."""
    clock = Clock()
    pace = Pace(clock)
    due: list[float] = []
    for second in range(0, 36_000, 2):
        clock.now = second
        if pace.is_due(asking(second * 10_000 // 36_000)):
            due.append(second)

    assert 40 <= len(due) <= 100
    assert min(later - earlier for earlier, later in pairwise(due)) >= 15


def test_a_new_phase_is_named_at_once() -> None:
    """And the same name is never given twice in a row."""
    clock = Clock()
    pace = Pace(clock)

    assert pace.is_due(phase_of_text("loading demo"))
    assert pace.is_due(asking(1))
    clock.now = 100
    assert not pace.is_due(asking(1))
    assert pace.is_due(asking(900))


@pytest.mark.slow
def test_prefect_takes_the_name_and_a_cancelled_run_stays_cancelled(
    prefect_server: RunningServer,
) -> None:
    """Running may follow Running; after Cancelling the server refuses it, whoever asks."""
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelling, Running

    @flow(name="nothing")
    def nothing() -> None:
        """Be a flow."""

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(nothing, state=Running())
        name = StateName(client)

        def now() -> tuple[str, str | None]:
            state = client.read_flow_run(run.id).state
            assert state is not None
            return state.type.value, state.name

        name.show(client.read_flow_run(run.id), Phase("extracting", "Extracting 3 of 12", 0.2), "")
        assert now() == ("RUNNING", "Extracting 3 of 12")
        before = client.read_flow_run(run.id)
        client.set_flow_run_state(run.id, Cancelling())
        name.show(before, asking(1), "too late")  # as if it was cancelled a moment after the look
        assert now() == ("CANCELLING", "Cancelling")
        name.show(client.read_flow_run(run.id), asking(900), "")
        assert now() == ("CANCELLING", "Cancelling")
        assert len(client.read_flow_run_states(UUID(str(run.id)))) == 3
