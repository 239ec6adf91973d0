"""Glossaries: how names and terms are rendered throughout a document.

Owns where entries come from and which of them wins: the user's file, then what an earlier
translation of the same document has settled, or else what the model proposes for the names and
terms that recur. Settled once, before anything is translated.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.chunk.text import line_text, shorten
from tasks.generate.attempts import was_refused
from tasks.generate.languages import has_own_script, is_in
from tasks.generate.line_checks import Pair, weight
from tasks.generate.lines import numbered
from tasks.generate.numbered_answer import read_numbered
from tasks.generate.occurring import occurring
from tasks.generate.prompts import PromptLibrary
from tasks.generate.requests import RequestMaker
from tasks.generate.terms import Candidate, candidates
from tasks.records import Generation, Line, Request, Sampling, Segment, Term, TermOrigin

Done = Mapping[str, Generation]

_BATCH = 20  # terms of a call
_TERM_TOKENS = 48  # of the answer for one
_EXAMPLE_TOKENS = 60
_LONGEST = 4.0  # times as long as the term, in what it says
_SLACK = 24.0
_SEVERAL = re.compile(r"[，,；;、]|..或..| or | / ")  # renderings, or an explanation


def made_by(identity: str, prompts: PromptLibrary) -> str:
    """Return the hash of what proposes renderings: the model and its prompt."""
    work = f"{identity} {prompts.hash('glossary')}"
    return hashlib.sha256(work.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A term, where it is from, and in how many segments it occurs."""

    term: Term
    origin: TermOrigin
    count: int


class Glossary:
    """The glossary of one document's translation, as far as it is settled.

    Args:
        user: entries of the user's file.
        settled: what was found for an earlier state of the document, or one entry without a term
            if that was nothing. It stays as it is and nothing is looked for again, so that an edit
            changes no other part of the translation.
    """

    def __init__(
        self,
        maker: RequestMaker,
        segments: Sequence[Segment],
        pair: Pair,
        *,
        user: Sequence[Term] = (),
        settled: Sequence[Term] = (),
    ) -> None:
        self._segments, self._pair = segments, pair
        self._user = tuple(user)
        self._settled = [_found(term.source, term.target) for term in settled if term.source]
        self.origin: TermOrigin = "settled" if settled else "found"  # of what is not the user's
        self._given = {term.source.casefold() for term in user}
        found = candidates(segments, pair.source) if pair.differ and not settled else []
        self._counts = {each.text.casefold(): each.count for each in found}
        new = [each for each in found if each.text.casefold() not in self._given]
        self.requests = list(_requests(maker, new))

    def missing(self, done: Done) -> list[Request]:
        """Return the requests without an answer; none: terms() is settled."""
        return [request for request in self.requests if request.key not in done]

    def terms(self, done: Done) -> list[Term]:
        """Return all terms: the user's, and what was found."""
        return [*self._user, *(term for term in self._found(done) if term.target)]

    def entries(self, done: Done) -> list[Entry]:
        """Return the terms that occur in the document, and in how many segments; also those for
        which nothing fit was proposed, without a rendering: that too is settled."""
        terms = [*self._user, *self._found(done)]
        counts = Counter(
            term.source for each in self._segments for term in occurring(terms, each.text)
        )
        return [
            Entry(term, "user" if n < len(self._user) else self.origin, counts[term.source])
            for n, term in enumerate(terms)
            if counts[term.source]
        ]

    def _found(self, done: Done) -> Iterator[Term]:
        proposed = [term for request in self.requests for term in self._proposed(request, done)]
        agreed = _agreed(proposed, self._counts)
        named = {term.source for term in agreed}
        # A call that got no answer settles nothing.
        answered = (each for each in self.requests if not was_refused(done[each.key]))
        lines = (line.text for request in answered for line in request.lines)
        declined = (_found(text, "") for text in lines if text not in named)
        for term in (*self._settled, *agreed, *declined):
            if term.source.casefold() not in self._given:
                yield term

    def _proposed(self, request: Request, done: Done) -> Iterator[Term]:
        """Yield what an answer proposes and is fit to bind a translation."""
        row = done[request.key]
        truncated = row.finish_reason == "length"
        answer = read_numbered(row.text, len(request.lines), truncated=truncated)
        for number, text in answer.texts.items():
            term = request.lines[number - 1].text
            rendering = _rendering(term, text)
            if number not in answer.repeated | answer.misplaced and self._is_fit(term, rendering):
                yield _found(term, rendering)

    def _is_fit(self, term: str, rendering: str) -> bool:
        target = self._pair.target
        if rendering.casefold() == term.casefold():  # a name may stay as it is
            return term[0].isupper() and not has_own_script(target)
        if _SEVERAL.search(rendering) and not _SEVERAL.search(term):
            return False
        return (
            any(c.isalnum() for c in rendering)
            and weight(rendering) <= _LONGEST * weight(term) + _SLACK
            and is_in(rendering, target)
            and (not has_own_script(target) or not rendering.isascii())
        )


