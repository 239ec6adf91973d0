"""What the flows that make documents do: find sources, make task runs of jobs, tell how it ended.

Thin: which jobs there are stands in `flows.job`, what they make in `flows.making`, in which order
they run in `flows.rounds`, what the run's page shows in `flows.artifacts`.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run, task_run
from prefect.states import Cancelled, Completed, Failed
from pydantic import SecretStr

from flows.artifacts import CancelledRun, RunPage
from flows.asking import Asker
from flows.in_use import a_run
from flows.intake import Intake, Taken
from flows.job import Job, prompt_library
from flows.making import Making
from flows.progress import Progress, Watcher, watcher
from flows.rounds import Future, Outcome, Reading, Rounds
from flows.run_tables import accounted_for, of_translations
from flows.words import Words
from tasks.errors import PipelineError
from tasks.extract import EXTRACTOR_VERSION, ocr
from tasks.extract.lectures import LECTURE_VERSION, LectureOptions, Urls
from tasks.generate.budget import model_identity
from tasks.generate.languages import language_code
from tasks.generate.prompts import PromptLibrary
from tasks.land import statistics
from tasks.models.files import absolute_name
from tasks.models.spec import ModelSpec
from tasks.naming import as_path
from tasks.pool.contact import Contact
from tasks.pool.fitting import load_spec_that_fits
from tasks.pool.lifecycle import ensure_pool
from tasks.pool.tuning import tuning_for
from tasks.records import CaptionsMode, OcrMode, Request
from tasks.settings import PROJECT_ROOT, Settings, settings

# The settings by which a document can be read and asked about, or not.
_LIMITS = {
    *("pdf_memory_mb", "pdf_seconds", "ocr", "ocr_languages", "ocr_seconds"),
    *("max_prompt_tokens", "pool_n_ctx"),
    *("captions", "speech_model", "speech_device", "speech_batch", "media_max_hours"),
}


@dataclass(frozen=True)
class Parameters:
    """What the flows that make documents have in common; their docstrings explain them."""

    model: str | None = None
    again: bool = False
    password: SecretStr | None = None
    ocr: OcrMode | None = None
    prompt_dir: str | None = None
    captions: CaptionsMode | None = None
    speech_model: str | None = None
    spoken: str | None = None
    hotwords: str = ""
    speech_again: bool = False
    urls: Urls = "documents"

    def settings(self) -> Settings:
        """Return the settings, with what is said otherwise here."""
        given = {"captions": self.captions, "speech_model": self.speech_model}
        return settings().model_copy(update={k: v for k, v in given.items() if v is not None})

    def lecture(self, making: Making) -> LectureOptions:
        """Return how what is played is read.

        Raises:
            SourceError: the language is unknown.
        """
        return LectureOptions(
            urls=self.urls,
            captions=self.captions,
            language=language_code(self.spoken) if self.spoken else "",
            hotwords=self.hotwords or making.hotwords,
            again=self.speech_again,
        )


def make_documents(
    parameters: Parameters,
    making: Callable[[Settings], Making],
    intake: Callable[[], Intake],
) -> State[Any]:
    """Make a document of each source, and return the state in which the run ends.

    Args:
        making: returns what is made.
        intake: returns where the sources are from.
    """
    with RunPage(str(flow_run.id), watcher.get()) as page:
        try:
            config = parameters.settings()
            given = intake()
            if given.is_empty(config):
                return Completed(message=Taken([]).nothing)
            made = making(config)
            lecture = parameters.lecture(made)
            contact = _contact(config, page) if made.needs_model else None
            spec = _model(parameters, config, page) if made.needs_model else None
            own = parameters.prompt_dir
            prompts = prompt_library(config, as_path(own, PROJECT_ROOT) if own else None)
            taken = given.take(config, _made_by(made, spec, prompts, config), made.language)
            if not taken.uris:
                return Completed(message=taken.nothing)
            progress = Progress(len(taken.uris))
            # Of all batches together, and of one: as many again wait as are answered.
            at_once = 2 * tuning_for(config, spec.identity).n_seq_max if spec else 1
            password = parameters.password
            with a_run(config.home), Asker(config, at_once, progress.doing, contact) as asker:
                job = Job(
                    config,
                    spec,
                    made,
                    asker,
                    progress,
                    again=parameters.again,
                    password=password.get_secret_value() if password else None,
                    ocr=parameters.ocr,
                    prompts=prompts,
                    lecture=lecture,
                    flow_run_id=page.flow_run_id,
                    go_on=given.go_on,
                )
                with job:
                    rounds = Rounds(
                        taken.uris,
                        _TaskRuns(job),
                        progress,
                        _Noted(page, taken),
                        batch=at_once,
                        go_on=given.go_on,
                    )
                    outcomes = rounds.run()
        except PipelineError as error:
            return Failed(message=str(error))
        except (CancelledRun, KeyboardInterrupt, TerminationSignal):
            return Cancelled(message="Cancelled. Start it again: what is done is not asked anew.")
        page.end(outcomes, statistics(config.results, page.flow_run_id))
        return _state(outcomes, made.words, len(rounds.left) + taken.n_copied)


def _contact(settings: Settings, page: RunPage) -> Contact | None:
    """Look whether the other server is there that is to be asked; the page hears if it is not.

    Raises:
        InferenceError: it never can be.
    """
    if not settings.pool_url:
        return None
    own = copy_context()  # in another thread, it tells Prefect whose log a line belongs to
    contact = Contact(ensure_pool(settings), lambda line: own.run(page.note, line))
    contact.look()
    return contact


def _model(parameters: Parameters, settings: Settings, page: RunPage) -> ModelSpec:
    """Return the model, fetched if need be.

    Raises:
        ModelError: it can't be had, or does not fit.
    """
    name = absolute_name(parameters.model or settings.model, PROJECT_ROOT)
    spec = load_spec_that_fits(name, settings, page.fetched)
    page.note(spec.note)
    return spec


def _made_by(
    making: Making, spec: ModelSpec | None, prompts: PromptLibrary, settings: Settings
) -> str:
    """Return the hash of what determines a document besides its source, and whether it can be made:
    following a failure's remedy changes it."""
    hashes = [prompts.hash(name) for name in making.prompts]
    identity = model_identity(spec, settings) if spec else ""
    asking = [identity, *hashes, repr(making)]
    limits = settings.model_dump(mode="json", include=_LIMITS)
    work = [*asking, EXTRACTOR_VERSION, LECTURE_VERSION, ocr.means(), limits]
    return hashlib.sha256(json.dumps(work).encode()).hexdigest()


