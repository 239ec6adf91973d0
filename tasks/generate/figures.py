"""The numbers that a text holds, in figures and in words, in all the ways it may mean them.

Owns how languages write numbers: 1,234.5 and 1.234,5, three million, 三百万. Where a text can
be read in two ways it is, so what is looked for here is found rather too often than too rarely.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from decimal import Decimal

_FIGURE = re.compile(r"\d[\d.,'’ \u00a0\u202f]*\d|\d")
_THOUSANDS = re.compile(r"(?<!\d)\d{1,3}(?:[,'’ \u00a0\u202f]\d{3})+(?!\d)")
_EUROPEAN = re.compile(r"(\d{1,3}(?:\.\d{3})+|\d+)(?:,(\d+))?")  # 1.234,5
_LARGE = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SCALES = {
    **_LARGE, "hundred": 2, "bn": 9, "mn": 6, "tausend": 3, "mio": 6, "milliard": 9, "mrd": 9,
    "百": 2, "千": 3, "万": 4, "亿": 8,
}  # fmt: skip
_SCALE = re.compile(rf"\s*({'|'.join(_SCALES)})", re.IGNORECASE)
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12,
}  # fmt: skip
_TENS = ("twen", "thir", "for", "fif", "six", "seven", "eigh", "nine")
_WORDS = {
    **{word: i for i, word in enumerate(_ONES)},
    **{f"{word}th": i for i, word in enumerate(_ONES)},
    **_ORDINALS,
    **{f"{stem}{end}": 10 * i for i, stem in enumerate(_TENS, 2) for end in ("ty", "tieth")},
    **{"none": 0, "once": 1, "twice": 2, "both": 2, "dozen": 12},
}
_POWERS = {f"{word}{end}": _LARGE[word] for word in _LARGE for end in ("", "s", "th")}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# What the languages that checks are made for call small numbers, where English has other words.
_FOREIGN = [
    "ein eine eins un une uno una",
    "zwei deux dos",
    "drei trois tres",
    "vier quatre cuatro",
    "fünf cinq cinco",
    "sechs seis",
    "sieben sept siete",
    "acht huit ocho",
    "neun neuf nueve",
    "zehn dix diez",
    "elf onze once",
    "zwölf douze doce",
]
_FOREIGN_WORDS = {word: i for i, row in enumerate(_FOREIGN, 1) for word in row.split()}
_WORD = re.compile(r"[^\W\d_]+")
_DECADE = re.compile(r"\d\d(\d0)(?:s|er|年代)")  # 1990s, 1990er, 1990年代: the 90s
_CHINESE_DIGITS = {"〇": 0, "两": 2} | {c: i for i, c in enumerate("零一二三四五六七八九")}
_CHINESE_NUMBER = re.compile(r"[零〇一二两三四五六七八九十百千万亿]+")


def numbers(text: str) -> set[Decimal]:
    """Return every number that a text may mean."""
    joined, apart = _joined(text), _normal(text)
    found = {value for each in (joined, apart) for _, values in _figures(each) for value in values}
    return found | _spelled(apart)


def figures(text: str) -> Iterator[tuple[str, set[Decimal]]]:
    """Yield each figure as it is written, but for the marks that part thousands, and the numbers
    that it may mean. "3,5" may be 3.5, or the list of 3 and 5: it comes once for each."""
    yield from _figures(_joined(text))


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _joined(text: str) -> str:
    """Return a text without the marks that part thousands."""
    return _THOUSANDS.sub(lambda match: re.sub(r"\D", "", match.group()), _normal(text))


def _figures(text: str) -> Iterator[tuple[str, set[Decimal]]]:
    for match in _FIGURE.finditer(text):
        scale = _SCALE.match(text, match.end())
        exponent = _SCALES[scale[1].lower()] if scale else 0
        years = _DECADE.match(text, match.start())
        decade = {Decimal(years[1])} if years else set()
        for group in re.split(r"['’\s]+", match.group()):
            european = _EUROPEAN.fullmatch(group)
            whole = {_european(european)} if european else set()
            for written in group.split(","):
                pieces = [piece for piece in written.split(".") if piece]
                if len(pieces) <= 2:  # else a version or a date: each piece by itself
                    pieces = [".".join(pieces)]
                for value in map(Decimal, filter(None, pieces)):
                    values = {value, *whole, *decade}
                    scaled = {each.scaleb(exponent) for each in values}
                    yield group if whole else written, values | scaled


def _european(match: re.Match[str]) -> Decimal:
    return Decimal(f"{match[1].replace('.', '')}.{match[2] or 0}")


def _spelled(text: str) -> set[Decimal]:
    """Return the numbers that a text spells in words: three, fifty-first, 二十四, November."""
    words = re.findall(r"[a-z]+", text.lower())
    found = set(_english(words))
    found |= {_FOREIGN_WORDS[w] for w in _WORD.findall(text.lower()) if w in _FOREIGN_WORDS}
    found |= {i for i, m in enumerate(_MONTHS, 1) if any(w.startswith(m) for w in words)}
    for numeral in _CHINESE_NUMBER.findall(text):
        found |= {_chinese(numeral), *(_chinese(c) for c in numeral)}
    return set(map(Decimal, found))


def _english(words: Sequence[str]) -> Iterator[int]:
    """Yield each word's own number, and that of words in a row: two million, forty-one."""
    total = current = 0
    for word in [*words, ""]:
        if word in _WORDS:
            current += _WORDS[word]
            yield _WORDS[word]
        elif word in ("hundred", "hundreds", "hundredth"):
            current = (current or 1) * 100
            yield 100
        elif word in _POWERS:
            total, current = total + (current or 1) * 10 ** _POWERS[word], 0
            yield 10 ** _POWERS[word]
        elif word != "and":
            yield from {total + current, current} - {0}
            total = current = 0


def _chinese(numeral: str) -> int:
    """Return the value of 二十四 or 三百万, or of digits in a row such as 二〇二六."""
    if not any(c in "十百千万亿" for c in numeral):
        return int("".join(str(_CHINESE_DIGITS[c]) for c in numeral))
    total = section = digit = 0
    for c in numeral:
        if c in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[c]
            continue
        if c in "十百千":
            section += (digit or 1) * 10 ** ("十百千".index(c) + 1)
        elif c == "万":
            total, section = total + (section + digit or 1) * 10**4, 0
        else:
            total, section = (total + section + digit or 1) * 10**8, 0
        digit = 0
    return total + section + digit
