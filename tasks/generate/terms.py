"""Names and terms that recur in a document: what a glossary is worth for.

Owns finding them, without a model and in any language: by how often they occur, where, and beside
what. What they are called in another language is asked elsewhere. Better a name missed than a
phrase that is none: what stands in a glossary binds the whole translation.

Names are words with a capital within a sentence. Terms of several words, and all terms of scripts
without spaces, are runs that hold together more than chance would have it (pointwise mutual
information) and stand beside many others (as in the discovery of new words).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from tasks.generate.languages import base
from tasks.generate.protected import without_protected
from tasks.records import Segment

MOST = 60  # candidates of a document
_LEAST_NAME, _LEAST_TERM = 3, 5  # occurrences
_HEADING_WEIGHT = 3
_LONGEST_TERM = 3  # words
_LONGEST_RUN = 6  # ideographs
_COHESION = 3.0  # how many times as often as by chance, as a power of e
_VARIETY = 3  # different neighbours, on either side
_COMMON = 0.08  # a word in so many of the segments is no part of a term
_SHORT_WORD = 3

_WORD = re.compile(r"[^\W\d_]+(?:[’'-][^\W\d_]+)*")
_IDEOGRAPHS = re.compile(r"[\u3400-\u9fff]{2,}")
_NAME = re.compile(
    r"(?<![.!?:;“\"(\[•–—-]\s)(?<!^)(?<![\w’'-])"
    r"[A-ZÀ-Þ][\w’'-]*[a-zß-ÿ][\w’'-]*(?:\s+(?:(?:of|the|de|la|von|van|der)\s+)?[A-ZÀ-Þ][\w’'-]+){0,3}"
)
_NOUNS_HAVE_CAPITALS = frozenset({"de"})
_PARTICLES = frozenset(
    "的了在是和与及或不也就都而将把被对从到以为于之其这那有个我你他她它们中上下会能可要一如进通使提任参例"
)
_FUNCTION_TEXT = """
this that these those such with from into onto between when where while which what than then there
their they have been being will would should could must some many much more most other each every
very also only following using used don't about after before under
"""
_FUNCTION_WORDS = frozenset(_FUNCTION_TEXT.split())
_NO_NAME_TEXT = """
monday tuesday wednesday thursday friday saturday sunday january february march april may june july
august september october november december figure figures fig table tables section sections chapter
chapters appendix equation theorem lemma example part page volume note step will act yes no english
"""
_NO_NAMES = frozenset(_NO_NAME_TEXT.split())


@dataclass(frozen=True)
class Candidate:
    """A name or a term.

    Attributes:
        count: occurrences in the document.
        example: a sentence that it stands in.
    """

    text: str
    count: int
    example: str


def candidates(segments: Sequence[Segment], language: str) -> list[Candidate]:
    """Return the names and terms of a document, the weightiest first."""
    shown = [s for s in segments if s.kind in ("sentence", "heading")]
    texts = [without_protected(s.text) for s in shown]
    found = Counter[str]()
    if any(_IDEOGRAPHS.search(text) for text in texts):
        found |= Counter(dict(_runs(texts)))
    if base(language) not in _NOUNS_HAVE_CAPITALS:
        found |= _names(texts)
    found |= Counter(dict(_phrases(texts)))
    headings = " ".join(s.text for s in shown if s.kind == "heading").casefold()
    weights = {
        term: count * (_HEADING_WEIGHT if term.casefold() in headings else 1)
        for term, count in found.items()
    }
    known = (term for term in _maximal(found) if not _is_short_run(term) or term in headings)
    best = sorted(known, key=lambda term: (-weights[term], term))[:MOST]
    return [Candidate(term, found[term], _example(term, shown)) for term in best]


def _is_short_run(term: str) -> bool:
    """Two ideographs are an ordinary word more often than a term."""
    return len(term) == 2 and _IDEOGRAPHS.fullmatch(term) is not None


def _names(texts: Iterable[str]) -> Counter[str]:
    found = Counter(
        " ".join(match.group().split()) for text in texts for match in _NAME.finditer(text)
    )
    return Counter(
        {name: n for name, n in found.items() if n >= _LEAST_NAME and not _is_common(name)}
    )


def _is_common(name: str) -> bool:
    """Tell whether it is a word that has its capital from its language: I'm, Monday, Figure."""
    return " " not in name and (name.casefold() in _NO_NAMES or not name.isalnum())


