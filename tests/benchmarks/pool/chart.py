"""The chart: how much of llama.cpp's own rate each peer reaches, as an SVG that needs nothing.

A bar is the median, the line across its end goes from the lowest to the highest round. Colours
follow the reader's light or dark page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from .stats import Spread

_WIDTH, _LEFT, _RIGHT, _TOP = 760, 210, 76, 64
_BAR, _STEP, _GROUP = 13, 18, 34  # heights: a bar, bar to bar, a group's head
_STYLE = """
svg { --ink: #1f2328; --quiet: #59636e; --rule: #d1d9e0; --ours: #1a7f37; --theirs: #8c959f; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #f0f6fc; --quiet: #9198a1; --rule: #3d444d; --ours: #3fb950; --theirs: #6e7681; }
}
text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.title { font-size: 15px; font-weight: 600; }
.head { font-weight: 600; }
.quiet { fill: var(--quiet); }
.rule { stroke: var(--rule); }
.limit { stroke: var(--ink); stroke-dasharray: 4 3; }
.range { stroke: var(--ink); stroke-width: 1.5; }
.ours { fill: var(--ours); }
.theirs { fill: var(--theirs); }
"""


@dataclass(frozen=True)
class Bar:
    """A share of the limit, where 1 is all of it."""

    name: str
    share: Spread
    ours: bool


@dataclass(frozen=True)
class Group:
    name: str
    bars: Sequence[Bar]


def draw(title: str, axis: str, groups: Sequence[Group]) -> str:
    """Return the chart.

    Args:
        axis: what the bars' length means.
    """
    height = _TOP + sum(_GROUP + _STEP * len(group.bars) for group in groups) + 44
    svg = Xml.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height}",
        width=str(_WIDTH),
        height=str(height),
        role="img",
    )
    Xml.SubElement(svg, "title").text = title
    Xml.SubElement(svg, "style").text = _STYLE
    _text(svg, 16, 26, title, "title")
    _text(svg, 16, 44, axis, "quiet")
    top = max([1.0, *(bar.share.high for group in groups for bar in group.bars)])
    scale = (_WIDTH - _LEFT - _RIGHT) / top
    bottom = height - 36
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = _LEFT + tick * scale
        _line(svg, x, _TOP, x, bottom, "limit" if tick == 1 else "rule")
        _text(svg, x, bottom + 16, f"{tick:.0%}", "quiet", "middle")
    y = float(_TOP)
    for group in groups:
        _text(svg, 16, y + 22, group.name, "head")
        y += _GROUP
        for bar in group.bars:
            _bar(svg, y, scale, bar)
            y += _STEP
    return Xml.tostring(svg, encoding="unicode") + "\n"


def _bar(svg: Xml.Element, y: float, scale: float, bar: Bar) -> None:
    share, middle = bar.share, y + _BAR / 2
    _text(svg, _LEFT - 8, y + 11, bar.name, "", "end")
    Xml.SubElement(
        svg,
        "rect",
        {"class": "ours" if bar.ours else "theirs"},
        x=str(_LEFT),
        y=f"{y:.1f}",
        width=f"{share.median * scale:.1f}",
        height=str(_BAR),
        rx="2",
    )
    low, high = _LEFT + share.low * scale, _LEFT + share.high * scale
    _line(svg, low, middle, high, middle, "range")
    for end in (low, high):
        _line(svg, end, middle - 3, end, middle + 3, "range")
    _text(svg, _WIDTH - 16, y + 11, f"{share.median:.0%}", "", "end")


def _text(
    svg: Xml.Element, x: float, y: float, text: str, kind: str = "", anchor: str = "start"
) -> None:
    place = {"class": kind, "text-anchor": anchor, "x": f"{x:.1f}", "y": f"{y:.1f}"}
    Xml.SubElement(svg, "text", place).text = text


def _line(svg: Xml.Element, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    Xml.SubElement(svg, "line", {"class": kind, **ends})
