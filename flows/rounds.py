"""Drive a run: open documents, ask what the ledger lacks, land each as it completes.

Plain code over the plan, the ledger and a `Work` that runs jobs elsewhere; it knows nothing of
Prefect, PDFs or HTTP. Documents are opened only as fast as the model needs them, so that
memory, and the time to the first finished one, stay bounded; an earlier document's requests
go before a later one's. A document that another run is making is put aside, while the others go
on, until that run is through with it.
"""

from __future__ import annotations

import logging
import queue
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from flows.progress import Progress, Watcher
from tasks.errors import InferenceError, ModelError, PipelineError, StorageError
from tasks.generate.attempts import was_refused
from tasks.generate.flaws import Flaw
from tasks.generate.foresight import Foreseen
from tasks.naming import short_name
from tasks.records import Document, Generation, Request, Source

if TYPE_CHECKING:
    from tasks.extract import Extracted

log = logging.getLogger(__name__)

_READERS = 2  # sources read at once
_BATCHES = 4  # batches of requests at once: the pool's queue never runs dry
_OPEN = 32  # documents in memory at once
_ASIDE = 2 * _OPEN  # documents, also in memory, that are left to other runs
_READY = 64  # requests in stock, below which further documents are opened

WORKERS = _READERS + _BATCHES

_WARNED = frozenset({"merge_failed", "line_failed", "line_kept"})
_NOTHING = "the model gave no usable answer for any part of it"
_OTHER_MODEL = "Try another model; the table `generations` holds what it said"
_SAME = "each call for it was refused alike"
_SEE_SERVER = "See the model server, and its log; then the same again"


class Plan(Protocol):
    """What a document still needs; see SummaryPlan and TranslationPlan in tasks.generate."""

    @property
    def document_id(self) -> str: ...

    def requests(self, done: Mapping[str, Generation]) -> list[Request]: ...
    def foreseen(self, done: Mapping[str, Generation]) -> Foreseen: ...  # beyond those
    def flaws(self, done: Mapping[str, Generation]) -> list[Flaw]: ...
    def document(self, done: Mapping[str, Generation]) -> Document: ...


@dataclass(frozen=True)
class Reading:
    """A source that was read. Without a plan it has nothing to ask: it failed."""

    source: Source
    plan: Plan | None
    extracted: Extracted | None = None


class Future(Protocol):
    """The part that concurrent.futures and Prefect have in common."""

    def add_done_callback(self, fn: Callable[[Any], None], /) -> None: ...
    def result(self) -> Any: ...


class Work(Protocol):
    """Who does the work, elsewhere and at once; `land` alone is done on the spot."""

    def read(self, label: str, uri: str) -> Future: ...  # of a Reading
    def claim(self, plan: Plan) -> bool: ...  # whether no other run is making the document
    def ask(self, label: str, requests: Sequence[Request]) -> Future: ...
    def best(self, keys: Collection[str]) -> dict[str, Generation]: ...  # of those that are done
    def land(self, reading: Reading, done: Mapping[str, Generation]) -> Document: ...
    def drop(self, plan: Plan) -> None: ...  # of a document that is not going to be landed


@dataclass(frozen=True)
class Outcome:
    """How one source ended.

    Attributes:
        document: what was landed; None where there is nothing.
        error: why the source failed; empty if it did not. remedy: what to do, alone: its end.
        asked: calls of the model in this run; from_ledger: answers that were there already.
        twin: the uri of the source with the same content that stands for this one, or failed for
            both; or "".
        flaws: what the document suffers from.
        transient: it failed, or suffers, from what may be gone by the next run: a full disk, a
            server that gave no answer.
    """

    uri: str
    source: Source | None = None
    document: Document | None = None
    error: str = ""
    asked: int = 0
    from_ledger: int = 0
    twin: str = ""
    remedy: str = ""
    flaws: tuple[Flaw, ...] = ()
    transient: bool = False

    @property
    def failed(self) -> bool:
        return bool(self.error) or (self.document is None and not self.twin)

    @property
    def incomplete(self) -> bool:
        """Whether it lacks parts: pages without text, or chunks that failed."""
        source, document = self.source, self.document
        return bool(
            (source and source.status == "partial") or (document and document.coverage.failed)
        )

    @property
    def warnings(self) -> bool:
        """Whether the user should look at it, though it did not fail."""
        return self.incomplete or any(flaw.kind in _WARNED for flaw in self.flaws)


@dataclass(eq=False)
class _Open:
    """A document between reading and landing."""

    order: int
    uri: str
    reading: Reading
    plan: Plan
    done: dict[str, Generation] = field(default_factory=dict)
    outstanding: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Ready:
    """A request that waits for a place in a batch; `position` is its number in its round."""

    document: _Open
    position: int
    request: Request


