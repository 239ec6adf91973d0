"""The flow from PDFs to summaries, with Prefect's server and a scripted model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from pydantic import SecretStr
from support.flow_runs import summarize
from support.scripted_server import Rule, ScriptedServer

from flows import artifacts as artifacts_of_runs
from flows.artifacts import for_a_web_page
from flows.server import RunningServer
from tasks.settings import PROJECT_ROOT, Settings, settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

SAMPLES = PROJECT_ROOT / "data" / "samples"
PAPER, BOOK = SAMPLES / "two-columns-en.pdf", SAMPLES / "handbook-en.pdf"


@pytest.fixture
def server(config: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        monkeypatch.setenv("LECTERN_POOL_URL", server.url)
        settings.cache_clear()
        yield server


def rows(table: str) -> pl.DataFrame:
    return pl.read_parquet(settings().results / table / "*.parquet")


def artifacts(flow_run_id: UUID) -> dict[str, Any]:
    """Return the run's artifacts by key."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        return {each.key: each for each in client.read_artifacts(artifact_filter=mine)}


def test_a_paper_becomes_a_summary_with_pages(server: ScriptedServer, tiny_model: Path) -> None:
    """Files, rows and the run's page are there, and every statement carries its page."""
    state, outcomes = summarize(tiny_model, PAPER)

    assert (state.name, state.message) == ("Completed", "1 summary")
    [document] = rows("documents").iter_rows(named=True)
    summary = next(Path(path) for path in document["paths"] if path.endswith(".md"))
    assert summary.read_text(encoding="utf-8").startswith("# ")
    bullets = [bullet for section in document["sections"] for bullet in section["bullets"]]
    assert bullets
    assert all(bullet["citations"] for bullet in bullets)
    outcome = outcomes[PAPER.name]
    assert outcome.asked == len(server.log) == rows("generations").height
    assert outcome.document is not None
    assert outcome.document.coverage.total == rows("sources")["n_segments"][0]
    assert set(rows("generations")["flow_run_id"]) == {str(state.state_details.flow_run_id)}

    page = artifacts(state.state_details.flow_run_id)
    assert page["progress"].data == 100.0
    shown = for_a_web_page(summary.read_text(encoding="utf-8"), [str(PAPER), *document["paths"]])
    assert shown in [each.data for each in page.values()]
    assert "summarize" in page["tokens"].data
    assert "until the first token" in page["latencies"].data
    assert "two-columns-en.pdf" in page["coverage"].data
    assert "nothing failed" in page["failures"].data
    assert all(re.fullmatch("[a-z0-9-]+", key) for key in page)


def test_a_run_keeps_no_connection_of_its_page(
    server: ScriptedServer, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's process may live on after it."""
    made: list[Any] = []
    get_client = artifacts_of_runs.get_client
    monkeypatch.setattr(
        artifacts_of_runs, "get_client", lambda **which: made.append(get_client(**which)) or made[0]
    )
    summarize(tiny_model, "/nowhere/missing.pdf")

    assert [each._client.is_closed for each in made] == [True]


def test_the_same_again_asks_nothing(server: ScriptedServer, tiny_model: Path) -> None:
    """A finished run's answers serve the next one; `again` asks all anew."""
    summarize(tiny_model, PAPER)
    asked = len(server.log)

    state, outcomes = summarize(tiny_model, PAPER)
    assert state.name == "Completed"
    assert len(server.log) == asked
    assert (outcomes[PAPER.name].asked, outcomes[PAPER.name].from_ledger) == (0, asked)

    _, outcomes = summarize(tiny_model, PAPER, again=True)
    assert len(server.log) == 2 * asked
    assert outcomes[PAPER.name].asked == asked


def test_bad_sources_do_not_stop_good_ones(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """Each bad one gets a row and a line with its remedy; the run completes with warnings."""
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\nnothing that could be read")

    state, outcomes = summarize(tiny_model, broken, PAPER, tmp_path / "missing.pdf")

    assert (state.name, state.message) == (
        "Completed with warnings",
        "1 summary, 2 sources failed",
    )
    assert state.is_completed()
    assert outcomes[PAPER.name].document is not None
    failed = rows("sources").filter(pl.col("status") == "failed")
    assert {Path(uri).name for uri in failed["uri"]} == {"broken.pdf", "missing.pdf"}
    failures = artifacts(state.state_details.flow_run_id)["failures"].data.replace("\\n", " ")
    assert all(remedy and remedy in failures for remedy in failed["remedy"])


def test_nothing_summarised_is_a_failure(server: ScriptedServer, tiny_model: Path) -> None:
    """The run fails with the first source's reason, in one line."""
    state, _ = summarize(tiny_model, "/nowhere/missing.pdf")

    assert state.is_failed()
    assert state.message.startswith("0 summaries, 1 source failed: /nowhere/missing.pdf: ")
    assert "\n" not in state.message


def test_an_empty_folder_is_a_failure(
    server: ScriptedServer, tiny_model: Path, tmp_path: Path
) -> None:
    """With a message that names the folder, not a traceback."""
    state, _ = summarize(tiny_model, tmp_path)

    assert state.is_failed()
    assert str(tmp_path) in state.message


def test_a_model_that_never_answers_well_fails_the_source(
    server: ScriptedServer, tiny_model: Path
) -> None:
    """A summary without a single statement is no success."""
    server.script(Rule(do="garbage"))

    state, outcomes = summarize(tiny_model, PAPER)

    assert state.is_failed()
    assert "no usable answer" in outcomes[PAPER.name].error


@pytest.mark.usefixtures("no_pauses")
def test_where_a_server_has_but_one_answer_it_is_told(
    server: ScriptedServer, tiny_model: Path
) -> None:
    """The model is not to blame."""
    server.script(Rule(do="status", status=500))

    _, outcomes = summarize(tiny_model, PAPER)

    error = outcomes[PAPER.name].error
    assert "each call for it was refused alike (" in error
    assert set(rows("generations")["error"]) == {error.split("(")[1].split(")")[0]}
    assert "Try another model" not in error


def test_a_server_that_refuses_all_ends_the_run(server: ScriptedServer, tiny_model: Path) -> None:
    """A wrong key is the run's failure, told in a line; nothing is recorded as an answer."""
    server.script(Rule(do="status", status=401))

    state, _ = summarize(tiny_model, PAPER)

    assert state.is_failed()
    assert "\n" not in state.message


def test_task_runs_are_few_and_named_by_what_they_do(
    server: ScriptedServer, tiny_model: Path, prefect_server: RunningServer
) -> None:
    """A batch is several chunks; its name says which."""
    state, outcomes = summarize(tiny_model, BOOK, PAPER)

    task_runs = set(rows("generations")["task_run_id"])
    asked = sum(each.asked for each in outcomes.values())
    assert state.name == "Completed"
    assert len(task_runs) < asked / 2


def test_the_password_is_not_shown(server: ScriptedServer, tiny_model: Path) -> None:
    """Prefect's database holds stars in its place."""
    from prefect.client.orchestration import get_client

    state, _ = summarize(tiny_model, PAPER, password=SecretStr("opensesame"))

    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)
    assert run.parameters["password"] == "**********"


def test_the_form_describes_its_fields() -> None:
    """Every parameter has a description, length a choice, and the password is a password."""
    from flows.summarize_pdf import summarize_pdf

    fields = summarize_pdf.parameters.properties

    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert fields["length"]["enum"] == ["short", "medium", "long", "outline"]
    assert "password" in str(fields["password"])
