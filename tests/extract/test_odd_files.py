"""Files that say one thing and are another, or that lack something: no text is lost in silence."""

from __future__ import annotations

import pytest

from tasks.extract.decoding import declared_by_html, decode
from tasks.extract.html_text import parse_html
from tasks.extract.markdown_text import parse_markdown
from tasks.extract.pieces import Parsed

ZH = "第一次拿到望远镜的时候，他看了很久。"


def texts(parsed: Parsed, *kinds: str) -> list[str]:
    return [piece.text for piece in parsed.pieces if not kinds or piece.kind in kinds]


@pytest.mark.parametrize(
    ("declared", "written"),
    [("utf-8", "gbk"), ("gb2312", "utf-8"), ("iso-8859-1", "utf-8"), ("iso-2022-jp", "utf-8")],
)
def test_a_page_that_declares_a_wrong_encoding_is_read_all_the_same(
    declared: str, written: str
) -> None:
    """What the bytes can't be is not believed, nor what they can hardly be."""
    data = f"<meta charset={declared}><p>{ZH}</p>".encode(written)

    assert texts(parse_html(decode(data, declared_by_html(data)))) == [ZH]


def test_japanese_in_seven_bits_is_told_by_its_escapes() -> None:
    """It is ASCII by its bytes."""
    text = "これは日本語です。"

    assert decode(text.encode("iso-2022-jp")) == text


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<frameset><noframes><body>not</body></noframes></frameset>", []),
        ("<dialog>not</dialog><dialog open>seen</dialog>", ["seen"]),
        ("<xmp>a</xmp>b", ["a", "b"]),
        ("one<button>two</button>three", ["one two three"]),
        ('<?xml version="1.0"?><!DOCTYPE html [<!ENTITY x "y">]><p>seen', ["seen"]),
    ],
)
def test_old_and_rare_elements(html: str, shown: list[str]) -> None:
    """Neither their tags nor what they hide is shown, and they glue no words."""
    assert texts(parse_html(html)) == shown


@pytest.mark.parametrize(
    ("matter", "title"),
    [
        ("---\ntitle: A\ntags:\n  - x\n- y\n\n# c\nlist: [\n]\n---\n", "A"),
        ("+++\ntitle = 'A'\n[params]\nx = 1\n+++\n", "A"),
        ("---\r\ntitle: A\r\n...\r\n", "A"),
    ],
)
def test_front_matter_is_no_text(matter: str, title: str) -> None:
    """YAML's and TOML's."""
    parsed = parse_markdown(f"{matter}# One\n\nText.")

    assert (parsed.title, texts(parsed)) == (title, ["One", "Text."])


def test_a_rule_at_the_start_of_markdown_begins_no_front_matter() -> None:
    """What stands between two rules is text, if it is prose."""
    for text in ("---\n\nOne.\n\n---\n\nTwo.", "---\n\nNote: one.\n\n---\n\nTwo."):
        assert len(texts(parse_markdown(text))) == 2


@pytest.mark.parametrize("tag", ["title", "script", "template", "iframe", "video", "nav"])
def test_a_tag_named_in_markdown_hides_nothing_that_follows(tag: str) -> None:
    """Prose about HTML forgets the quotes of code, and never ends the element."""
    parsed = parse_markdown(f"Use <{tag}> here.\n\nThe end.\n\n<{tag}>\n\nThe very end.")

    shown = f"Use <{tag}> here. The end. <{tag}> The very end."
    assert " ".join(texts(parsed)) == shown
