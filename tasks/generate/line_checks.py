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
from decimal import Decimal
from functools import lru_cache

from tasks.dictionary import count, has_words
from tasks.generate.checks import is_repetitive, leaks
from tasks.generate.figures import figures, numbers, written
from tasks.generate.languages import (
    base,
    has_characters_of,
    has_own_script,
    is_encodable,
    is_in,
    is_same,
)
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
_MARKS = re.compile(r"[\W_]+")
_ROW_OF_WORDS = re.compile(r"[^\W\d_]+(?: [^\W\d_]+)+")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7af]")
_IDEOGRAPH_LANGUAGES = frozenset({"zh", "ja"})
# In one line; "First, we …" and "Let me …" may well be what the source says.
_TALKING = re.compile(
    r"</?think|\A\s*(?:okay|alright|hmm)[,.]? (?:so )?the user\b|\A\s*好的，(?:用户|以下是)"
    r"|\A\s*here(?:'s| is) the translation|\A\s*以下是.{0,6}译文",
    re.IGNORECASE,
)
_NUMBERED_NAME = re.compile(r"\b([A-Z]{2,}-)(\d{1,9})\b")  # GPT-4 may not become GPT-3
_COPIED_WORDS, _COPIED_SHARE = 7, 0.4  # in a row, and of the line: titles are shorter
_MOST_COPIED = 12  # words, however long the line is
_PLAIN_WORDS = 6  # in a row, where letters tell the languages apart: commands are shorter
_MOST_IDEOGRAPHS, _IDEOGRAPH_SHARE = 4, 0.08  # of a name beside its transcription
_ASIDE = re.compile(r"[(（\[［【][^()（）\[\]［］【】]*[)）\]］】]")
_QUOTED = re.compile(
    r"“[^“”]*”|\"[^\"]*\"|「[^「」]*」|『[^『』]*』|《[^《》]*》|«[^«»]*»|„[^„“]*“"
)
_QUOTED_SHARE = 0.5  # of a line: more is dialogue
_TERM_WORDS, _TERM_IDEOGRAPHS = 7, 8
_LOOP = re.compile(r"(.{1,20}?)\1{4,}")
_LEAST_LOOP, _LOOP_SHARE = 20, 0.5
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
_LETTERS_A_KANA, _LETTERS_A_SYLLABLE = 2.0, 2.0  # of Hangul
_LENGTH_BETWEEN = (0.3, 3.3)
_LENGTH_SLACK, _SLACK_SHARE = 24.0, 0.2  # letters, of a short line fewer downwards


@dataclass(frozen=True, slots=True)
class Pair:
    """The languages of a translation, as ISO 639-1 codes; the source's may be "und"."""

    source: str
    target: str

    @property
    def differ(self) -> bool:
        return not is_same(self.source, self.target)


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
        "repetition": is_repetitive(text, source) or (is_loop(text) and not is_loop(source)),
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
    if base(pair.source) == base(pair.target) == "zh":
        return not has_characters_of(text, pair.target)
    if {base(pair.source), base(pair.target)} <= _IDEOGRAPH_LANGUAGES:  # much is the same in both
        return _keeps_ideographs(source, text, base(pair.target))
    aside = _without_short(_ASIDE, text)  # "机器学习（Machine Learning）" is no echo
    is_beside = sum(c.isalpha() for c in aside) > 1
    if _plain(source) in _plain(text) and not (
        is_beside and _plain(_ASIDE.sub(" ", source)) not in _plain(aside)
    ):
        return _has_words(source, pair)
    left = _without_short(_QUOTED, aside)
    if len(_plain(aside)) - len(_plain(left)) > _QUOTED_SHARE * len(_plain(source)):
        left = aside
    is_cjk = base(pair.source) in _IDEOGRAPH_LANGUAGES
    if is_cjk or (pair.source == "und" and _IDEOGRAPHS.search(source)):
        return _keeps_ideographs(source, left, base(pair.target))
    if has_own_script(pair.target) and _has_plain_run(source, left, base(pair.source)):
        return True
    words = _words(left)
    most = min(_MOST_COPIED, int(_COPIED_SHARE * len(words)))
    return _has_run(_words(source), words, max(_COPIED_WORDS, most))


def _without_short(form: re.Pattern[str], text: str) -> str:
    """Return a text without what is quoted, or added in brackets, if that is a name or a term."""

    def shortened(match: re.Match[str]) -> str:
        inside = match.group()
        is_short = len(_WORD.findall(_IDEOGRAPHS.sub(" ", inside))) <= _TERM_WORDS
        return " " if is_short and len(_IDEOGRAPHS.findall(inside)) <= _TERM_IDEOGRAPHS else inside

    return form.sub(shortened, text)


