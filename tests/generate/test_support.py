"""Figures and names that a bullet has and its passages have not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.generate.support import unsupported


@pytest.mark.parametrize(
    ("text", "passages", "expected"),
    [
        ("It cost 45 euros.", "The price was 45 euros.", ()),
        ("It cost 46 euros.", "The price was 45 euros.", ("46",)),
        ("It had 12,500 visitors.", "There came 12500 visitors.", ()),
        ("It had 12 500 visitors.", "There came 12,500 visitors.", ()),
        ("It had 12,500 visitors.", "There came 12,600 visitors.", ("12500",)),
        ("It grew 3.50 percent.", "It grew by 3.5%.", ()),
        ("It grew 3.5%.", "It grew by 35%.", ("3.5",)),
        ("有 ３５ 人。", "There were 35 people.", ()),
        ("It has 3 rooms.", "It has three rooms.", ()),
        ("It has 3 rooms.", "它有三个房间。", ()),
        ("It has 24 rooms.", "它有二十四个房间。", ()),
        ("It began in 2026.", "它始于二〇二六年。", ()),
        ("有 30 万人。", "Some 300,000 people.", ()),
        ("It has 2 million users.", "用户达200万。", ()),
        ("On 2026-11-20 it began.", "It began on 20 November 2026.", ()),
        ("On 2026-11-21 it began.", "It began on 20 November 2026.", ("21",)),
        ("Use version 3.11.2.", "Version 3.11.2 is needed.", ()),
        ("Use version 3.11.4.", "Version 3.11.2 is needed.", ("3.11.4",)),
        ("From 1990 to 1995.", "1990-1995", ()),
        ("It ends at 5.", "It ends at 5", ()),
        ("It grew 3,5 %.", "It grew by 3.5%.", ()),
        ("It grew 3.5%.", "Der Anstieg betrug 3,5 %.", ()),
        ("It grew 3,6 %.", "It grew by 3.5%.", ("3,6",)),
        ("It grew 3.6%.", "Der Anstieg betrug 3,5 %.", ("3.6",)),
        ("Rooms 3,5 are open.", "Rooms 3 and 5 are open.", ()),
        ("Es kostet 1.250,50 Euro.", "It costs 1,250.50 euros.", ()),
        ("It costs 1,250.50 euros.", "Es kostet 1.250,50 Euro.", ()),
        ("It has 1,500,000 users.", "Es hat 1,5 Millionen Nutzer.", ()),
        ("It has 1,500,000 users.", "Es hat 1.500.000 Nutzer.", ()),
        ("It has 2,000,000,000 users.", "Es hat 2 Milliarden Nutzer.", ()),
        ("It has 1,000,000 users.", "It has one million users.", ()),
        ("It has 1 million users.", "It has a million users.", ()),
        ("It has 2,000,000 users.", "It has one million users.", ("2000000",)),
        ("It has 1 million users.", "用户达一百万。", ()),
        ("It has 120 million users.", "用户达一亿二千万。", ()),
        ("It has 50 rooms.", "It has fifty rooms.", ()),
        ("It has 43 rooms.", "It has forty-three rooms.", ()),
        ("It is the 21st.", "It is the twenty-first.", ()),
        ("It has 2,350 rooms.", "It has two thousand three hundred and fifty rooms.", ()),
        ("It has 60 rooms.", "It has fifty rooms.", ("60",)),
        ("In 1990 300 people came.", "300 people came in 1990.", ()),
        ("It has 12 rooms.", "It has a dozen rooms.", ()),
    ],
)
def test_figures(text: str, passages: str, expected: tuple[str, ...]) -> None:
    assert unsupported(text, passages, "en") == expected


@pytest.mark.parametrize(
    ("text", "passages", "language", "expected"),
    [
        ("It was built by Miller.", "Miller built it.", "en", ()),
        ("It was built by Moller.", "Miller built it.", "en", ("Moller",)),
        ("Later it was Miller’s.", "Miller built it.", "en", ()),
        ("Moller built it.", "Miller built it.", "en", ()),  # the first word has a capital anyway
        ("It uses NASA data.", "They use data of ESA.", "en", ("NASA",)),
        ("NASA built it.", "ESA built it.", "en", ("NASA",)),
        ("It was good. The end came.", "it was good and ended.", "en", ()),
        ("Das Haus hat Fenster.", "There are windows in the house.", "de", ()),
        ("Das Haus ist von IBM.", "There are windows in the house.", "de", ("IBM",)),
        ("It is called “the long room” now.", "The long room is there.", "en", ()),
        (
            "It is called “the short room” now.",
            "The long room is there.",
            "en",
            ("the short room",),
        ),
        ("它使用 Debian 系统。", "它使用 Debian。", "zh", ()),
        ("它使用 Ubuntu 系统。", "它使用 Debian。", "zh", ("Ubuntu",)),
        ("他住在“北京”。", "He lives in Beijing.", "zh", ()),
        ("It lies in Beijing.", "它位于北京。", "en", ()),  # another script writes it otherwise
    ],
)
def test_names(text: str, passages: str, language: str, expected: tuple[str, ...]) -> None:
    assert unsupported(text, passages, language) == expected


def test_a_copied_sentence_is_supported() -> None:
    text = "In May 1998, Anna O’Hara paid £1,250.50 (about 3%) to “Old & Sons” in St. John's, NY."

    assert unsupported(text, text, "en") == ()


@given(st.text(max_size=80) | st.from_regex(r"([0-9]{1,3}[,. ]){0,3}[0-9%]{1,3} ?(万|June|Ab)?"))
def test_any_text_is_supported_by_itself(text: str) -> None:
    assert unsupported(text, text, "en") == ()
