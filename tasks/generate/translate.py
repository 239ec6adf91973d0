"""The plan of a document's translation: which calls it takes, and what their answers make.

Owns which segments are translated and which stay as they are, the order of chunks, and how each
segment ended. A pure function of what is done, so resuming is no special path. Does not know
where answers are kept, nor who gives them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import PurePath

from tasks.chunk import chunk_segments
from tasks.errors import SourceError
from tasks.generate.budget import Budget, model_identity
from tasks.generate.flaws import Flaw, line_flaws, places
from tasks.generate.foresight import Foreseen
from tasks.generate.glossary import Entry, Glossary, made_by
from tasks.generate.ladder import Climb, Judged, LineResult, climb
from tasks.generate.languages import is_already_in, is_same, is_spaceless
from tasks.generate.line_checks import Pair
from tasks.generate.prompts import PromptLibrary
from tasks.generate.protected import (
    is_code,
    is_formula,
    is_nothing_to_translate,
    is_row_of_figures,
)
from tasks.generate.requests import RequestMaker
from tasks.generate.translation_checks import judge
from tasks.generate.translation_requests import Preceding, TranslationRequests
from tasks.models.spec import ModelSpec
from tasks.naming import file_name
from tasks.records import (
    Chunk,
    Coverage,
    Document,
    Generation,
    GlossaryEntry,
    LineStatus,
    Request,
    Segment,
    Source,
    Term,
    TranslatedLine,
    TranslationMode,
)
from tasks.settings import Settings

Done = Mapping[str, Generation]

_LINE_TOKENS = 6
_PAIRS = 3  # lines of the chunk before, in sequential mode
_WORST: tuple[LineStatus, ...] = ("ok", "repaired", "failed", "kept")
# Why a segment stays as it is, by rule.
_RULES: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("nothing to translate", is_nothing_to_translate),
    ("row of figures", is_row_of_figures),
    ("formula", is_formula),
    ("code", is_code),
)


@dataclass(frozen=True)
class TranslationOptions:
    """What the user wants.

    Attributes:
        to: code of the language to translate into.
        given: code of the source's language; "": what was found in the text.
        mode: parallel: a chunk is told the source's text before it, so that all can be asked at
            once; sequential: the translation before it, section by section.
        glossary: how terms are rendered.
    """

    to: str
    given: str = ""
    mode: TranslationMode = "parallel"
    glossary: tuple[Term, ...] = ()


def kept_by_rule(segment: Segment, pair: Pair) -> str:
    """Return why a segment stays as it is; "" if it is translated."""
    if segment.kind in ("code", "contents", "reference"):
        return segment.kind
    if is_already_in(segment.text, pair.source, pair.target):
        return "already translated"
    return next((name for name, applies in _RULES if applies(segment.text)), "")


@dataclass(frozen=True)
class _Packed:
    """The chunks, and what makes their requests."""

    requests: TranslationRequests
    chunks: list[Chunk]

    @cached_property
    def sections(self) -> list[list[Chunk]]:
        return [list(each) for _, each in groupby(self.chunks, key=lambda each: each.heading_path)]


class TranslationPlan:
    """The calls that a translation takes, as far as the answers so far let it be known.

    Args:
        settled: returns, for a document's id, the glossary that it takes over.

    Raises:
        PromptError: the budget is too small for this document's prompts.
        SourceError: it is in that language already.
    """

    def __init__(
        self,
        source: Source,
        segments: Sequence[Segment],
        spec: ModelSpec,
        prompts: PromptLibrary,
        options: TranslationOptions,
        settings: Settings,
        settled: Callable[[str], Sequence[Term]] = lambda document_id: (),
    ) -> None:
        source = replace(source, language=options.given or source.language)
        if is_same(source.language, options.to):
            remedy = "Name another with --to, or the document's own with --from"
            raise SourceError(source.uri, f"it is in {source.language} already", remedy)
        self._source, self._options, self._model = source, options, spec.name
        self._segments = {segment.n: segment for segment in segments}
        pair = Pair(source.language, options.to)
        self._kept = {s.n: rule for s in segments if (rule := kept_by_rule(s, pair))}
        self._title = source.title or PurePath(file_name(source.uri)).stem
        budget = Budget.of(spec, settings).for_translation()
        identity = model_identity(spec, settings)
        self._glossary_by = made_by(identity, prompts)
        maker = RequestMaker(source, spec, prompts, budget, options.to, self._title, identity)
        self._maker = maker
        self._made_by = [identity, prompts.hash("translate"), asdict(budget)]
        self._shown = [segment for segment in segments if segment.n not in self._kept]
        taken = settled(self.document_id)
        self._glossary = Glossary(maker, self._shown, pair, user=options.glossary, settled=taken)
        self._packed: _Packed | None = None
        self._ended: dict[int, Climb] = {}
        self._made: dict[int, dict[tuple[int, ...], Request]] = {}  # of chunks under way
        self._judged: dict[int, dict[str, Sequence[Judged]]] = {}  # likewise

    def chunks(self, done: Done) -> list[Chunk]:
        """Return what is translated together, once the glossary is settled."""
        return self._pack(done).chunks

    def glossary(self, done: Done) -> list[GlossaryEntry]:
        """Return the glossary, once it is settled; where it has but the user's terms, with an entry
        without a term: that nothing was found is settled as well."""
        entries = self._glossary.entries(done)
        if all(each.origin == "user" for each in entries):
            entries.append(Entry(Term("", ""), self._glossary.origin, 0))
        return [
            GlossaryEntry(
                document_id=self.document_id,
                source_id=self._source.source_id,
                uri=self._source.uri,
                language=self._source.language,
                to=self._options.to,
                term=entry.term.source,
                rendering=entry.term.target,
                note=entry.term.note,
                origin=entry.origin,
                count=entry.count,
                made_by=self._glossary_by,
            )
            for entry in entries
        ]

    def _pack(self, done: Done) -> _Packed:
        """Return the chunks: what of the glossary occurs in one takes room in its prompt."""
        if self._packed is None:
            terms = self._glossary.terms(done)
            requests = TranslationRequests(self._maker, terms, self._options.mode)
            budget = self._maker.budget
            chunks = chunk_segments(
                replace(self._source, title=self._title),
                self._shown,
                requests.chunk_tokens,
                max_prompt_tokens=budget.max_prompt_tokens,
                max_lines=budget.max_lines,
                line_tokens=self._maker.tokens,
                max_line_tokens=budget.max_line_tokens,
                context_times=requests.context_times,
            )
            self._packed = _Packed(requests, chunks)
        return self._packed

    def requests(self, done: Done) -> list[Request]:
        """Return what can be asked now and is not done; nothing: the translation is complete.

        Args:
            done: the row that counts for each key that needs no further call.
        """
        if missing := self._glossary.missing(done):
            return missing
        # Passages that repeat word for word make the same request: it is asked once.
        found = (request for state in self._climbs(done) for request in state.missing)
        return list({request.key: request for request in found}.values())

    def foreseen(self, done: Done) -> Foreseen:
        """Return what follows the requests that can be made now; failures can't be foreseen."""
        if self._glossary.missing(done):
            return self._guessed()
        reached = sum(1 for _ in self._climbs(done))
        sizes = [chunk.prompt_tokens for chunk in self.chunks(done)]
        n_left = len(sizes) - reached
        if not n_left:
            return Foreseen()
        return Foreseen(n_left, n_left * sum(sizes) // len(sizes))

    def _guessed(self) -> Foreseen:
        """Return about the calls that the whole text takes."""
        tokens = sum(self._maker.tokens(segment.text) + _LINE_TOKENS for segment in self._shown)
        most = self._maker.budget.max_prompt_tokens
        return Foreseen(max(1, 2 * tokens // most), 2 * tokens)

    def flaws(self, done: Done) -> list[Flaw]:
        """Return what the finished translation suffers from."""
        doubtful = (line for line in self.lines(done) if line.is_doubtful)
        return line_flaws(doubtful, self._segments)

    def document(self, done: Done) -> Document:
        """Return the finished translation; call it when requests(done) returns nothing."""
        lines = self.lines(done)
        statuses = [line.status for line in lines]
        return Document(
            document_id=self.document_id,
            source_id=self._source.source_id,
            kind="translation",
            language=self._options.to,
            length="",
            model=self._model,
            title=self._title,
            sections=(),
            coverage=Coverage(
                ok=statuses.count("ok"),
                repaired=statuses.count("repaired"),
                kept=statuses.count("kept"),
                failed=statuses.count("failed"),
            ),
            failed_pages=places([self._segments[line.n] for line in lines if line.is_doubtful]),
        )

    def lines(self, done: Done) -> list[TranslatedLine]:
        """Return every segment of the document and how it ended, in order."""
        parts: dict[int, list[tuple[str, LineResult]]] = {}
        for chunk, state in zip(self.chunks(done), self._climbs(done), strict=True):
            for position, line in enumerate(chunk.lines):
                parts.setdefault(line.n, []).append((line.text, state.lines[position]))
        return [
            self._line(segment, parts.get(segment.n, []), done)
            for segment in self._segments.values()
        ]

    def _line(
        self, segment: Segment, parts: list[tuple[str, LineResult]], done: Done
    ) -> TranslatedLine:
        """Put a segment together: of its parts the worst decides."""
        if not parts:
            rule = self._kept.get(segment.n)
            return self._translated(
                segment, segment.text, "kept" if rule else "failed", rule or "missing"
            )
        worst = max((result for _, result in parts), key=lambda each: _WORST.index(each.status))
        if len(parts) == 1 and worst.status == "kept":
            text = segment.text
        else:
            between = "" if is_spaceless(self._options.to) else " "
            text = between.join(result.text or source for source, result in parts)
        reason = ", ".join(worst.checks)
        return self._translated(segment, text, worst.status, reason, done[worst.key])

    def _translated(
        self,
        segment: Segment,
        text: str,
        status: LineStatus,
        reason: str,
        answer: Generation | None = None,
    ) -> TranslatedLine:
        return TranslatedLine(
            document_id=self.document_id,
            source_id=self._source.source_id,
            n=segment.n,
            text=text,
            status=status,
            reason=reason,
            key=answer.key if answer else "",
            mean_logprob=answer.mean_logprob if answer else None,
        )

    def _climbs(self, done: Done) -> Iterator[Climb]:
        """Yield how far each chunk is, as far as their requests can be made."""
        for section in self._pack(done).sections:
            pairs: tuple[Preceding, ...] = ()
            for chunk in section:
                state = self._climb(chunk, pairs, done)
                yield state
                if self._options.mode == "sequential":
                    if state.missing:
                        break
                    pairs = _pairs(chunk, state)

    def _climb(self, chunk: Chunk, pairs: Sequence[Preceding], done: Done) -> Climb:
        known = self._ended.get(chunk.index)
        if known is None:
            made = self._made.setdefault(chunk.index, {})
            judged = self._judged.setdefault(chunk.index, {})

            def ask(rung: int, positions: Sequence[int]) -> Request:
                place = (rung, *positions)
                if place not in made:
                    made[place] = self._pack(done).requests.ask(chunk, rung, positions, pairs)
                return made[place]

            def judge_once(request: Request, row: Generation) -> Sequence[Judged]:
                if request.key not in judged:
                    judged[request.key] = judge(request, row)
                return judged[request.key]

            known = climb(len(chunk.lines), done, ask, judge_once)
            if not known.missing:
                self._ended[chunk.index] = known
                del self._made[chunk.index], self._judged[chunk.index]
        return known

    @cached_property
    def document_id(self) -> str:
        options = asdict(self._options)
        identity = [self._source.source_id, "translation", options, *self._made_by]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _pairs(chunk: Chunk, state: Climb) -> tuple[Preceding, ...]:
    translated = [
        Preceding(line.text, state.lines[position].text)
        for position, line in enumerate(chunk.lines)
        if state.lines[position].text
    ]
    return tuple(translated[-_PAIRS:])
