"""What a translation takes over as it stands; and prose that only looks like it."""

from __future__ import annotations

import pytest

from tasks.generate.protected import (
    is_code,
    is_formula,
    is_nothing_to_translate,
    is_row_of_figures,
)


@pytest.mark.parametrize(
    "text",
    [
        "return of the goods to the seller;",
        "public authorities (as defined in Article 2);",
        "private companies (including subsidiaries);",
        "void contracts (see Section 4);",
        "class action:",
        "from foreign import duties",
        "$ in millions, except per share data",
        "*** The End ***",
        "# and/or",
        "If a > b, go to C",
        "Is 5 > 3?",
        "Ja = 1",
        "Mo – Fr | 9 – 17",
        "입력 → 출력",
        "값 > 5 이면 참",
        "Độ ẩm > 80%",
        "ค่า = 5",
        "합계 1,234 2,345 3,456",
        "왜?",
        "为什么？",
        "Да",
    ],
)
def test_prose_is_never_taken_for_anything_else(text: str) -> None:
    rules = (is_code, is_formula, is_row_of_figures, is_nothing_to_translate)

    assert not [rule.__name__ for rule in rules if rule(text)]


@pytest.mark.parametrize(
    "text",
    [
        "$ sudo apt-get install pandoc",
        "$ ./configure --prefix=/usr",
        "# apt update",
        ">>> print(1)",
        "user@host:~/src$ ls",
        "#include <stdio.h>",
        "from os.path import join",
        "def main(arguments):",
        "return x[0];",
        "return true;",
        "return a + b;",
        "return 0;",
        "class Lathe(Machine):",
        "public static void main(String[] args) {",
        "int main(void) {",
        "const x = 5;",
        "<b>",
        "}",
        "x = {a: [1, 2], b: (3 | 4)};",
    ],
)
def test_code_is_told(text: str) -> None:
    assert is_code(text)


@pytest.mark.parametrize(
    "text",
    ["E = mc^2", "a ≤ b + c", "sin x = cos y", "∑ x_i → ∞", "f(x) = ln x", "𝑥 ∈ ℝ", "v = 3 cm/s"],
)
def test_formulas_are_told(text: str) -> None:
    assert is_formula(text)


@pytest.mark.parametrize("text", ["1,234 2,345 3,456", "12.5% | 13.0% | 9.1%"])
def test_rows_of_figures_are_told(text: str) -> None:
    assert is_row_of_figures(text) or is_nothing_to_translate(text)