class _Noted(Watcher):
    """The run's page, and what was taken in, which hears of each source as it ends."""

    def __init__(self, page: RunPage, taken: Taken) -> None:
        self.show = page.show  # type: ignore[method-assign]
        self._page, self._taken = page, taken

    def ended(self, outcome: Outcome) -> None:
        self._taken.ended(outcome)
        self._page.ended(outcome)


class _TaskRuns:
    """Runs a job's parts as task runs. Prefect looks into arguments, but not into a callable."""

    def __init__(self, job: Job) -> None:
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


def _state(outcomes: Sequence[Outcome], words: Words, n_left: int) -> State[Any]:
    failed = [each for each in outcomes if each.failed]
    done = len(outcomes) - len(failed)
    message = words.count(done)
    if warned := [each for each in outcomes if each.warnings and not each.failed]:
        message += f", {len(warned)} of them with warnings"
    if failed:
        message += f", {len(failed)} {'source' if len(failed) == 1 else 'sources'} failed"
    if of_translations(outcomes):
        message += f"; {accounted_for(outcomes)}"
    if n_left:
        message += f", {n_left} left for the next time"
    if failed and not done:
        return Failed(message=f"{message}: {failed[0].error}")
    name = "Completed with warnings" if failed or warned else "Completed"
    return Completed(name=name, message=message)
