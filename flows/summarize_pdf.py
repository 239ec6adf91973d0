"""The flow `summarize-pdf`: PDFs in; cited summaries and Parquet rows out.

Thin: which jobs there are stands in `flows.job`, in which order they run in `flows.rounds`,
what the run's page shows in `flows.artifacts`. This file makes task runs of the jobs and tells
Prefect how it ended.
"""

# No `from __future__ import annotations`: Prefect reads the flow's signature to make its form.

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run, task_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import SecretStr

from flows.artifacts import CancelledRun, RunPage
from flows.asking import Asker
from flows.in_use import a_run
from flows.job import SummaryJob
from flows.progress import Progress, watcher
from flows.rounds import WORKERS, Future, Outcome, Reading, Rounds
from tasks.errors import PipelineError, SourceError
from tasks.extract import find_sources
from tasks.generate.summarize import SummaryOptions
from tasks.land import statistics
from tasks.pool.models import absolute_name
from tasks.pool.spec import load_spec
from tasks.pool.tuning import tuning_for
from tasks.records import OcrMode, Request, SummaryLength
from tasks.settings import PROJECT_ROOT, settings


@flow(
    name="summarize-pdf",
    task_runner=ThreadPoolTaskRunner(max_workers=WORKERS),  # type: ignore[arg-type]
    persist_result=False,
)
def summarize_pdf(
    sources: list[str],
    model: str | None = None,
    language: str | None = None,
    length: SummaryLength = "medium",
    again: bool = False,
    password: SecretStr | None = None,
    ocr: OcrMode | None = None,
    prompt_dir: str | None = None,
) -> State[Any]:
    """Summarise documents: every statement with its page, every call of the model in a table.

    Args:
        sources: Documents, folders or URLs; relative paths count from the project's folder.
        model: A GGUF file, hf:owner/repository:quantization, or a name from models.toml.
        language: Of the summary: en, zh, …; auto is the document's own.
        length: Of the summary; outline is a list under the document's own headings.
        again: Ask anew what the tables already hold.
        password: Opens encrypted PDFs. Whoever can log in to Prefect can read what is given here.
        ocr: Which pages of PDFs are recognised: auto (those without text), always, never.
        prompt_dir: A folder whose prompt files replace the project's.
    """
    config = settings()
    with RunPage(str(flow_run.id), watcher.get()) as page:
        try:
            uris = _find(sources, config.results)
            spec = load_spec(
                absolute_name(model or config.model, PROJECT_ROOT), config, page.fetched
            )
            page.note(spec.note)
            progress = Progress(len(uris))
            # Of all batches together, and of one: as many again wait as are answered.
            at_once = 2 * tuning_for(config, spec.identity).n_seq_max
            with a_run(config.home), Asker(config, at_once, progress.doing) as asker:
                job = SummaryJob(
                    config,
                    spec,
                    SummaryOptions(language=language or config.language, length=length),
                    asker,
                    progress,
                    again=again,
                    password=password.get_secret_value() if password else None,
                    ocr=ocr,
                    prompt_dir=PROJECT_ROOT / prompt_dir if prompt_dir else None,
                    flow_run_id=page.flow_run_id,
                )
                with job:
                    outcomes = Rounds(uris, _TaskRuns(job), progress, page, batch=at_once).run()
        except PipelineError as error:
            return Failed(message=str(error))
        except (CancelledRun, KeyboardInterrupt, TerminationSignal):
            return Cancelled(message="Cancelled. Start it again: what is done is not asked anew.")
        page.end(outcomes, statistics(config.results, page.flow_run_id))
        return _state(outcomes)


class _TaskRuns:
    """Runs a job's parts as task runs. Prefect looks into arguments, but not into a callable."""

    def __init__(self, job: SummaryJob) -> None:
        self._job = job
        self.claim = job.claim
        self.best = job.best
        self.land = job.land
        self.drop = job.drop

    def read(self, label: str, uri: str) -> Future:
        return _read.submit(label, partial(self._job.read, uri))

    def ask(self, label: str, requests: Sequence[Request]) -> Future:
        return _ask.submit(label, partial(self._job.ask, requests))


@task(name="read", task_run_name="{label}", cache_policy=NO_CACHE, persist_result=False)
def _read(label: str, work: Callable[[], Reading]) -> Reading:
    return work()


@task(name="ask", task_run_name="{label}", cache_policy=NO_CACHE, persist_result=False)
def _ask(label: str, work: Callable[[str], None]) -> None:
    work(str(task_run.id))


def _find(sources: Sequence[str], results: Path) -> list[str]:
    uris = find_sources(sources, PROJECT_ROOT, results)
    if not uris:
        raise SourceError(", ".join(sources) or "sources", "no document is there", "Name documents")
    return uris


def _state(outcomes: Sequence[Outcome]) -> State[Any]:
    failed = [each for each in outcomes if each.failed]
    done = len(outcomes) - len(failed)
    message = f"{_count(done, 'summary', 'summaries')}"
    if warned := [each for each in outcomes if each.warnings and not each.failed]:
        message += f", {len(warned)} of them with warnings"
    if failed:
        message += f", {_count(len(failed), 'source', 'sources')} failed"
    if not done:
        return Failed(message=f"{message}: {failed[0].error}")
    name = "Completed with warnings" if failed or warned else "Completed"
    return Completed(name=name, message=message)


def _count(n: int, one: str, more: str) -> str:
    return f"{n} {one if n == 1 else more}"