def _phrases(texts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield terms of two or three words with their counts."""
    rows = [[word.casefold() for word in _WORD.findall(text)] for text in texts]
    presence = Counter(word for row in rows for word in set(row))
    common = {word for word, n in presence.items() if n > max(8, _COMMON * len(rows))}
    common |= _FUNCTION_WORDS
    words = Counter(word for row in rows for word in row)
    total = max(1, sum(words.values()))
    phrases: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        for n in range(2, _LONGEST_TERM + 1):
            for i in range(len(row) - n + 1):
                phrase = tuple(row[i : i + n])
                ends = (phrase[0], phrase[-1])
                if any(w in common or len(w) <= _SHORT_WORD for w in ends):
                    continue
                if all(words[word] >= _LEAST_TERM for word in phrase):
                    phrases[phrase] += 1
    for phrase, n in phrases.items():
        if n >= _LEAST_TERM:
            chance = sum(math.log(words[word] / total) for word in phrase)
            if math.log(n / total) - chance > _COHESION * (len(phrase) - 1):
                yield " ".join(phrase), n


def _runs(texts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield terms of ideographs with their counts."""
    runs = [run for text in texts for run in _IDEOGRAPHS.findall(text)]
    counts = _frequent(runs)
    total = max(1, sum(map(len, runs)))
    apart = {gram for gram in counts if len(gram) > 1 and _stands_alone(gram)}
    neighbours = _neighbours(runs, apart)
    for gram in apart:
        n = counts[gram]
        if min(map(len, neighbours[gram])) < _VARIETY:
            continue
        parts = ((gram[:i], gram[i:]) for i in range(1, len(gram)))
        if min(math.log(n * total / (counts[a] * counts[b])) for a, b in parts) > _COHESION:
            yield gram, n


def _frequent(runs: Sequence[str]) -> Counter[str]:
    """Return the pieces of runs that occur often enough, by length: a long piece occurs no more
    often than those in it, so most of a book's are never counted."""
    found: Counter[str] = Counter()
    for n in range(1, _LONGEST_RUN + 1):
        counts = Counter(
            run[i : i + n]
            for run in runs
            for i in range(len(run) - n + 1)
            if n == 1 or (run[i : i + n - 1] in found and run[i + 1 : i + n] in found)
        )
        found.update({gram: count for gram, count in counts.items() if count >= _LEAST_TERM})
    return found


def _stands_alone(gram: str) -> bool:
    return gram[0] not in _PARTICLES and gram[-1] not in _PARTICLES


def _neighbours(runs: Sequence[str], grams: Set[str]) -> dict[str, tuple[set[str], set[str]]]:
    """Return what stands before and after each of these pieces, as far as it matters; each end of a
    run counts as another."""
    found: dict[str, tuple[set[str], set[str]]] = {gram: (set(), set()) for gram in grams}
    for run in runs:
        for n in range(2, min(_LONGEST_RUN, len(run)) + 1):
            for i in range(len(run) - n + 1):
                if (gram := run[i : i + n]) in found:
                    left, right = found[gram]
                    if len(left) < _VARIETY:
                        left.add(run[i - 1] if i else f"^{len(left)}")
                    if len(right) < _VARIETY:
                        right.add(run[i + n] if i + n < len(run) else f"${len(right)}")
    return found


def _maximal(found: Counter[str]) -> list[str]:
    """Leave out what hardly ever stands alone, but within a longer one."""
    terms = sorted(found, key=len, reverse=True)
    kept: list[str] = []
    for term in terms:
        folded = term.casefold()
        within = sum(found[longer] for longer in kept if folded in longer.casefold())
        if within < 0.7 * found[term]:
            kept.append(term)
    return kept


def _example(term: str, segments: Sequence[Segment]) -> str:
    folded = term.casefold()
    holding = [s.text for s in segments if s.kind == "sentence" and folded in s.text.casefold()]
    return min(holding, key=lambda text: abs(len(text) - 80), default="")
