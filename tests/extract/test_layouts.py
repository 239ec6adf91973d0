"""True text on layouts that people print, their truth known: see extract/layouts."""

from __future__ import annotations

import functools

import pytest
from extract.layouts.catalogue import layouts
from extract.layouts.layout import Layout
from extract.layouts.measure import Score, score, total

LAYOUTS = {layout.name: layout for layout in layouts()}


@functools.cache
def measured(name: str) -> Score:
    return score(LAYOUTS[name])


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_layout_is_read_as_it_is_printed(layout: Layout) -> None:
    """Of its running lines, body and broken words, no more than a hundredth is wrong."""
    found = measured(layout.name)

    assert found.recall >= 0.99, found.left
    assert found.precision >= 0.99, found.missing
    assert found.lost <= 0.01 * found.body, found.missing
    assert found.wrong <= 0.01 * found.hyphens, found.misjoined


def test_all_layouts_together_are_read_as_printed() -> None:
    """Headers, footers, page numbers and line numbers gone, all else there, words whole."""
    whole = total(measured(name) for name in LAYOUTS)

    assert whole.running >= 800
    assert whole.numbers >= 400
    assert whole.hyphens >= 800
    assert whole.recall >= 0.99
    assert whole.numbers_removed >= 0.99 * whole.numbers
    assert whole.precision >= 0.99
    assert whole.lost <= 0.001 * whole.body
    assert whole.wrong <= 0.01 * whole.hyphens
    assert whole.torn <= 0.0001 * whole.body