class Rounds:
    """One run over some sources.

    Args:
        watcher: hears of each source as it ends, and sees the progress about once a second,
            both in the thread that calls `run`.
        batch: the least number of requests in a batch, as long as there are that many.
        go_on: asked before anything is begun; once it says no, what is under way is the last. The
            work looks at it too: of a batch it begins nothing more.
    """

    def __init__(
        self,
        uris: Sequence[str],
        work: Work,
        progress: Progress,
        watcher: Watcher,
        *,
        batch: int = 16,
        go_on: Callable[[], bool] | None = None,
    ) -> None:
        self._work, self._progress, self._watcher = work, progress, watcher
        self._batch, self._go_on = batch, go_on
        self._unread = deque(enumerate(uris))
        self._reading: dict[Future, tuple[int, str]] = {}
        self._asking: dict[Future, list[_Ready]] = {}
        self._open: set[_Open] = set()
        self._aside: list[_Open] = []
        self._ready: list[_Ready] = []
        self._waiting: dict[str, list[_Open]] = {}  # by key, whoever asks for it first
        self._seen: dict[str, int] = {}  # source_id -> order
        self._twins: dict[int, list[tuple[int, str, Source]]] = {}  # by the order of the first
        self._finished: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._outcomes: dict[int, Outcome] = {}

    def run(self) -> list[Outcome]:
        """Return how each source ended, in their order.

        Raises:
            PipelineError: the model can't be asked at all; what is landed stays.
        """
        while self._start_work():
            try:
                future = self._finished.get(timeout=1)
            except queue.Empty:
                pass
            else:
                self._take(future)
            self._watcher.show(self._progress.snapshot())
        self._watcher.show(self._progress.snapshot())
        return [self._outcomes[order] for order in sorted(self._outcomes)]

    @property
    def left(self) -> list[str]:
        """The uris of sources that were not come to, or not through with, when run() ended."""
        begun = [*self._open, *self._aside]
        left = [*self._unread, *((each.order, each.uri) for each in begun)]
        left += [(order, uri) for twins in self._twins.values() for order, uri, _ in twins]
        return [uri for _, uri in sorted(left)]

    def _is_over(self) -> bool:
        return self._go_on is not None and not self._go_on()

    def _start_work(self) -> bool:
        """Hand out what can be started; return whether anything is under way."""
        if self._is_over():
            return bool(self._reading or self._asking)
        self._take_up()
        while self._may_read():
            order, uri = self._unread.popleft()
            future = self._work.read(f"read {short_name(uri)}", uri)
            self._reading[future] = (order, uri)
            future.add_done_callback(self._finished.put)
        while self._ready and len(self._asking) < _BATCHES:
            batch = self._next_batch()
            future = self._work.ask(_label(batch), [each.request for each in batch])
            self._asking[future] = batch
            future.add_done_callback(self._finished.put)
        return bool(self._reading or self._asking or self._aside)

    def _take_up(self) -> None:
        """Begin the documents that no other run is making; it may have made them by now."""
        aside, self._aside = self._aside, []
        for document in aside:
            try:
                free = self._work.claim(document.plan)
            except PipelineError as error:
                self._end(document.order, _failed(document.uri, error, document.reading.source))
                continue
            if free:
                self._open.add(document)
                self._continue(document)
            else:
                self._aside.append(document)
        self._progress.elsewhere(len(self._aside))

    def _may_read(self) -> bool:
        return (
            bool(self._unread)
            and len(self._reading) < _READERS
            and len(self._open) + len(self._reading) < _OPEN
            and len(self._aside) < _ASIDE
            and len(self._ready) < _READY
        )

    def _next_batch(self) -> list[_Ready]:
        """Take from the stock: much while it is large, so that task runs stay few."""
        size = self._batch
        if self._go_on is None:
            size = max(size, len(self._ready) // (2 * _BATCHES))
        batch, self._ready = self._ready[:size], self._ready[size:]
        return batch

    def _take(self, future: Future) -> None:
        if future in self._reading:
            self._opened(*self._reading.pop(future), future)
        else:
            self._answered(self._asking.pop(future), future)

    def _opened(self, order: int, uri: str, future: Future) -> None:
        self._progress.read()
        try:
            reading: Reading = future.result()
        except CancelledError:  # there was no time left for it
            self._unread.appendleft((order, uri))
            return
        except PipelineError as error:
            self._end(order, _failed(uri, error))
            return
        except Exception as error:
            # One document that trips over a mistake of ours must not stop the others.
            log.exception("%s could not be read", uri)
            self._end(order, Outcome(uri, error=f"{uri}: {type(error).__name__}: {error}"))
            return
        source = reading.source
        if reading.plan is None:
            self._end(order, Outcome(uri, source, error=source.error, remedy=source.remedy))
        elif (first := self._seen.setdefault(source.source_id, order)) != order:
            self._twins.setdefault(first, []).append((order, uri, source))
            self._end_twins(first)
        else:
            self._aside.append(_Open(order, uri, reading, reading.plan))
            self._take_up()

    def _answered(self, batch: list[_Ready], future: Future) -> None:
        try:
            future.result()  # a batch that failed as a whole ends the run: the next one would too
        except CancelledError:  # there was no time left when its turn came
            if not self._is_over():
                raise
        rows = self._work.best({each.request.key for each in batch})
        touched: dict[_Open, None] = {}  # in order, each once
        for each in batch:
            key = each.request.key
            if key not in rows and self._is_over():
                continue  # it was not begun any more
            for document in self._waiting.pop(key, []):
                document.done.update({key: rows[key]} if key in rows else {})
                document.outstanding.discard(key)
                touched[document] = None
        for document in touched:
            self._continue(document)

    def _continue(self, document: _Open) -> None:
        """Ask for what the document's answers have made possible, or land it."""
        try:
            requests = self._missing(document)
            if requests:
                self._stock(document, requests)
            elif document.outstanding:
                self._foresee(document)
            else:
                self._land(document)
        except PipelineError as error:
            self._open.discard(document)
            self._work.drop(document.plan)
            self._end(document.order, _failed(document.uri, error, document.reading.source))

    def _missing(self, document: _Open) -> list[Request]:
        """Subtract what the ledger holds, level by level, from what the plan wants."""
        while True:
            wanted = document.plan.requests(document.done)
            requests = [each for each in wanted if each.key not in document.outstanding]
            if not requests:
                return []
            found = self._work.best({each.key for each in requests})
            new = found.keys() - document.done.keys()
            if not new:
                return requests
            document.done.update(found)

    def _stock(self, document: _Open, requests: list[Request]) -> None:
        keys = {each.key for each in requests}
        if repeated := keys & document.asked:
            # Asking once more would go on for ever.
            raise StorageError(document.uri, f"{len(repeated)} answers are not in the ledger")
        document.outstanding |= keys
        fresh = []
        for position, request in enumerate(requests, start=1):
            waiting = self._waiting.setdefault(request.key, [])
            waiting.append(document)
            if len(waiting) == 1:  # else another document has asked for the very same
                fresh.append(_Ready(document, position, request))
        document.asked |= {each.request.key for each in fresh}
        self._ready += fresh
        self._ready.sort(key=lambda each: each.document.order)  # stable: rounds keep their order
        self._progress.planned([each.request for each in fresh])
        self._foresee(document)

    def _foresee(self, document: _Open) -> None:
        self._progress.foresee(document.order, document.plan.foreseen(document.done))

    def _land(self, document: _Open) -> None:
        plan, done = document.plan, document.done
        landed = self._work.land(document.reading, done)
        self._open.discard(document)
        cover, flaws = landed.coverage, tuple(plan.flaws(done))
        is_shown = cover.ok or cover.repaired or any(each.kind == "line_failed" for each in flaws)
        nothing = flaws and not is_shown
        error = _why_nothing(document.uri, done) if nothing else None
        self._end(
            document.order,
            Outcome(
                document.uri,
                document.reading.source,
                landed,
                error=str(error) if error else "",
                remedy=error.remedy if error else "",
                asked=len(document.asked),
                from_ledger=len(done.keys() - document.asked),
                flaws=flaws,
                transient=any("no_answer" in each.reason for each in flaws),
            ),
        )

    def _end(self, order: int, outcome: Outcome) -> None:
        self._outcomes[order] = outcome
        self._progress.foresee(order, Foreseen())
        self._progress.ended()
        self._watcher.ended(outcome)
        self._end_twins(order)

    def _end_twins(self, first: int) -> None:
        """End the sources that have the content of another, once that one has ended."""
        if outcome := self._outcomes.get(first):
            for order, uri, source in self._twins.pop(first, []):
                self._end(order, _twin(outcome, uri, source))


def _why_nothing(uri: str, done: Mapping[str, Generation]) -> InferenceError:
    """Return what to say of a document of which nothing has come: the server's own words, where it
    had but one answer to all calls."""
    said = {row.error for row in done.values() if was_refused(row)}
    if len(said) == 1 and all(map(was_refused, done.values())):
        return InferenceError(uri, f"{_SAME} ({said.pop().rstrip('.')})", _SEE_SERVER)
    return InferenceError(uri, _NOTHING, _OTHER_MODEL)


def _twin(outcome: Outcome, uri: str, source: Source) -> Outcome:
    """Return how a source ends whose content is that of another."""
    if not outcome.failed:
        return Outcome(uri, source, twin=outcome.uri)
    why = outcome.error.removeprefix(f"{outcome.uri}: ")
    error = f"{uri}: same content as {short_name(outcome.uri)}: {why}"
    return Outcome(uri, source, twin=outcome.uri, error=error, remedy=outcome.remedy)


def _failed(uri: str, error: PipelineError, source: Source | None = None) -> Outcome:
    passing = isinstance(error, StorageError | InferenceError | ModelError)
    return Outcome(uri, source, error=str(error), remedy=error.remedy, transient=passing)


def _label(batch: Sequence[_Ready]) -> str:
    """Name a batch for the UI: "summarize paper.pdf 1-24"."""
    first = batch[0]
    own = [each for each in batch if each.document is first.document]
    others = len({id(each.document) for each in batch}) - 1
    label = f"{first.request.task} {short_name(first.document.uri)} {_span(own)}"
    return f"{label} and {others} more" if others else label


def _span(batch: Iterable[_Ready]) -> str:
    positions = [each.position for each in batch]
    low, high = min(positions), max(positions)
    return str(low) if low == high else f"{low}-{high}"
