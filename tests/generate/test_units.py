"""Units beside figures: exchanged ones are found, and translated ones are not."""

from __future__ import annotations

import pytest

from tasks.generate.units import has_other_units


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("It needs 5 MB of memory.", "它需要 5 兆字节内存。"),
        ("It needs 5 MB of memory.", "它需要5MB内存。"),
        ("A 5-minute walk of 300 m.", "步行5分钟，300米。"),
        ("1,500 g of it", "1500克"),
        ("It takes 3 hours.", "需要3个小时。"),
        ("20 °C", "20℃"),
        ("20 °C", "20 摄氏度"),
        ("Nach 5 Minuten und 2,5 km", "After 5 minutes and 2.5 kilometres"),
        ("5キロメートル", "5 km"),
        ("The rate of $5 m", "500万美元"),
        ("300 m of rope", "三百米绳子"),
        ("It has 5 members", "它有5名成员"),
        ("1 g of sugar, 1 l of water", "1 l de agua, 1 g de azúcar"),
        ("5 Mo de mémoire", "5 MB of memory"),
    ],
)
def test_a_unit_may_be_translated(source: str, text: str) -> None:
    assert not has_other_units(source, text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("It needs 5 MB of memory.", "它需要5 GB内存。"),
        ("It needs 512 MiB.", "512 MB werden gebraucht."),
        ("Walk 5 km.", "走5米。"),
        ("Wait 5 min.", "等5秒。"),
        ("Heat it to 20 °C.", "Auf 20 °F erhitzen."),
        ("Take 5 mg.", "服用5克。"),
    ],
)
def test_a_unit_must_not_be_exchanged(source: str, text: str) -> None:
    assert has_other_units(source, text)
