"""Summaries land as files that a reader can check, whatever the document's text holds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tasks.land import read_table
from tasks.land.documents import land_summary, slug
from tasks.land.rendering import markdown
from tasks.records import Bullet, Citation, Coverage, Document, Segment, Source, SummarySection

SOURCE_ID = "5" * 64
HOSTILE = 'a <script>alert(1)</script> [x](javascript:alert(1)) &amp; `c` *b* _i_ | # "q"'


def segment(n: int, text: str, page: int) -> Segment:
    return Segment(
        source_id=SOURCE_ID,
        n=n,
        text=text,
        kind="sentence",
        page=page,
        page_label=f"L{page}",
        paragraph=n,
    )


SEGMENTS = (segment(1, "The drill runs.", 2), segment(2, "It costs 40 euros.", 2))
SEGMENTS += (segment(3, HOSTILE, 4),)


def source(**changes: object) -> Source:
    plain = Source(
        source_id=SOURCE_ID,
        uri="/books/a (b) #1 ü.pdf",
        title="Tools",
        language="en",
        n_pages=4,
        n_segments=412,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def cite(*numbers: int) -> tuple[Citation, ...]:
    pages = {s.n: s for s in SEGMENTS}
    return tuple(Citation(n=n, page=pages[n].page, page_label=pages[n].page_label) for n in numbers)


def document(*bullets: Bullet, **changes: object) -> Document:
    plain = Document(
        document_id="d" * 64,
        source_id=SOURCE_ID,
        kind="summary",
        language="en",
        length="medium",
        model="demo",
        title="Tools",
        sections=(SummarySection(heading="", bullets=bullets),),
        coverage=Coverage(ok=380, repaired=2, kept=30, failed=0),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def land(results: Path, *bullets: Bullet, note: str = "", **changes: object) -> tuple[str, str]:
    """Return the texts of summary.md and summary.html."""
    landed = land_summary(results, source(), document(*bullets, **changes), SEGMENTS, note=note)
    markdown_text, html = (Path(path).read_text(encoding="utf-8") for path in landed.paths)
    return markdown_text, html


class Tags(HTMLParser):
    """What a browser would make of a page: its tags with attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(text: str) -> tuple[str, set[str]]:
    """Return the text and the tags that a Markdown renderer shows."""
    renderer = MarkdownIt("commonmark").enable("strikethrough").enable("table")
    renderer.validateLink = lambda url: True  # type: ignore[method-assign] # also file: and worse
    page = Tags(renderer.render(text))
    return page.text.strip(), {tag for tag, _ in page.tags}


def test_citations_are_links_to_pages(tmp_path: Path) -> None:
    """Each page once a bullet, by its printed label, to its place in the file."""
    text, html = land(tmp_path, Bullet(text="It runs.", citations=cite(1, 2, 3)))
    link = "file:///books/a%20%28b%29%20%231%20%C3%BC.pdf"

    assert f"- It runs. ([p. L2]({link}#page=2), [p. L4]({link}#page=4))\n" in text
    assert f'href="{link}#page=2">p. L2</a>' in html
    assert f'href="{link}#page=4">p. L4</a>' in html


def test_a_document_without_pages_is_cited_by_paragraph(tmp_path: Path) -> None:
    """The link leads to the document; where in it that is, its headings say."""
    cited = Segment(
        source_id=SOURCE_ID, n=1, text="It runs.", kind="sentence", page=None, page_label="",
        paragraph=12, heading_path=("Tools", "Drills"),
    )  # fmt: skip
    bullet = Bullet(text="It runs.", citations=(Citation(n=1, page=None, page_label=""),))
    flowing = source(uri="/books/a.md", kind="markdown", n_pages=0)
    landed = land_summary(tmp_path, flowing, document(bullet), (cited,))
    text, html = (Path(path).read_text(encoding="utf-8") for path in landed.paths)

    assert "- It runs. ([¶ 12](file:///books/a.md))\n" in text
    assert 'href="file:///books/a.md" title="Tools › Drills">¶ 12</a>' in html
    assert "Pages" not in text


