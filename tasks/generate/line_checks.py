"""What can be wrong with one translated line, found without a model.

Owns the checks; what follows from a failure is the ladder's business (tasks.generate.ladder). Each
is a pure function of a line and its translation, and lenient: a check that fails good lines
costs calls, and makes readers distrust its marks.

| check | what it finds |
|---|---|
| missing | no line with this number |
| repeated | the number stands at two texts |
| misplaced | the number stands out of order |
| merged | the text of a missing neighbour, besides its own |
| empty | nothing after the number |
| untranslated | the source's own words |
| wrong_language | a language that was not asked for |
| length | far longer or shorter than translations of this pair are |
| repetition | a phrase again and again, which the source does not have |
| reasoning | thinking aloud, or talking to the user |
| prompt_leak | a sentence of our instructions, or a fence tag |
| figures | a figure of the source that is not there |
| units | a figure with another unit than in the source |
| protected | an address, a placeholder or a piece of code that is not there as it was |
| glossary | a term that is not rendered as the glossary has it |
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tasks.dictionary import count
from tasks.generate.checks import is_repetitive, leaks
from tasks.generate.figures import figures, numbers
from tasks.generate.languages import base, has_own_script, is_in
from tasks.generate.protected import protected, without_protected
from tasks.generate.units import has_other_units
from tasks.records import Message, Term

# With one of these a line can't be shown at all; with others it can, marked.
UNUSABLE = frozenset(
    {
        "missing", "repeated", "misplaced", "merged", "empty", "untranslated", "wrong_language",
        "length", "repetition", "reasoning", "prompt_leak",
    }
)  # fmt: skip

LINE_CHECKS = UNUSABLE | {"figures", "units", "protected", "glossary"}

_WORD = re.compile(r"[^\W\d_][\w’'-]*")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_IDEOGRAPH_LANGUAGES = frozenset({"zh", "ja"})
# In one line; "First, we …" and "Let me …" may well be what the source says.
_TALKING = re.compile(
    r"</?think|\A\s*(?:okay|alright|hmm)[,.]? (?:so )?the user\b|\A\s*好的，(?:用户|以下是)"
    r"|\A\s*here(?:'s| is) the translation|\A\s*以下是.{0,6}译文",
    re.IGNORECASE,
)
_COPIED_WORDS, _COPIED_SHARE = 7, 0.4  # in a row, and of the line: titles are shorter
_PARTICLES = frozenset(
    [
        "of",
        "the",
        "and",
        "for",
        "de",
        "la",
        "le",
        "les",
        "des",
        "du",
        "di",
        "da",
        "del",
        "van",
        "von",
        "der",
        "den",
        "und",
    ]
)
_RARE = 100  # times in a language's list: names of programs are in it too
_LONG_WORD = 7  # letters: Abstract, and not Java
_LEAST_LETTERS = 12  # below that a line may be a name, which is the same in both languages
# Letters that say as much as one ideograph: English to Chinese, as the median of UDHR's articles.
_LETTERS_AN_IDEOGRAPH = 3.0
_LENGTH_BETWEEN = (0.3, 3.3)
_LENGTH_SLACK = 24.0  # letters, either way: short lines vary most


@dataclass(frozen=True, slots=True)
class Pair:
    """The languages of a translation, as ISO 639-1 codes; the source's may be "und"."""

    source: str
    target: str

    @property
    def differ(self) -> bool:
        return base(self.source) != base(self.target)


def check_line(
    source: str,
    text: str,
    pair: Pair,
    *,
    messages: Sequence[Message] = (),
    glossary: Sequence[Term] = (),
) -> tuple[str, ...]:
    """Return the names of the checks that a line's translation fails.

    Args:
        messages: what the model was told, for prompt_leak.
        glossary: the entries that occur in the source.
    """
    if not text.strip():
        return ("empty",)
    found = {
        "untranslated": pair.differ and is_untranslated(source, text, pair),
        "wrong_language": not is_in(own_words(text, source), pair.target),
        "length": is_out_of_proportion(source, text),
        "repetition": is_repetitive(text, source),
        "reasoning": bool(_TALKING.search(text)) and not _TALKING.search(source),
        "prompt_leak": leaks(text, messages, source),
        "figures": bool(missing_figures(source, text)),
        "units": has_other_units(source, text),
        "protected": bool(protected(source) - protected(text) - _unquoted(source, text)),
        "glossary": any(not is_rendered(term, text) for term in glossary),
    }
    return tuple(name for name, is_found in found.items() if is_found)


