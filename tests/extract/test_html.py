"""HTML to blocks: every visible word once and in order, and nothing that is not shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.extract.html_text import blocks_of, parse_html

INLINE = ("b", "i", "span", "em", "code", "sup", "small")
BLOCK = ("p", "section", "li", "ul", "h2", "h4", "dd", "pre", "figcaption", "article")
HIDING = ("div", "section", "blockquote")  # nothing within closes them
UNSEEN = ("script", "style", "template", "nav", "noscript")


def texts(html: str) -> list[str]:
    return [block.text for block in blocks_of(html)]


WORDS = st.lists(st.sampled_from([f"w{n}x" for n in range(40)] + ["水", "é&amp;"]), max_size=4)


def _within(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    parts = st.lists(inner, max_size=4)
    return (
        st.builds(_element, st.sampled_from(INLINE + BLOCK + HIDING), parts)
        | st.builds(lambda tag, text: _element(tag, [text]), st.sampled_from(UNSEEN), SENTENCES)
        | st.builds(
            lambda tag, text: _element(tag, text, " hidden"), st.sampled_from(HIDING), parts
        )
        | st.lists(st.lists(inner, max_size=3), max_size=3).map(_table)
    )


def _element(tag: str, parts: Sequence[str], attributes: str = "") -> str:
    return f"<{tag}{attributes}> {' '.join(parts)} </{tag}>"


def _table(rows: Sequence[Sequence[str]]) -> str:
    cells = (" ".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


SENTENCES = WORDS.map(" ".join)
TREES = st.recursive(SENTENCES, _within, max_leaves=30)


@given(TREES)
def test_no_visible_word_is_lost_or_doubled(html: str) -> None:
    """A second reader of HTML sees the same words, whatever is nested in what."""
    page = f"<html><body><div>{html}</div></body></html>"
    tree = lxml.html.document_fromstring(page)
    for unseen in tree.xpath("|".join([f"//{tag}" for tag in UNSEEN] + ["//*[@hidden]"])):
        if unseen.getparent() is not None:
            unseen.drop_tree()

    found = Counter(re.findall(r"\w+", " ".join(texts(page))))

    assert Counter(re.findall(r"\w+", " ".join(tree.itertext()))) == found


@given(st.text(max_size=300) | TREES.map(lambda html: html[: len(html) // 2]))
def test_no_input_is_too_broken(html: str) -> None:
    """Cut anywhere or no HTML at all, it is read."""
    parse_html(html)


def test_text_outside_of_paragraphs_is_kept_in_order() -> None:
    """Between, before and after blocks, and in nested ones."""
    html = "lead <p>one</p> tail <div>a<div>b</div>c</div> last"

    assert texts(html) == ["lead", "one", "tail", "a", "b", "c", "last"]


def test_words_are_not_torn_and_not_glued() -> None:
    """Tags within a word part nothing; entities and breaks are what they stand for."""
    html = "<p>wor<b>ld</b> caf&eacute;&nbsp;x<br>next<p>10<sup>6</sup> H<sub>2</sub>O"

    assert texts(html) == ["world café x next", "10⁶ H₂O"]


def test_a_row_of_a_table_is_one_line() -> None:
    """Cells hold their places; a page that is laid out by a table is no table."""
    table = "<table><caption>Costs</caption><tr><th>A<th>B<tr><td><p>1</p><td><p>2</p></table>"
    layout = "<table><tr><td><h1>Head</h1><p>One.</p><td><ul><li>x</ul></table>"

    assert texts(table) == ["Costs", "A | B", "1 | 2"]
    assert texts(layout) == ["Head", "One.", "x"]


def test_ruby_keeps_the_word_whole() -> None:
    """The reading follows the whole word, whichever way it is marked up."""
    html = "<p><ruby>漢<rt>かん</rt>字<rp>(</rp><rt>じ</rt><rp>)</rp></ruby>です</p>"

    assert texts(html) == ["漢字(かんじ)です"]


def test_headings_nest() -> None:
    """By their level, also where one is skipped; the only h1 is the title."""
    html = "<title>T | Site</title><h1>Top</h1><h3>Deep</h3><p>x</p><h2>Next</h2><p>y</p>"
    parsed = parse_html(html)

    assert parsed.title == "Top"
    assert [piece.path for piece in parsed.pieces if piece.kind == "sentence"] == [
        ("Top", "Deep"),
        ("Top", "Next"),
    ]


@pytest.mark.parametrize(
    "html",
    [
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head>'
        '<body><script src="x"/><a id="1"/>seen</body></html>',
        "<p style='color:red; display : none'>not</p><p>seen</p>",
        "<svg><title>not</title><desc>not</desc></svg>seen",
        "<select><option>not</select><p>seen",
    ],
)
def test_what_is_not_shown_is_left_out(html: str) -> None:
    """XHTML's empty elements hide nothing that follows."""
    assert texts(html) == ["seen"]


def test_depth_is_no_limit() -> None:
    """Parsers that stop at some depth drop text without a word."""
    assert texts("<div>" * 5000 + "deep" + "</div>" * 5000 + "after") == ["deep", "after"]


def test_a_listing_keeps_its_lines_and_their_spaces() -> None:
    """But for control characters and tabs; where most of a page is one, it is the page's text."""
    prose = "Type these lines, and all that belongs to them, into a file of your own."
    parsed = parse_html(f"<p>{prose}</p><pre>def f(): \n\n\treturn  1\x07\n</pre>")
    mail = parse_html("<p>Mail</p><pre>The library is open.\n  Come in.</pre>")

    assert [(piece.text, piece.kind) for piece in parsed.pieces] == [
        (prose, "sentence"),
        ("def f():", "code"),
        ("    return  1", "code"),
    ]
    assert [(piece.text, piece.kind) for piece in mail.pieces] == [
        ("Mail", "sentence"),
        ("The library is open.", "sentence"),
        ("Come in.", "sentence"),
    ]
