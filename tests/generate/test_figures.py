"""Figures of a source are found in good translations, however they write them, and else missed."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.generate.figures import figures, numbers, written
from tasks.generate.line_checks import missing_figures

NUMERIC = st.text(
    alphabet="0123456789.,'’ \u00a0-–/:^²₂½⅓¼㎡٣٫٬०半零一十百万割平成元年世纪時分之amphsCOVID",
    max_size=60,
)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("A room of 50 m²", "50平方米的房间"),
        ("357.000 km²", "357.000 square kilometres"),
        ("500 cm³", "500 Kubikzentimeter"),
        ("CO₂", "dióxido de carbono"),
        ("50㎡", "50 square metres"),
        ("H2O", "H₂O"),
        ("10^2", "10²"),
        ("The lathe² of 1990³", "Die Drehbank von 1990"),
        ("1½ hours", "1.5小时"),
        ("1.5小时", "1½ hours"),
        ("1½ hours", "一个半小时"),
        ("1½ hours", "an hour and a half"),
        ("1 1/2 hours", "1.5小时"),
        ("½ cup", "半杯"),
        ("½ cup", "1/2 taza"),
        ("1/2 cup", "½ Tasse"),
        ("1/2 cup", "media taza"),
        ("½ Tasse", "half a cup"),
        ("½ hour", "une demi-heure"),
        ("2.5 hours", "zweieinhalb Stunden"),
        ("2½ million", "250万"),
        ("500,000 people", "eine halbe Million Menschen / half a million"),
        ("¾ of them", "四分之三"),
        ("¾ of them", "drei Viertel davon"),
        ("⅔ of them", "三分之二"),
        ("⅔ of them", "dos tercios"),
        ("a 50% cut", "减半"),
    ],
)
def test_fractions_and_raised_digits(source: str, text: str) -> None:
    assert missing_figures(source, text) == []


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("3.5", "٣٫٥"),
        ("1,234", "١٬٢٣٤"),
        ("20 years", "veinte años"),
        ("15 rooms", "fünfzehn Zimmer"),
        ("16 rooms", "seize pièces"),
        ("17 rooms", "dix-sept pièces"),
        ("80 rooms", "quatre-vingts pièces"),
        ("50 rooms", "cinquanta stanze"),
        ("19 rooms", "dezenove quartos"),
        ("3 days", "три дня"),
        ("3 days", "tre giorni"),
        ("12 days (Windows Professional)", "двенадцать дней (Windows Professional)"),
        ("2 years", "عامين"),
        ("3 days", "사흘"),
        ("12 days", "बारह दिन"),
        ("1个人", "a person"),
        ("1 Person", "una persona"),
    ],
)
def test_spelled_in_other_languages(source: str, text: str) -> None:
    assert missing_figures(source, text) == []


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("the early 1900s", "20世纪初"),
        ("20世纪初", "the early 1900s"),
        ("the 1800s", "19世纪"),
        ("the 1800s", "el siglo XIX"),
        ("in the 1980s", "20世纪80年代"),
        ("1950年代", "the fifties"),
        ("1950年代", "die fünfziger Jahre"),
        ("約7割", "about 70 percent"),
        ("70 percent", "七成"),
        ("17:30", "5:30 p.m."),
        ("5:30 p.m.", "17:30"),
        ("下午5点", "17 Uhr"),
        ("12 a.m.", "0点"),
        ("0:30", "12:30 a.m."),
        ("1990–1991", "1990/91"),
        ("1990–91", "1990至1991年"),
        ("pp. 123–34", "第123至134页"),
        ("平成30年", "2018"),
        ("2018", "平成三十年"),
        ("令和元年", "2019"),
        ("2019", "令和元年"),
        ("COVID-19", "新冠疫情"),
        ("2024-05-03", "el 3 de mayo de 2024"),
        ("5月3日", "May 3"),
        ("12 January", "le 12 janvier"),
        ("2024-08", "Aug. 2024"),
    ],
)
def test_times(source: str, text: str) -> None:
    assert missing_figures(source, text) == []


@pytest.mark.parametrize(
    ("source", "text", "missing"),
    [
        ("公司决定投放12台设备。", "The company decided to launch the equipment.", "12"),
        ("It has 3 gears.", "The market has gears.", "3"),
        ("Es hat 5 Räder.", "The main thing has wheels, and it may turn.", "5"),
        ("它有9个齿轮。", "The gears are separate.", "9"),
        ("Er hat 8 Räder.", "Years ago it had wheels.", "8"),
        ("12 days", "viele Tage", "12"),
        ("21 days", "много дней", "21"),
        ("50 m²", "60 m²", "50"),
        ("1½ hours", "2小时", "1.5"),
        ("GPT-4 has 9 parts.", "GPT-4有部件。", "9"),
        ("平成30年", "2017", "30"),
        ("70 percent", "6割", "70"),
    ],
)
def test_what_is_lost_is_missed(source: str, text: str, missing: str) -> None:
    assert missing_figures(source, text) == [missing]


@pytest.mark.parametrize(
    "piece",
    ["1", "1,", "1 ", "1\u00a0", "1.", "1..", "111,", "一", "零", "亿", "IX", "one ", "hundred ",
     "million ", "a1", "a", "a-", "1/", "½", "9e", "1\t\t", "1-", "1h", "平成", "三分之"],
)  # fmt: skip
@pytest.mark.timeout(60)  # where quadratic time is many minutes
def test_a_looping_model_is_read_in_linear_time(piece: str) -> None:
    text = piece * (50_000 // len(piece))

    list(figures(text))
    numbers(text)


@pytest.mark.parametrize(
    "text",
    ["零" * 4301, "9" * 5000 + "亿", "1e999999", "5 mıl", "5 MİO", "1," + "9" * 5000, "亿" * 30,
     "hundred " * 3000, "1/0", "½/½", "٣/٠", "0世纪80年代", "十分之零", "零分之一",
     "平成" + "9" * 40],
)  # fmt: skip
def test_odd_numbers_are_read(text: str) -> None:
    _read(text)


@given(st.text() | NUMERIC)
def test_any_text_is_read(text: str) -> None:
    _read(text)


@given(NUMERIC)
def test_any_text_has_its_own_figures(text: str) -> None:
    known = numbers(text)

    assert all(values & known for _, values in figures(text))


def _read(text: str) -> None:
    found = numbers(text)
    assert written(text) <= found
    assert all(isinstance(value, Decimal) for value in found)
    list(figures(text))
