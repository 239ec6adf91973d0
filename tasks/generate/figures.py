"""The numbers that a text holds, in figures and in words, in all the ways it may mean them.

Owns how languages write numbers: 1,234.5 and 1.234,5, three million, 三百万. Where a text can
be read in two ways it is, so what is looked for here is found rather too often than too rarely.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache

_FIGURE = re.compile(r"\d[\d.,'’ \u00a0\u202f]*\d|\d")
_THOUSANDS = re.compile(r"(?<!\d)\d{1,3}(?:[,'’ \u00a0\u202f]\d{3})+(?!\d)")
_EUROPEAN = re.compile(r"(\d{1,3}(?:\.\d{3})+|\d+)(?:,(\d+))?")  # 1.234,5
_LARGE = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SCALES = {
    **_LARGE, "hundred": 2, "bn": 9, "mn": 6, "tausend": 3, "mio": 6, "milliard": 9, "mrd": 9,
    "mille": 3, "mil": 3, "millon": 6, "millón": 6, "k": 3, "m": 6,
    "百": 2, "千": 3, "万": 4, "萬": 4, "亿": 8, "億": 8, "兆": 12,
}  # fmt: skip
_LONGEST_FIRST = "|".join(sorted(_SCALES, key=len, reverse=True))
_SCALE = re.compile(rf"\s*({_LONGEST_FIRST})({_LONGEST_FIRST})?", re.IGNORECASE)
_CENTURY = re.compile(r"(\d{1,2})世[纪紀](\d)0年代")  # 20世纪80年代: the 1980s
_AFTERNOON = re.compile(r"\s?p\.?m\b", re.IGNORECASE)
_ROMAN = re.compile(r"\b(?=[IVXLC])(C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3}))(?:e|ème)?\b")
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
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
_FOREIGN_MONTHS = {
    "ene": 1, "janv": 1, "fév": 2, "mär": 3, "avr": 4, "abr": 4, "mai": 5, "mayo": 5, "juin": 6,
    "juil": 7, "août": 8, "ago": 8, "okt": 10, "dez": 12, "déc": 12, "dic": 12,
}  # fmt: skip
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# What the languages that checks are made for call small numbers, where English has other words.
_FOREIGN = [
    "ein eine eins erste ersten erster un une premier première uno una primero primera",
    "zwei zweite zweiten deux deuxième dos segundo segunda",
    "drei dritte dritten trois troisième tres tercero tercera",
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


@lru_cache(maxsize=1024)  # each line of an answer is compared with several others
def written(text: str) -> frozenset[Decimal]:
    """Return every number that a text may mean by its figures."""
    return frozenset(value for _, values in figures(text) for value in values)


def figures(text: str) -> Iterator[tuple[str, set[Decimal]]]:
    """Yield each figure as it is written, but for the marks that part thousands, and the numbers
    that it may mean. "3,5" may be 3.5, or the list of 3 and 5: it comes once for each."""
    yield from _figures(_joined(text))


def _normal(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text)
    return _CENTURY.sub(lambda match: f"{int(match[1]) - 1}{match[2]}0年代", plain)


def _joined(text: str) -> str:
    """Return a text without the marks that part thousands."""
    return _THOUSANDS.sub(lambda match: re.sub(r"\D", "", match.group()), _normal(text))


def _figures(text: str) -> Iterator[tuple[str, set[Decimal]]]:
    for match in _FIGURE.finditer(text):
        scale = _SCALE.match(text, match.end())
        scales = filter(None, scale.groups()) if scale else ()
        exponent = sum(_SCALES[each.lower()] for each in scales)
        is_later = _AFTERNOON.match(text, match.end()) is not None
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
                    hours = {each + 12 for each in values} if is_later else set()
                    yield group if whole else written, values | scaled | hours


def _european(match: re.Match[str]) -> Decimal:
    return Decimal(f"{match[1].replace('.', '')}.{match[2] or 0}")


def _spelled(text: str) -> set[Decimal]:
    """Return the numbers that a text spells in words: three, fifty-first, 二十四, November."""
    words = re.findall(r"[a-z]+", text.lower())
    found = set(_english(words))
    found |= {_FOREIGN_WORDS[w] for w in _WORD.findall(text.lower()) if w in _FOREIGN_WORDS}
    found |= {
        number for month, number in _FOREIGN_MONTHS.items()
        if any(word.startswith(month) for word in _WORD.findall(text.lower()))
    }  # fmt: skip
    found |= {_roman(match[1]) for match in _ROMAN.finditer(text) if len(match[1]) > 1}
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


def _roman(numeral: str) -> int:
    values = [_ROMAN_DIGITS[c] for c in numeral]
    following = [*values[1:], 0]
    return sum(-a if a < b else a for a, b in zip(values, following, strict=True))


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