def test_pages_without_text_are_told_once(tmp_path: Path) -> None:
    """Not by the source's error and by the summary's own words both."""
    error = "/books/a.pdf: no text could be read on pages 3, 9 of 12. Install it."
    lacking = source(status="partial", error=error, pages_without_text=(3, 9))
    landed = land_summary(tmp_path, lacking, document(Bullet(text="x")), SEGMENTS)
    text = Path(landed.paths[0]).read_text(encoding="utf-8")

    assert text.count("3, 9") == 1


def test_the_cited_passages_stand_beside_each_bullet(tmp_path: Path) -> None:
    """A reader can check a statement without opening the PDF."""
    _, html = land(tmp_path, Bullet(text="It runs.", citations=cite(1, 2)))
    quotes = re.findall(r"<blockquote[^>]*>(.*?) <span", html)

    assert quotes == ["The drill runs.", "It costs 40 euros."]


def test_doubts_are_shown_and_not_hidden(tmp_path: Path) -> None:
    """Figures and names that the source lacks, bullets without a source, missing pages."""
    bullets = (
        Bullet(text="It costs 50 euros.", citations=cite(2), unsupported=("50", "Ann")),
        Bullet(text="Somebody said so."),
    )
    landed = land_summary(
        tmp_path,
        source(pages_without_text=(3, 4, 5, 9)),
        document(*bullets, failed_pages=("iv", "12")),
        SEGMENTS,
        note="Demo model: extracts only.",
    )

    for path in landed.paths:
        text = Path(path).read_text(encoding="utf-8").replace("&nbsp;", " ")
        for expected in (
            "not found in the cited text: 50, Ann",
            "no source given",
            "missing here: 3–5, 9",
            "no usable notes on these pages, so the summary lacks them: iv, 12",
            "Demo model: extracts only.",
            "412 of 412 segments accounted for: 380 ok, 2 repaired, 30 kept by rule, 0 failed",
        ):
            assert expected in text


def test_without_pages_what_failed_is_named_by_paragraph_and_the_model_by_its_file(
    tmp_path: Path,
) -> None:
    """A number says of what it is; where the model lies on the disk is nobody's business."""
    made = document(failed_pages=("¶ 3–5",), model="/home/me/models/m.gguf")
    landed = land_summary(tmp_path, source(n_pages=0), made, SEGMENTS)

    for path in landed.paths:
        text = Path(path).read_text(encoding="utf-8")
        assert "on these paragraphs, so the summary lacks them: ¶ 3–5." in text
        assert "m.gguf" in text
        assert "/home/me" not in text


def test_a_summary_without_bullets_says_so(tmp_path: Path) -> None:
    """Never an empty page."""
    text, html = land(tmp_path)

    assert "no part of the source could be summarised" in text
    assert "no part of the source could be summarised" in html


def test_html_loads_and_runs_nothing(tmp_path: Path) -> None:
    """Self-contained, with a policy that forbids the rest; the document's text stays text."""
    bullet = Bullet(text=HOSTILE, citations=cite(3), unsupported=(HOSTILE,))
    _, html = land(tmp_path, bullet, title=HOSTILE, note=HOSTILE, model=HOSTILE)
    page = Tags(html)
    policy = next(a["content"] for _, a in page.tags if "http-equiv" in a)

    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe"} == set()
    assert not any(name.startswith(("on", "src")) for _, attrs in page.tags for name in attrs)
    assert {a["href"].split(":")[0] for _, a in page.tags if a.get("href")} == {"file"}  # type: ignore[union-attr]
    assert page.text.count(HOSTILE) >= 5


