"""Units beside figures: exchanged ones are found, and translated ones are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("A room of 50 m²", "50平方米的房间"),
        ("a disk of .5 MB", "0,5-MB-Platte"),
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
        ("De\u00a05\u00a0Mo", "5 GB,5 GB"),
    ],
)
def test_a_unit_must_not_be_exchanged(source: str, text: str) -> None:
    assert has_other_units(source, text)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("piece", ["1", "1,", "1\u00a0", "1..", "a1", "5 M", "5-"])
def test_a_looping_model_is_read_in_linear_time(piece: str) -> None:
    text = piece * 3000

    assert not any(has_other_units(text, text) for _ in range(50))


NUMERIC = st.text(alphabet="0123456789.,- \u00a0mkgMBh°C℃秒分钟½²", max_size=40)


@given(st.text() | NUMERIC, NUMERIC)
def test_any_text_is_read(text: str, other: str) -> None:
    has_other_units(text, other)
    has_other_units(other, text)

    assert not has_other_units(text, text)
