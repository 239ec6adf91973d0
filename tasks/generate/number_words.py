"""The numbers that a text spells in words: three, fifty-first, veinte, 二十四, November, a half.

Owns the words for numbers of the languages that checks are made for. Knows nothing of figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from decimal import Decimal

LARGE = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
ERAS = {
    "明治": 1867, "大正": 1911, "昭和": 1925, "平成": 1988, "令和": 2018, "民国": 1911,
    "民國": 1911,
}  # fmt: skip
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
    **{f"{s}{end}": 10 * i for i, s in enumerate(_TENS, 2) for end in ("ty", "ties", "tieth")},
    **{"none": 0, "once": 1, "twice": 2, "both": 2, "dozen": 12},
}
_POWERS = {f"{word}{end}": LARGE[word] for word in LARGE for end in ("", "s", "th")}
_LARGEST = 10**30  # that words in a row are taken to mean


def _by_place(rows: Sequence[str], step: int = 1) -> dict[str, int]:
    """Return what each word means by its place in a row: "one two/twain three"."""
    return {
        word: place * step
        for row in rows
        for place, words in enumerate(row.split(), 1)
        for word in words.split("/")
    }


# What the languages that checks are made for call small numbers, where English has other words.
_FROM_1 = [
    "a/an",
    "ein/eine/einen/einem/einer/eines/eins zwei drei vier fünf sechs sieben acht neun zehn elf"
    " zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn zwanzig",
    "un/une deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize"
    " dix-sept dix-huit dix-neuf vingt",
    "un/uno/una dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince"
    " dieciséis diecisiete dieciocho diecinueve veinte",
    "un/uno/una due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici"
    " quindici sedici diciassette diciotto diciannove venti",
    "um/uma dois/duas três quatro cinco seis sete oito nove dez onze doze treze catorze/quatorze"
    " quinze dezesseis/dezasseis dezessete/dezassete dezoito dezenove/dezanove vinte",
    "один/одна/одно два/две три четыре пять шесть семь восемь девять десять одиннадцать двенадцать"
    " тринадцать четырнадцать пятнадцать шестнадцать семнадцать восемнадцать девятнадцать двадцать",
    "erste/ersten/erster zweite/zweiten dritte/dritten/drittel viertel/quarter/quarters",
    "premier/première deuxième troisième/tiers quart/quarts",
    "primero/primera segundo/segunda tercero/tercera/tercio/tercios cuarto/cuartos",
    "primo/prima secondo/seconda terzo/terza/terzi quarto/quarti",
    "primeiro/primeira segundo/segunda terceiro/terceira/terço/terços quarto/quartos",
]
_TENS_FROM_20 = [
    "zehn zwanzig dreißig/dreissig vierzig fünfzig sechzig siebzig achtzig neunzig hundert",
    "- zwanziger dreißiger vierziger fünfziger sechziger siebziger achtziger neunziger",
    "dix vingt trente quarante cinquante soixante soixante-dix/septante"
    " quatre-vingts/quatre-vingt/octante quatre-vingt-dix/nonante cent",
    "diez veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa cien/ciento",
    "dieci venti trenta quaranta cinquanta sessanta settanta ottanta novanta cento",
    "dez vinte trinta quarenta cinquenta sessenta setenta oitenta noventa cem/cento",
    "- двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто сто",
]
_NOON = "noon midnight midi minuit mittag mitternacht mediodía medianoche mezzogiorno mezzanotte"
_FOREIGN_WORDS = (
    _by_place(_FROM_1) | _by_place(_TENS_FROM_20, 10) | dict.fromkeys(_NOON.split(), 12)
)
# Whole names and usual abbreviations. Without "ago" and "set", which are words as well.
_MONTHS = _by_place(
    [
        "january/jan february/feb march/mar april/apr may june/jun july/jul august/aug"
        " september/sept/sep october/oct november/nov december/dec",
        "januar/jänner/jän februar/feber märz/mär/mrz april mai juni juli august september"
        " oktober/okt november dezember/dez",
        "janvier/janv février/févr/fév mars avril/avr mai juin juillet/juil août/aout septembre"
        " octobre novembre décembre/déc",
        "enero/ene febrero marzo abril/abr mayo junio julio agosto septiembre/setiembre octubre"
        " noviembre diciembre/dic",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre"
        " dicembre",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    ]
)
_VERBS = {"may": "May", "march": "March"}  # months only with a capital
_HALF = re.compile(
    r"半|\b(?:hal[fvb]|hälfte|demie?s?\b|moitié|medi[oa]s?\b|mitad|mezz[oa]\b|metà\b|mei[oa]s?\b"
    r"|metade)|einhalb|anderthalb|полов|полтор"
)
_QUARTER = re.compile(r"\b(?:quarters?|quarts?|cuartos?|quart[oi]s?)\b|viertel|четверт")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")  # dix-sept
_CHINESE_DIGITS = {"〇": 0, "两": 2} | {c: i for i, c in enumerate("零一二三四五六七八九")}
_CHINESE_NUMBER = re.compile(r"[零〇一二两三四五六七八九十百千万亿]+")
_LONGEST_NUMERAL = 30
_CHINESE_FRACTION = re.compile(
    rf"([一二两三四五六七八九十百千]{{1,{_LONGEST_NUMERAL}}})分之([一二两三四五六七八九十]{{1,9}})"
)
_FIRST_YEAR = re.compile(f"({'|'.join(ERAS)})元年")
_POWERS_OF_TEN = frozenset(Decimal(10**n) for n in (3, 4, 6, 8, 9))


def spelled(text: str) -> set[Decimal]:
    """Return the numbers that a text spells in words: three, fifty-first, 二十四, November."""
    folded = text.lower()
    in_a_row = re.findall(r"[a-z]+", folded)
    words = {*in_a_row, *_words(folded)}
    found = set(_english(in_a_row))
    found |= {_FOREIGN_WORDS[word] for word in words & _FOREIGN_WORDS.keys()}
    found |= {
        _MONTHS[word] for word in words & _MONTHS.keys()
        if word not in _VERBS or _VERBS[word] in text or word.upper() in text
    }  # fmt: skip
    found |= {_roman(match[1]) for match in _ROMAN.finditer(text) if len(match[1]) > 1}
    found |= {ERAS[era] + 1 for era in _FIRST_YEAR.findall(text)}
    return {*map(Decimal, found), *_chinese_numbers(text)}


def _words(folded: str) -> set[str]:
    words = set(_WORD.findall(folded))
    return words.union(*(word.split("-") for word in words))


def with_parts(text: str, found: Set[Decimal]) -> set[Decimal]:
    """Return what halves and quarters may make of the numbers found: two and a half million."""
    folded = text.lower()
    parts = [Decimal("0.5")] if _HALF.search(folded) else []
    parts += [Decimal("0.25"), Decimal("0.75")] if _QUARTER.search(folded) else []
    if not parts:
        return set()
    whole = {Decimal(), Decimal(1), *(n for n in found if 1 < n <= 100 and n == int(n))}
    german = (word.partition("einhalb") for word in _words(folded))
    whole |= {Decimal(_FOREIGN_WORDS.get(n, 0)) for n, half, _ in german if half}
    powers = {Decimal(1), *(_POWERS_OF_TEN & found)}
    mixed = {(n + part) * power for n in whole for part in parts for power in powers}
    return mixed | {part * 100 for part in parts}


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
        if current > _LARGEST:
            total = current = 0


def _roman(numeral: str) -> int:
    values = [_ROMAN_DIGITS[c] for c in numeral]
    following = [*values[1:], 0]
    return sum(-a if a < b else a for a, b in zip(values, following, strict=True))


def _chinese_numbers(text: str) -> Iterator[Decimal]:
    """Yield the numbers that are spelled 二十四, 七成, 平成三十年 or 三分之一."""
    for match in _CHINESE_NUMBER.finditer(text):
        numeral = match.group()
        if len(numeral) > _LONGEST_NUMERAL:
            continue
        value = _chinese(numeral)
        yield from map(Decimal, {value, *map(_chinese, numeral)})
        if text[match.end() : match.end() + 1] in ("割", "成"):
            yield Decimal(10 * value)
        era = ERAS.get(text[max(0, match.start() - 2) : match.start()])
        if era:
            yield Decimal(era + value)
    for bottom, top in _CHINESE_FRACTION.findall(text):
        yield Decimal(_chinese(top)) / _chinese(bottom)


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
