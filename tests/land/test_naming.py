"""How sources and pages are named, wherever they are shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.naming import (
    as_uri,
    clock,
    file_name,
    is_span,
    link,
    link_at,
    path_of,
    ranges,
    span,
    title_of,
)

GBK = "/a/" + os.fsdecode("茶".encode("gbk")) + ".pdf"


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("b.pdf", "/base/b.pdf"),
        ("../b.pdf", "/b.pdf"),
        ("/a/茶 (1)#%.pdf", "/a/茶 (1)#%.pdf"),
        ("HTTPS://x.org/a.pdf?b", "HTTPS://x.org/a.pdf?b"),
        (GBK, "file:///a/%B2%E8.pdf"),
        ("file:///a/%B2%E8.pdf", "file:///a/%B2%E8.pdf"),
        ("file:///a/%E8%8C%B6.pdf", "/a/茶.pdf"),
        ("https://x.org/\udcb2.pdf", "https://x.org/%B2.pdf"),
    ],
)
def test_what_a_user_names_has_one_uri(item: str, expected: str) -> None:
    """It is text that any table and terminal can hold, and naming it anew changes nothing."""
    uri = as_uri(item, Path("/base"))

    assert expected == uri
    assert uri == as_uri(uri, Path("/elsewhere"))


@given(st.binary(min_size=1).filter(lambda name: not {0, 47} & set(name) and name.strip(b".")))
def test_any_file_name_comes_back_as_it_was(name: bytes) -> None:
    """A uri leads to the very file, whatever bytes its name is made of."""
    path = Path("/a") / os.fsdecode(name)

    assert path == path_of(as_uri(str(path), Path("/")))
    file_name(as_uri(str(path), Path("/"))).encode()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/a/b.pdf", "b.pdf"),
        ("file:///a/%B2%E8.pdf", r"\xb2\xe8.pdf"),
        ("https://x.org/a%20b.pdf?c=d/e", "a b.pdf"),
        ("https://x.org/", "x.org"),
    ],
)
def test_names_to_show(uri: str, expected: str) -> None:
    """The last part, as text."""
    assert expected == file_name(uri)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/a/b.pdf", "file:///a/b.pdf"),
        ("file:///a/%B2%E8.pdf", "file:///a/%B2%E8.pdf"),
        ("https://x.org/a(1).pdf?q=1#page=3", "https://x.org/a%281%29.pdf?q=1"),
        ("https://x.org/a b<c>.pdf", "https://x.org/a%20b%3Cc%3E.pdf"),
        ("https://x.org/a%20b.pdf", "https://x.org/a%20b.pdf"),
        ("/a/javascript:x.pdf", "file:///a/javascript%3Ax.pdf"),
    ],
)
def test_links_to_sources_are_quoted(uri: str, expected: str) -> None:
    """Nothing in a link can end it early, in Markdown or HTML."""
    assert link(uri) == expected


def test_runs_of_pages_are_drawn_together() -> None:
    """A book of scans has one range and not three hundred numbers."""
    assert ranges([9, 1, 3, 4, 5, 5]) == ["1", "3–5", "9"]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://www.youtube.com/watch?v=abc", "https://www.youtube.com/watch?v=abc&t=754s"),
        ("https://m.youtube.com/watch?t=9&v=a&list=b#x", "https://m.youtube.com/watch?v=a&list=b&t=754s"),
        ("https://youtube.com/live/abc", "https://youtube.com/live/abc?t=754s"),
        ("https://youtu.be/abc?t=3", "https://youtu.be/abc?t=754"),
        ("https://www.bilibili.com/video/BV1?p=2", "https://www.bilibili.com/video/BV1?p=2&t=754"),
        ("https://vimeo.com/123", "https://vimeo.com/123#t=754s"),
        ("https://notyoutube.com/watch?v=abc", "https://notyoutube.com/watch?v=abc#t=754"),
        ("https://x.org/talk (1).mp4?a=1#t=5", "https://x.org/talk%20%281%29.mp4?a=1#t=754"),
        ("/talks/day 1.mp4", "file:///talks/day%201.mp4#t=754"),
        ("file:///a/%B2%E8.mp4", "file:///a/%B2%E8.mp4#t=754"),
    ],
)  # fmt: skip
def test_links_lead_to_a_time_as_each_site_has_it(uri: str, expected: str) -> None:
    """Elsewhere by a media fragment, which browsers follow in media files."""
    assert link_at(uri, 754.9) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1, "0:00"), (0, "0:00"), (7.9, "0:07"), (754, "12:34"), (3599.9, "59:59"),
     (3722, "1:02:02"), (36000, "10:00:00")],
)  # fmt: skip
def test_times_are_written_as_players_show_them(seconds: float, expected: str) -> None:
    assert clock(seconds) == expected


def test_a_stretch_of_time_is_told_from_a_title() -> None:
    assert is_span(span(0, 8000))
    assert not any(map(is_span, ("", "12:30", "12:30–18:05 Sorting", "2–3")))


def test_what_has_no_title_goes_by_its_files_name() -> None:
    assert title_of("", "/talks/day 1.mp4") == "day 1"
    assert title_of("Sorting", "/talks/day 1.mp4") == "Sorting"