def _rendering(term: str, text: str) -> str:
    """Return a term's rendering by an answer, without the term itself, in front or in brackets."""
    name = re.escape(term)
    text = re.sub(rf"\s*[(（]\s*{name}\s*[)）]", "", text, flags=re.IGNORECASE)
    text = re.sub(rf"^\s*{name}\s*(?:[=:：→]|->|\s[-–—])\s*", "", text, flags=re.IGNORECASE)
    return text.strip(" .。;；:：")


def _found(source: str, target: str) -> Term:
    """Return an entry that is not the user's: names have capitals, terms are in small letters."""
    return Term(source, target, exact=source != source.lower())


def check_renderings(request: Request, text: str, finish_reason: str) -> tuple[str, ...]:
    """Return the names of the checks that an answer fails: without a line it is none."""
    truncated = finish_reason == "length"
    answer = read_numbered(text, len(request.lines), truncated=truncated)
    if not answer.texts:
        return ("missing",) if text.strip() else ("empty",)
    return ("truncated",) if truncated else ()


def _requests(maker: RequestMaker, found: Sequence[Candidate]) -> Iterator[Request]:
    """Yield requests for all candidates, as many in each as its budget has room for."""
    at, size = 0, _BATCH
    while at < len(found):
        request = _request(maker, found[at : at + size])
        if request is not None:
            yield request
        elif size > 1:
            size //= 2
            continue
        at += size


def _request(maker: RequestMaker, found: Sequence[Candidate]) -> Request | None:
    """Return the request for these candidates; None: it would be too long."""
    lines = tuple(Line(n, each.text, n) for n, each in enumerate(found, start=1))
    examples = (shorten(line_text(each.example), _EXAMPLE_TOKENS, maker.tokens) for each in found)
    variables = {
        "language": maker.language,
        "title": maker.title,
        "context": "\n".join(filter(None, examples)),
        "source": numbered([replace(line, paragraph=1) for line in lines]),
    }
    rendered = maker.render("glossary", variables)
    prompt_tokens = maker.count(rendered)
    most = _TERM_TOKENS * len(lines)
    if prompt_tokens > maker.budget.max_prompt_tokens or prompt_tokens + most > maker.budget.n_ctx:
        return None
    sampling = Sampling(max_tokens=most)
    return maker.request("glossary", rendered, lines, sampling, prompt_tokens, level=0)


def _agreed(terms: Iterable[Term], counts: Mapping[str, int]) -> list[Term]:
    """Return each term once; of several renderings the one of the most occurrences."""
    votes: dict[str, Counter[str]] = {}
    names: dict[str, str] = {}
    for term in terms:
        name = term.source.casefold()
        names.setdefault(name, term.source)
        votes.setdefault(name, Counter())[term.target] += counts.get(name, 1)
    return [_found(names[name], each.most_common(1)[0][0]) for name, each in votes.items()]
