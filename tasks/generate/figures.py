"""The numbers that a text holds, in figures and in words, in all the ways it may mean them.

Owns how languages write numbers in figures: 1,234.5 and 1.234,5, 3 million, 20世纪80年代. Where a
text can be read in two ways it is, so what is looked for here is found rather too often than too
rarely.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache

from tasks.generate.number_words import ERAS, LARGE, spelled, with_parts

_DIGIT = re.compile(r"\d")
_FIGURE = re.compile(r"\d[\d.,'’ \u00a0\u202f]*\d|\d")
_LONGEST = 40  # digits; what is longer is the work of a looping model, or a key
_THOUSANDS = re.compile(r"(?<!\d)\d{1,3}(?:[,'’ \u00a0\u202f]\d{3})+(?!\d)")
_EUROPEAN = re.compile(r"(\d{1,3}(?:\.\d{3})+|\d+)(?:,(\d+))?")  # 1.234,5
_PARTED = re.compile(r"['’\s]+")
_RAISED = re.compile("[⁰¹²³⁴-⁹₀-₉]+|[㎟-㎦]")  # m², CO₂, the mark of a footnote; ㎡
_RAISED_OR_VULGAR = re.compile("[⁰¹²³⁴-⁹₀-₉㎟-㎦¼-¾⅐-⅞]")
_VULGAR = re.compile(r"(?:(?<![\d.,])(\d{1,3})[ \u00a0]?)?([¼-¾⅐-⅞])")
_MIXED = re.compile(r"(?<![\d.,/])(\d{1,3})[ \u00a0]([1-9]/[2-9])(?![\d/])")  # 2 1/2
_IN_NAME = re.compile(r"[-‐](?<=[A-Za-z][A-Z].)\d[\d.]*")  # COVID-19
_SCALES = {
    **LARGE, "hundred": 2, "bn": 9, "mn": 6, "tausend": 3, "mio": 6, "milliard": 9, "mrd": 9,
    "mille": 3, "mil": 3, "millon": 6, "millón": 6, "k": 3, "m": 6,
    "百": 2, "千": 3, "万": 4, "萬": 4, "亿": 8, "億": 8, "兆": 12,
}  # fmt: skip
_LONGEST_FIRST = "|".join(sorted(_SCALES, key=len, reverse=True))
_SCALE = re.compile(rf"\s*({_LONGEST_FIRST})({_LONGEST_FIRST})?", re.IGNORECASE)
_CENTURY = re.compile(r"(\d{1,2})世[纪紀](\d)0年代")  # 20世纪80年代: the 1980s
_AFTER = re.compile(
    r"(?P<hours>\s?(?:(?::\d\d)?\s?[ap]\.?m\b|:\d\d|Uhr\b|h(?:\d\d)?\b|o['’]clock)|[时時点點])"
    r"|\s?(?P<century>世[纪紀]|(?:st|nd|rd|th) century)"
    r"|(?P<years>s\b|ern?\b|年代)"  # 1990s, 1990er, 1990年代: the 90s
    r"|(?P<tenths>[割成])"
    r"|/(?P<divisor>[1-9]\d?)(?![\d/])",
    re.IGNORECASE,
)
_RANGE = re.compile(r"(\d{3,4})[-‐–—/~]\Z")  # 1990–91
_DIVIDEND = re.compile(r"(?<![\d/])(\d{1,2})/\Z")
_BEFORE = frozenset("-‐–—/~")
# Of these scripts number words are known: Latin, and what Chinese and Japanese are written in.
_KNOWN_SCRIPT = re.compile(r"[A-Za-zÀ-ɏḀ-ỿ\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_SMALL = frozenset(map(Decimal, range(21)))  # are often spelled, or told by a form of the noun


def numbers(text: str) -> set[Decimal]:
    """Return every number that a text may mean."""
    apart = _normal(text)
    ways = (*_figures(apart), *figures(text))
    found = written(text).union(spelled(apart), *(values for _, values in ways))
    return {*found, *with_parts(apart, found), *(_SMALL if _has_other_script(apart) else ())}


@lru_cache(maxsize=1024)  # each line of an answer is compared with several others
def written(text: str) -> frozenset[Decimal]:
    """Return every number that a text may mean by its figures."""
    return frozenset(value for _, values in _figures(_joined(_normal(text))) for value in values)


def figures(text: str) -> Iterator[tuple[str, set[Decimal]]]:
    """Yield each figure as it is written, but for the marks that part thousands, and the numbers
    that it may mean. "3,5" may be 3.5, or the list of 3 and 5: it comes once for each.

    Raised and lowered digits (m², CO₂), and those of a name (COVID-19), are no figures here.
    """
    plain = _normal(text, is_plain=True)
    yield from _figures(_joined(_IN_NAME.sub("^", plain)))


def _normal(text: str, *, is_plain: bool = False) -> str:
    """Return a text with its digits and marks in usual forms, fractions as decimals. What is
    written with raised digits or as a fraction is there in all forms, unless it is to be plain."""
    if not text.isascii():
        if _RAISED_OR_VULGAR.search(text):
            text = _RAISED.sub("^" if is_plain else r"^\g<0>^", text)
            text = _VULGAR.sub(lambda match: _decimal(match, is_plain=is_plain), text)
        text = unicodedata.normalize("NFKC", text)
        text = text.replace("\u066b", ".").replace("\u066c", ",").replace("⁄", "/")
        text = _CENTURY.sub(lambda match: f"{int(match[1]) - 1}{match[2]}0年代", text)
    if "/" in text:
        text = _MIXED.sub(lambda match: _decimal(match, is_plain=is_plain), text)
    return text


def _decimal(match: re.Match[str], *, is_plain: bool) -> str:
    """Return a fraction as a decimal: 2½, and 2 1/2, as 2.5. Thirds and the like stay."""
    whole = match[1] or ""
    fraction, part = _fraction(match[2])
    if part is None:
        return f"^{whole}^{fraction}"
    return f"{'' if is_plain else f'^{whole}^{fraction}'}^{int(whole or 0) + part}"


@lru_cache(maxsize=64)
def _fraction(text: str) -> tuple[str, Decimal | None]:
    """Return ½ as 1/2 and as a decimal, if it has one of three places."""
    plain = unicodedata.normalize("NFKC", text).replace("⁄", "/")
    top, bottom = map(int, plain.split("/"))
    is_short = top < bottom and 1000 * top % bottom == 0
    return plain, Decimal(top) / bottom if is_short else None


def _joined(text: str) -> str:
    """Return a text without the marks that part thousands."""
    if not _DIGIT.search(text):
        return ""
    return _THOUSANDS.sub(lambda match: re.sub(r"\D", "", match.group()), text)


def _figures(text: str) -> Iterator[tuple[str, set[Decimal]]]:
    for match in _FIGURE.finditer(text):
        start, end = match.span()
        scale = _SCALE.match(text, end)
        scales = filter(None, scale.groups()) if scale else ()
        exponent = sum(_SCALES.get(each.lower(), 0) for each in scales)
        after = _AFTER.match(text, end)
        for written, values in _pieces(match.group()):
            found = set(values)
            for value in values:
                if exponent:
                    found.add(value.scaleb(exponent))
                if after:
                    found |= _told_after(after, value)
                if start >= 2:
                    found |= _told_before(text, start, value)
            yield written, found


def _pieces(figure: str) -> Iterator[tuple[str, set[Decimal]]]:
    """Yield the numbers that may stand in a row such as "1.234,5 6.7", and how they are written."""
    for group in _PARTED.split(figure):
        european = _EUROPEAN.fullmatch(group) if len(group) <= _LONGEST else None
        whole = {_european(european)} if european else set()
        for written in group.split(","):
            pieces = [piece for piece in written.split(".") if piece]
            if len(pieces) <= 2:  # else a version or a date: each piece by itself
                pieces = [".".join(pieces)]
            for piece in pieces:
                if 0 < len(piece) <= _LONGEST:
                    yield group if whole else written, {Decimal(piece), *whole}


def _european(match: re.Match[str]) -> Decimal:
    return Decimal(f"{match[1].replace('.', '')}.{match[2] or 0}")


def _told_after(after: re.Match[str], value: Decimal) -> set[Decimal]:
    """Return what a figure may mean by what follows it: 5 p.m., 20世纪, the 1900s, 7割, 1/2."""
    match after.lastgroup:
        case "hours":
            return {value + 12, value - 12}
        case "century":
            return {(value - 1) * 100}
        case "tenths":
            return {value * 10}
        case "divisor":
            return {value / int(after["divisor"])}
    if not 1000 <= value < 3000:
        return set()
    return {value % 100} if value % 100 else {value % 100, value / 100 + 1}


def _told_before(text: str, start: int, value: Decimal) -> set[Decimal]:
    """Return what a figure may mean by what stands before it: 平成30, 1990–91, 1/2."""
    era = ERAS.get(text[start - 2 : start])
    if era:
        return {value + era}
    if text[start - 1] not in _BEFORE:
        return set()
    found = set()
    dividend = _DIVIDEND.search(text, max(0, start - 4), start)
    if dividend and value:
        found.add(int(dividend[1]) / value)
    years = _RANGE.search(text, max(0, start - 5), start)
    if years and value < int(years[1]):
        digits = len(str(int(value)))
        found.add(int(years[1]) // 10**digits * 10**digits + value)
    return found


def _has_other_script(text: str) -> bool:
    """Tell whether a text is mostly written in letters whose number words are not known here."""
    letters = sum(c.isalpha() for c in text)
    return len(_KNOWN_SCRIPT.findall(text)) < 0.5 * letters