def is_untranslated(source: str, text: str, pair: Pair) -> bool:
    """Tell whether a line is, or still holds, the source's own words."""
    source, text = without_protected(source), without_protected(text)
    least = 1 if has_own_script(pair.target) else _LEAST_LETTERS
    if sum(c.isalpha() for c in source) < least and not _IDEOGRAPHS.search(source):
        return False
    if {base(pair.source), base(pair.target)} <= _IDEOGRAPH_LANGUAGES:  # much is the same in both
        return _keeps_ideographs(source, text, base(pair.target))
    if _plain(source) in _plain(text):
        return _has_words(source, pair)
    if base(pair.source) in _IDEOGRAPH_LANGUAGES or _IDEOGRAPHS.search(source):
        return _keeps_ideographs(source, text, base(pair.target))
    words = _words(text)
    return _has_run(_words(source), words, max(_COPIED_WORDS, int(_COPIED_SHARE * len(words))))


def own_words(text: str, source: str) -> str:
    """Return a translation without what it takes over: addresses and code, names and the like."""
    theirs = set(_words(source))
    left = without_protected(text)
    return _WORD.sub(
        lambda match: "" if match.group().casefold() in theirs else match.group(), left
    )


def _has_words(text: str, pair: Pair) -> bool:
    """Tell whether a text is more than names: ideographs, words without a capital, or, in headings
    that have capitals throughout, words that the language's list has."""
    words = _WORD.findall(text)
    small = [word for word in words if word[0].islower() and word not in _PARTICLES]
    if _IDEOGRAPHS.search(text) or len(small) > 1:
        return True
    if len(words) > 1 and any(len(word) > 3 for word in small):
        return True
    if not has_own_script(pair.target) or (len(words) == 1 and len(text) < _LONG_WORD):
        return False
    language = base(pair.source)
    return bool(words) and all(count(word.casefold(), language) > _RARE for word in words)


def _keeps_ideographs(source: str, text: str, target: str) -> bool:
    if target == "zh":
        return len(_KANA.findall(text)) >= 2
    if target == "ja":  # Chinese without kana, and more than a heading
        if _KANA.search(text):
            return False
        n = len(_IDEOGRAPHS.findall(text))
        return n >= 20 or (n >= 6 and "。" in text) or not _is_encodable(text, "cp932")
    letters = sum(c.isalpha() for c in text)
    kept = len(_IDEOGRAPHS.findall(text))
    return kept > max(6, 0.15 * letters)  # a name may stand beside its transcription


def _is_encodable(text: str, encoding: str) -> bool:
    """Tell whether a country's encoding has all ideographs of a text: 权 is Chinese alone."""
    try:
        "".join(_IDEOGRAPHS.findall(text)).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _has_run(source: Sequence[str], text: Sequence[str], n: int) -> bool:
    """Tell whether n words of the source stand in the text in the same order."""
    runs = {tuple(source[i : i + n]) for i in range(len(source) - n + 1)}
    return any(tuple(text[i : i + n]) in runs for i in range(len(text) - n + 1))


def _plain(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def is_out_of_proportion(source: str, text: str) -> bool:
    """Tell whether a line says far more or far less than its source can."""
    low, high = (bound * weight(source) for bound in _LENGTH_BETWEEN)
    return not low - _LENGTH_SLACK <= weight(text) <= high + _LENGTH_SLACK


@lru_cache(maxsize=1024)  # each line of an answer is weighed against several others
def weight(text: str) -> float:
    """Return how much a text says, in letters of an alphabet."""
    ideographs = len(_IDEOGRAPHS.findall(text))
    others = sum(c.isalnum() for c in text) - ideographs
    return others + _LETTERS_AN_IDEOGRAPH * ideographs


def missing_figures(source: str, text: str) -> list[str]:
    """Return the figures of the source whose value the text has in no form."""
    known = numbers(text)
    return [written for written, values in figures(without_protected(source)) if not values & known]


def _unquoted(source: str, text: str) -> Counter[str]:
    """Return the pieces of code that stand in the text without their quotes."""
    return Counter({piece: n for piece, n in protected(source).items() if text.count(piece) >= n})


def is_rendered(term: Term, text: str) -> bool:
    """Tell whether a text has a term's rendering; its words may be inflected."""
    target, folded = term.target.casefold(), text.casefold()
    if target in folded or _plain(target) in _plain(text):
        return True
    stems = [word[: max(4, len(word) - 3)] for word in _WORD.findall(target)]
    return bool(stems) and not _IDEOGRAPHS.search(target) and all(s in folded for s in stems)