def is_loop(text: str) -> bool:
    """Tell whether most of a line is one phrase again and again."""
    plain = _plain(text)
    least = max(_LEAST_LOOP, _LOOP_SHARE * len(plain))
    return any(len(match.group()) >= least for match in _LOOP.finditer(plain))


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
    language = base(pair.source)
    small = [word for word in words if word.islower() and word not in _PARTICLES]
    if has_words(language):  # names of programs and species have no capitals
        small = [word for word in small if count(word, language)]
    if _IDEOGRAPHS.search(text) or len(small) > 1:
        return True
    if len(words) > 1 and any(len(word) > 3 for word in small):
        return True
    if not has_own_script(pair.target) or (len(words) == 1 and len(text) < _LONG_WORD):
        return False
    is_plain = all(word.isupper() or word[1:].islower() for word in words)  # no name: iPhone
    return bool(words) and is_plain and all(count(w.casefold(), language) > _RARE for w in words)


def _keeps_ideographs(source: str, text: str, target: str) -> bool:
    if target == "zh":
        return len(_KANA.findall(text)) >= 2
    if target == "ja":  # Chinese without kana, and more than a heading
        if _KANA.search(text):
            return False
        n = len(_IDEOGRAPHS.findall(text))
        return n >= 20 or (n >= 6 and "。" in text) or not is_encodable(text, "cp932")
    letters = sum(c.isalpha() for c in text)
    kept = len(_IDEOGRAPHS.findall(text))
    return kept > max(_MOST_IDEOGRAPHS, _IDEOGRAPH_SHARE * letters)


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _has_plain_run(source: str, text: str, language: str) -> bool:
    """Tell whether ordinary words, no names and no commands, stand in the text as they do in the
    source."""

    def is_plain(word: str) -> bool:
        return word.islower() and (not has_words(language) or count(word, language) > 0)

    def runs(text: str) -> set[tuple[str, ...]]:
        found = set()
        for row in _ROW_OF_WORDS.findall(text):
            words = row.split(" ")
            each = (words[i : i + _PLAIN_WORDS] for i in range(len(words) - _PLAIN_WORDS + 1))
            found |= {tuple(run) for run in each if all(map(is_plain, run))}
        return found

    return bool(runs(source) & runs(text))


def _has_run(source: Sequence[str], text: Sequence[str], n: int) -> bool:
    """Tell whether n words of the source stand in the text in the same order."""
    runs = {tuple(source[i : i + n]) for i in range(len(source) - n + 1)}
    return any(tuple(text[i : i + n]) in runs for i in range(len(text) - n + 1))


def _plain(text: str) -> str:
    return _MARKS.sub("", text.casefold())


def is_out_of_proportion(source: str, text: str) -> bool:
    """Tell whether a line says far more or far less than its source can."""
    usual = weight(source)
    low, high = (bound * usual for bound in _LENGTH_BETWEEN)
    least = low - min(_LENGTH_SLACK, _SLACK_SHARE * usual)
    return not least <= weight(text) <= high + _LENGTH_SLACK


@lru_cache(maxsize=1024)  # each line of an answer is weighed against several others
def weight(text: str) -> float:
    """Return how much a text says, in letters of an alphabet."""
    kana, hangul = len(_KANA.findall(text)), len(_HANGUL.findall(text))
    ideographs = len(_IDEOGRAPHS.findall(text)) - kana
    others = len(_MARKS.sub("", text)) - ideographs - kana - hangul
    return (
        others
        + _LETTERS_AN_IDEOGRAPH * ideographs
        + _LETTERS_A_KANA * kana
        + _LETTERS_A_SYLLABLE * hangul
    )


def missing_figures(source: str, text: str) -> list[str]:
    """Return the figures of the source whose value the text has in no form."""
    there = written(text)
    missing = [each for each in figures(without_protected(source)) if not each[1] & there]
    known = numbers(text) if missing else set()
    names = (each for each in _NUMBERED_NAME.finditer(source) if each[1] in text)
    return [
        *(figure for figure, values in missing if not values & known),
        *(each.group() for each in names if Decimal(each[2]) not in there),
    ]


def _unquoted(source: str, text: str) -> Counter[str]:
    """Return the pieces of code that stand in the text without their quotes."""
    quoted = ((piece, n) for piece, n in protected(source).items() if f"`{piece}`" in source)
    return Counter({piece: n for piece, n in quoted if text.count(piece) >= n})


def is_rendered(term: Term, text: str) -> bool:
    """Tell whether a text has a term's rendering; its words may be inflected."""
    target, folded = term.target.casefold(), text.casefold()
    if target in folded or _plain(target) in _plain(text):
        return True
    stems = [word[: max(4, len(word) - 3)] for word in _WORD.findall(target)]
    return bool(stems) and not _IDEOGRAPHS.search(target) and all(s in folded for s in stems)