def test_markdown_shows_the_documents_text_as_it_is(tmp_path: Path) -> None:
    """No markup, no link but ours, whatever the text holds."""
    text, _ = land(tmp_path, Bullet(text=HOSTILE, citations=cite(3)), title=HOSTILE)
    shown, tags = rendered(text)

    assert HOSTILE in shown
    assert tags == {"h1", "p", "a", "ul", "li", "h2"}


@given(
    st.text(st.sampled_from("ab1 .)-+#>*_`[]()<>!&;~=|\\:$\t\"'") | st.characters(), max_size=30)
)
def test_escaped_text_renders_as_itself(text: str) -> None:
    """For any text: what a Markdown renderer shows is the text, in a plain list item."""
    line = " ".join("".join(c for c in text if unicodedata.category(c)[0] != "C").split())
    shown, tags = rendered(f"- {markdown(line)}\n")

    assert shown == line
    assert tags <= {"ul", "li"}


def test_landing_again_changes_no_byte(tmp_path: Path) -> None:
    """Nothing depends on the time; the table has the document once."""
    first = land(tmp_path, Bullet(text="It runs.", citations=cite(1)))
    second = land(tmp_path, Bullet(text="It runs.", citations=cite(1)))
    rows = read_table(tmp_path, "documents").collect()

    assert first == second
    assert rows.height == 1
    assert rows["coverage"].struct.unnest().row(0) == (380, 2, 30, 0)
    assert [Path(path).name for path in rows["paths"][0]] == ["summary.md", "summary.html"]


def test_documents_of_one_title_do_not_collide(tmp_path: Path) -> None:
    """The folder's name carries the document's id."""
    for document_id in ("a" * 64, "b" * 64):
        land(tmp_path, Bullet(text="It runs."), document_id=document_id)

    assert sorted(p.name for p in (tmp_path / "documents").iterdir() if p.is_dir()) == [
        "Tools-aaaaaaaa",
        "Tools-bbbbbbbb",
    ]


def test_a_chinese_summary_speaks_chinese(tmp_path: Path) -> None:
    """Labels follow the summary's language; quotations keep the source's."""
    _, html = land(tmp_path, Bullet(text="电钻在运转。", citations=cite(1)), language="zh")
    attributes = [attrs.get("lang") for tag, attrs in Tags(html).tags if "lang" in attrs]

    assert attributes == ["zh", "en", "zh"]
    assert "第 L2 页" in html
    assert "关于本摘要" in html


def test_an_outline_has_contents_that_lead_to_its_sections(tmp_path: Path) -> None:
    """Only where there is something to choose from."""
    sections = tuple(
        SummarySection(heading=name, bullets=(Bullet(text="x"),)) for name in ("Care", "Safety")
    )
    _, html = land(tmp_path, sections=sections)
    tags = Tags(html).tags
    targets = {attrs["href"] for tag, attrs in tags if tag == "a" and attrs["href"][0] == "#"}  # type: ignore[index]

    assert targets == {f"#{a['id']}" for tag, a in tags if tag == "section"}
    assert "<nav" not in land(tmp_path, Bullet(text="x"))[1]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Keeping a Tool Library", "Keeping-a-Tool-Library"),
        ("用小望远镜看星空", "用小望远镜看星空"),
        ("../../etc/passwd", "etc-passwd"),
        ('a/b\\c:d*e?"f<g>h|i\x00j', "a-b-c-d-e-f-g-h-i-j"),
        ("… !", "document"),
        ("", "document"),
    ],
)
def test_slugs(title: str, expected: str) -> None:
    """Readable, and a file name on any system."""
    assert slug(title) == expected


@given(st.text(max_size=200))
def test_any_title_makes_a_safe_short_name(title: str) -> None:
    """Letters, marks and digits with - between them, at most 120 bytes."""
    name = slug(title)

    assert 0 < len(name.encode()) <= 120
    assert all(c == "-" or unicodedata.category(c)[0] in "LMN" for c in name)
    assert not name.startswith("-")
    assert not name.endswith("-")
