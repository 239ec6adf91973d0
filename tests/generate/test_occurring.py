"""Which entries of a glossary a text holds: whole words, and the longest of several."""

from __future__ import annotations

import pytest

from tasks.generate.occurring import occurring
from tasks.records import Term


@pytest.mark.parametrize(
    ("terms", "text", "expected"),
    [
        (["lathe"], "Lathes are here.", ["lathe"]),
        (["AI"], "He said that AI is near.", ["AI"]),
        (["AI"], "He said so.", []),
        (["AI"], "The aim is clear.", []),
        (["art"], "A part of it", []),
        (["library", "standard library"], "the standard library", ["standard library"]),
        (["library", "standard library"], "a library, a standard library",
         ["library", "standard library"]),
        (["图书馆"], "这座图书馆很大", ["图书馆"]),
        (["Python"], "用Python写的程序", ["Python"]),
        (["Maschine"], "Die Maschinen laufen", ["Maschine"]),
        (["example"], "See https://example.org/a", []),
        (["C++"], "Written in C++.", ["C++"]),
    ],
)  # fmt: skip
def test_a_term_occurs_as_a_word(terms: list[str], text: str, expected: list[str]) -> None:
    found = occurring([Term(term, "x") for term in terms], text)

    assert [term.source for term in found] == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Mark", "Mark left.", True),
        ("Mark", "Marks of it", True),
        ("Mark", "They mark it; it is marked.", False),
        ("Rust", "a rusty nail", False),
        ("IBM", "At IBM", True),
    ],
)
def test_a_name_occurs_as_it_is_written(name: str, text: str, expected: bool) -> None:
    assert bool(occurring([Term(name, "x", exact=True)], text)) == expected
