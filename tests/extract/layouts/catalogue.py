"""The layouts: what people print, from a novel to a contract with numbered lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from extract.layouts.layout import Layout, page
from extract.layouts.texts import (
    COMPOUNDS,
    FRENCH,
    GERMAN,
    ITALIAN,
    JAPANESE,
    PORTUGUESE,
    SPANISH,
    chinese,
    english,
    markdown,
    string,
)

MARGIN = (60.0, 70.0, 60.0, 70.0)
CENTRE = "align(center, text(9pt, {}))"
CHAPTERS = (
    "The Harbour at Dawn",
    "Letters from the North",
    "An Unexpected Guest",
    "The Long Winter",
    "Departure",
)


def paragraphs(texts: Iterable[str]) -> str:
    return "\n\n".join(f"#{string(text)}" for text in texts) + "\n\n"


def centred(code: str) -> str:
    return CENTRE.format(code)


def spread(left: str, right: str) -> str:
    return f"text(9pt, {left} + h(1fr) + {right})"


def plain(
    name: str,
    *,
    header: str = "none",
    footer: str = "none",
    texts: Sequence[str] | None = None,
    size: str = 'paper: "a5"',
    setting: str = '#set text(lang: "en", hyphenate: true)\n',
    more: str = "",
    rotate: int = 0,
) -> Layout:
    """Nothing but paragraphs between a header and a footer."""
    body = tuple(texts if texts is not None else english(40))
    top = page(MARGIN, size=size, header=header, footer=footer, more=more)
    return Layout(name, top + setting + paragraphs(body), body, margin=MARGIN, rotate=rotate)


def chaptered(name: str, header: str, footer: str, *, bookmarks: bool = True) -> Layout:
    """A book with front matter in Roman numbers and chapters on new pages."""
    top = page(MARGIN, header=header, footer=footer)
    front = english(7, 30)
    source = top + '#set text(lang: "en", hyphenate: true)\n'
    source += "#show heading: set text(hyphenate: false)\n"
    source += f"#set heading(bookmarked: {str(bookmarks).lower()})\n"
    source += '#set page(numbering: "i")\n' + paragraphs(front)
    source += '#pagebreak()\n#set page(numbering: "1")\n#counter(page).update(1)\n'
    body = list(front)
    for k, chapter in enumerate(CHAPTERS):
        source += f"#heading(level: 1, {string(chapter)})\n"
        texts = english(10, 7 * k)
        body += [chapter, *texts]
        source += paragraphs(texts) + "#pagebreak(weak: true)\n"
    return Layout(name, source, tuple(body), margin=MARGIN)


_CHAPTER = (
    "let before = query(heading.where(level: 1).before(here())); "
    "let opening = query(heading.where(level: 1))"
    ".any(it => it.location().page() == here().page()); "
    'let chapter = if before.len() > 0 { before.last().body } else { "Preface" }; '
)
_NUMBER = "counter(page).display()"
_ALTERNATING = _CHAPTER + (
    "if opening { none } else if calc.odd(n) { text(9pt, emph(chapter) + h(1fr) + "
    + _NUMBER
    + ") }"
    " else { text(9pt, " + _NUMBER + ' + h(1fr) + "The Lighthouse Keeper’s Year") }'
)
_OPENING_NUMBER = (
    _CHAPTER + "if opening { align(center, text(9pt, " + _NUMBER + ")) } else { none }"
)


def books() -> list[Layout]:
    sections = (
        "let s = query(heading.where(level: 1).before(here())); "
        "let k = s.len(); "
        'text(9pt, if k > 0 { str(k) + ". " + upper(s.last().body) } else { "FOREWORD" } '
        "+ h(1fr) + " + _NUMBER + ")"
    )
    return [
        chaptered("book, alternating headers", _ALTERNATING, _OPENING_NUMBER),
        chaptered("book, no bookmarks", _ALTERNATING, _OPENING_NUMBER, bookmarks=False),
        chaptered("book, section headers", sections, "none"),
        plain("novel, number only", footer=centred("str(n)"), texts=english(60)),
        plain(
            "number in the outer corner",
            header="if calc.odd(n) { align(right, str(n)) } else { align(left, str(n)) }",
        ),
        plain("turned pages", header=spread('"The Report"', "str(n)"), rotate=90),
        plain("pages upside down", header=spread('"The Report"', "str(n)"), rotate=180),
        plain("pages turned left", footer=centred("str(n)"), rotate=270),
    ]


def footers() -> list[Layout]:
    url = '"https://example.org/notes/tools?id=7"'
    return [
        plain("Page 3 of 20", footer=centred("[Page #n of #total]")),
        plain(
            "Seite 3 von 20",
            footer=centred("[Seite #n von #total]"),
            texts=[GERMAN] * 12,
            setting='#set text(lang: "de", hyphenate: true)\n',
        ),
        plain(
            "page 3 sur 20",
            footer=centred("[Page #n sur #total]"),
            texts=[FRENCH] * 12,
            setting='#set text(lang: "fr", hyphenate: true)\n',
        ),
        plain("3/20", footer='align(right, text(8pt, str(n) + "/" + str(total)))'),
        plain("- 3 -", footer=centred('"- " + str(n) + " -"')),
        plain("[3]", footer=centred('"[" + str(n) + "]"')),
        plain("| P a g e", footer='align(right, text(9pt, str(n) + " | P a g e"))'),
        plain(
            "printed by a browser",
            header=spread('"11/20/26, 3:45 PM"', '"How to keep tools"'),
            footer=spread(url, 'str(n) + "/" + str(total)'),
        ),
        plain(
            "company footer",
            header='align(right, text(8pt, "Confidential"))',
            footer='text(8pt, "© 2026 Example Corporation" + h(1fr) + "Rev. 3.2" + h(1fr) + '
            '"Page " + str(n))',
        ),
        plain(
            "two footer lines",
            footer='align(center, text(7pt, "Example Ltd, 12 High Street, London" + linebreak() '
            '+ "Registered No. 1234567 · Page " + str(n)))',
        ),
        plain("date and number", footer=spread('"20 November 2026"', "str(n)")),
        plain(
            "journal",
            header='if calc.odd(n) { text(8pt, "J. Appl. Typogr. 12 (2026) 101–140") } else '
            '{ text(8pt, str(n + 100) + h(1fr) + "A. Author and B. Writer") }',
            footer="if calc.odd(n) { align(right, text(8pt, str(n + 100))) } else { none }",
        ),
        plain("numbers from 237", footer=centred("str(n + 236)")),
        plain("chapter-page numbers", footer=centred('"3-" + str(n)')),
    ]


def chinese_and_japanese() -> list[Layout]:
    zh = '#set text(lang: "zh", font: ("Libertinus Serif", "Droid Sans Fallback"))\n'
    ja = zh.replace('"zh"', '"ja"')
    mixed = [
        f"在2026年，我们用Python 3.11和PDFium读取了{k}个文件，其中JSON格式占{k}%，"
        f"平均每个文件有{k * 3}页（见Table {k}）。" + text
        for k, text in enumerate(chinese(14), start=11)
    ]
    return [
        plain(
            "第3页 共20页",
            header=centred('"工具图书馆手册"'),
            footer=centred('"第 " + str(n) + " 页 共 " + str(total) + " 页"'),
            texts=chinese(30),
            setting=zh,
        ),
        plain("第3頁", footer=centred('"第" + str(n) + "頁"'), texts=chinese(30), setting=zh),
        plain(
            "· 3 ·",
            header='align(right, text(9pt, "第三章　观星的准备"))',
            footer=centred('"· " + str(n) + " ·"'),
            texts=chinese(30),
            setting=zh,
        ),
        plain(
            "3页", footer=centred('str(n) + " / " + str(total) + " 页"'), texts=mixed, setting=zh
        ),
        plain(
            "日本語",
            header=centred('"星空の観察"'),
            footer=centred('"- " + str(n) + " -"'),
            texts=[f"第{k}節。" + JAPANESE for k in range(1, 25)],
            setting=ja,
        ),
    ]


def columns() -> list[Layout]:
    two = '#set text(9.5pt, lang: "en", hyphenate: true)\n#set columns(gutter: 18pt)\n'
    return [
        plain(
            "two columns",
            size='paper: "a4"',
            more="columns: 2",
            setting=two,
            header=spread('"Journal of Tools, Vol. 7"', "str(n)"),
            texts=english(80),
        ),
        plain(
            "three columns, landscape",
            size='paper: "a4", flipped: true',
            more="columns: 3",
            setting=two,
            header=centred('"The Weekly Letter"'),
            footer=spread('"November 2026"', '"Page " + str(n)'),
            texts=english(80),
        ),
        plain(
            "wide spaces",
            size="width: 260pt, height: 420pt",
            footer=centred("str(n)"),
            setting='#set text(lang: "en", hyphenate: false)\n',
            texts=english(14),
        ),
    ]


def short() -> list[Layout]:
    def pages(n: int) -> list[str]:
        return english(4 * n + 1 - n // 2)

    return [
        plain("one page", footer=centred('"Page 1 of 1"'), texts=english(3)),
        plain("one page, number", footer=centred("str(n)"), texts=english(3)),
        plain(
            "two pages",
            header=centred('"Minutes of the Annual Meeting"'),
            footer=centred("str(n)"),
            texts=pages(2),
        ),
        plain(
            "three pages",
            header=spread('"Minutes"', '"12 March 2026"'),
            footer=centred('"Page " + str(n)'),
            texts=pages(3),
        ),
        plain("two pages, only numbers", footer="align(right, str(n))", texts=pages(2)),
    ]


def _headed(
    name: str,
    units: Sequence[tuple[str, Sequence[str]]],
    *,
    footer: str,
    heading: str = '#text(13pt, weight: "bold")[#{}]\n\n',
    new_page: bool = True,
    size: str = 'paper: "a5"',
    header: str = "none",
    setting: str = "",
) -> Layout:
    source = page(MARGIN, size=size, header=header, footer=footer)
    source += '#set text(lang: "en", hyphenate: true)\n' + setting
    body: list[str] = []
    for k, (title, texts) in enumerate(units):
        source += "#pagebreak()\n" * (new_page and k > 0)
        source += heading.format(string(title)) + paragraphs(texts)
        body += [title, *texts]
    return Layout(name, source, tuple(body), margin=MARGIN)


def recurring() -> list[Layout]:
    exercise = [("Exercise", english(2, k)) for k in range(12)]
    numbered = [(f"Exercise {k + 1}", english(2, k)) for k in range(12)]
    questions = [(str(k + 1), english(2, k)) for k in range(14)]
    years = [(str(1848 + 7 * k), english(2, k)) for k in range(14)]
    slides = [
        (
            ("Agenda", "Why Tools Matter", "Results", "Questions")[k % 4] + f" {'abcdefgh'[k % 8]}",
            [sentence.split(". ")[0] + "." for sentence in english(4, k)],
        )
        for k in range(20)
    ]
    return [
        _headed("recurring heading", exercise, footer=centred("str(n)")),
        _headed("numbered exercises", numbered, footer=centred("str(n)")),
        _headed(
            "numbers alone on a line", questions, footer=centred('"Page " + str(n)'), new_page=False
        ),
        _headed("years alone on a line", years, footer=centred("str(n)"), new_page=False),
        _headed(
            "slides",
            slides,
            size="width: 480pt, height: 300pt",
            footer='text(8pt, "A. Author" + h(1fr) + "Tools for All" + h(1fr) + '
            'str(n) + " / " + str(total))',
        ),
        _headed(
            "slides, number only",
            slides,
            size="width: 480pt, height: 300pt",
            footer="align(right, text(8pt, str(n)))",
        ),
    ]


def lists_and_tables() -> list[Layout]:
    items = [text.split(". ")[0] + "." for text in english(60)]
    numbered = tuple(f"{k}. {item}" for k, item in enumerate(items, start=1))
    rows = [
        (str(k), f"Item {chr(65 + k % 26)}{k * k % 97}", str(k * 37 % 211), f"{k * 1.7:.1f}")
        for k in range(1, 160)
    ]
    cells = ", ".join(string(cell) for row in rows for cell in row)
    table = f"#table(columns: (1fr, 2fr, 1fr, 1fr), {cells})\n"
    top = page(MARGIN, footer=centred("str(n)"), header=centred('"Stock List"'))
    poem = [f"{line.split(',')[0].rstrip('.')}" for line in items]
    return [
        Layout(
            "numbered list",
            top + "".join(f"#{string(item)}\n\n" for item in numbered),
            numbered,
            margin=MARGIN,
        ),
        Layout(
            "table over pages", top + table, tuple(" ".join(row) for row in rows), margin=MARGIN
        ),
        Layout(
            "poetry",
            page(MARGIN, footer=centred("str(n)"), header=centred('"Poems"'))
            + "#set par(justify: false)\n"
            + "".join(
                f"#{string(line)}" + ("\n\n" if k % 4 == 3 else " \\\n")
                for k, line in enumerate(poem)
            ),
            tuple(poem),
            margin=MARGIN,
        ),
        Layout(
            "code",
            top
            + "".join(f"#raw(block: true, {string(chr(10).join(block))})\n" for block in _code()),
            tuple(line for block in _code() for line in block),
            margin=MARGIN,
        ),
    ]


def _code() -> list[list[str]]:
    return [
        [
            f"def compute_{k}(value):",
            f"    total = value * {k}",
            "    for n in range(10):",
            "        total += n",
            f"    return total + {k * 7}",
        ]
        for k in range(1, 24)
    ]


def numbered_lines() -> list[Layout]:
    top = page((80, 70, 60, 70), footer=centred("str(n)"), header=centred('"Case No. 26-CV-1234"'))
    body = tuple(english(24))
    each = top + '#set par.line(numbering: "1")\n' + paragraphs(body)
    fifth = top + "#set par.line(numbering: n => if calc.rem(n, 5) == 0 [#n])\n" + paragraphs(body)
    anew = top + '#set par.line(numbering: "1", numbering-scope: "page")\n' + paragraphs(body)
    margin = (80.0, 70.0, 60.0, 70.0)
    return [
        Layout("every line numbered", each, body, margin=margin),
        Layout("every fifth line numbered", fifth, body, margin=margin),
        Layout("lines numbered anew on each page", anew, body, margin=margin),
    ]


def notes() -> list[Layout]:
    top = page(MARGIN, footer=centred("str(n)"), header=spread('"On Notes"', "str(n)"))
    source, body, floats = top + '#set text(lang: "en", hyphenate: true)\n', [], []
    for k, text in enumerate(english(36), start=1):
        first, _, rest = text.partition(". ")
        note = f"Remarkq{'abcdefghij'[k % 10]}q see volumeq of the collectedq papersq."
        source += f"#{string(first)}.#footnote({string(note)}) #{string(rest)}\n\n"
        body.append(f"{first}. {k} {rest}")
        floats.append(f"{k} {note}")
    drop = top + "".join(
        f"#grid(columns: (30pt, 1fr), text(34pt)[#{string(text[0])}], [#{string(text[1:])}])\n\n"
        for text in english(20)
    )
    return [
        Layout("footnotes", source, tuple(body), tuple(floats), margin=MARGIN),
        Layout("drop caps", drop, tuple(english(20)), margin=MARGIN),
    ]


def hyphenated() -> list[Layout]:
    """The same text in many widths, so that it breaks at many places."""
    found = []
    languages = {"en": COMPOUNDS, "de": GERMAN, "fr": FRENCH, "es": SPANISH}
    for language, text in languages.items():
        body, source = [], page((40, 40, 40, 40), size="width: 500pt, height: 1200pt")
        source += f'#set text(10pt, lang: "{language}", hyphenate: true)\n'
        for width in range(150, 330, 12):
            body.append(text.strip())
            source += f"#block(width: {width}pt)[#{string(text.strip())}]\n#pagebreak(weak: true)\n"
        found.append(Layout(f"hyphens, {language}", source, tuple(body), margin=(40, 40, 40, 40)))
    prose = [text for name in ("handbook-en", "two-columns-en") for _, text in markdown(name)]
    source = page((40, 40, 40, 40), size="width: 240pt, height: 700pt")
    source += '#set text(10pt, lang: "en", hyphenate: true)\n' + paragraphs(prose)
    return [*found, Layout("hyphens, prose", source, tuple(prose), margin=(40, 40, 40, 40))]


def manuscripts() -> list[Layout]:
    """Kinds added after the rules were written, to see whether these are general."""
    section = (
        "let s = query(heading.where(level: 2).before(here())); "
        'text(8.5pt, if s.len() > 0 { emph(s.last().body) } else { "Prologue" })'
    )
    names = [
        f"Of {a} and {b}"
        for a in ("Rivers", "Hills", "Roads", "Towns")
        for b in ("Winter", "Summer", "Bread", "Stone", "Wool")
    ]
    changing = _headed(
        "section names that change",
        [(name, english(4, k)) for k, name in enumerate(names)],
        header=section,
        footer=centred("str(n)"),
        new_page=False,
        heading="#heading(level: 2, {})\n",
    )
    double = '#set text(lang: "en")\n#set par(leading: 1.6em, spacing: 1.6em, justify: false)\n'
    plain_heading = "#{}\n\n"
    some = [("Exercise" if k % 3 == 0 else "", english(5, k)) for k in range(15)]
    letters = [("Dear reader,", english(6, k)) for k in range(8)]
    poem = [text.split(". ")[0].split(",")[0] for text in english(60)]
    questions = [(str(k), english(5, k)) for k in range(1, 10)]
    return [
        changing,
        plain("manuscript, Smith 3", header='align(right, "Smith " + str(n))', setting=double),
        plain(
            "running head in capitals",
            header=spread('"A STUDY OF TOOL LIBRARIES"', "str(n)"),
            setting=double,
        ),
        plain("number and bar", header='text(9pt, str(n) + " | Chapter 1: The Room")'),
        plain(
            "bold header in the size of the text",
            header='text(11pt, weight: "bold", "Annual Report 2026") + v(6pt)',
            footer=centred("str(n)"),
        ),
        plain(
            "large header",
            header='text(15pt, weight: "bold", "ACME Ltd") + v(12pt)',
            footer=centred("str(n)"),
        ),
        plain("Roman numbers", footer=centred('numbering("i", n)')),
        plain("Roman capitals", footer=centred('numbering("I", n)')),
        plain("appendix A-3", footer=centred('"A-" + str(n)')),
        plain(
            "three footer lines",
            footer="text(7pt, grid(columns: (1fr, 1fr, 1fr), [Example Ltd], [VAT 12 345 678], "
            "[Page #n], [High Street 12], [IBAN GB12 3456], [of #total], "
            "[London], [info\\@example.org], [v. 1.3]))",
        ),
        plain(
            "second page of a letter",
            texts=english(9),
            header='if n > 1 { text(9pt, "Mr A. Smith" + h(1fr) + "3 May 2026" + h(1fr) + '
            '"Page " + str(n)) } else { none }',
        ),
        plain(
            "header from page 2 on",
            header='if n > 1 { text(9pt, emph("Keeping Tools") + h(1fr) + str(n)) } else { none }',
        ),
        plain(
            "long book",
            header='text(9pt, "A Very Long Book" + h(1fr) + str(n))',
            texts=[f"{text} {k}" for k, text in enumerate(english(260))],
        ),
        _headed(
            "recurring heading in plain type",
            some,
            heading=plain_heading,
            footer=centred("str(n)"),
            new_page=False,
        ),
        _headed("letters", letters, heading=plain_heading, footer=centred('"Page " + str(n)')),
        _headed(
            "questions with a number each",
            questions,
            heading=plain_heading,
            footer=centred('"- " + str(n) + " -"'),
        ),
        Layout(
            "poem with numbered lines",
            page((60, 70, 90, 70), footer=centred("str(n)"))
            + "#set par(justify: false)\n#set par.line(numbering: n => if calc.rem(n, 5) == 0 "
            "[#n], number-margin: right, number-clearance: 20pt)\n"
            + "".join(f"#{string(line)} \\\n" for line in poem),
            tuple(poem),
            margin=(60, 70, 90, 70),
        ),
        plain(
            "português",
            texts=[PORTUGUESE] * 14,
            footer=centred("[Página #n de #total]"),
            setting='#set text(lang: "pt", hyphenate: true)\n',
        ),
        plain(
            "italiano",
            texts=[ITALIAN] * 14,
            footer=centred("[Pagina #n di #total]"),
            setting='#set text(lang: "it", hyphenate: true)\n',
        ),
    ]


def layouts() -> list[Layout]:
    return [
        *manuscripts(),
        *books(),
        *footers(),
        *chinese_and_japanese(),
        *columns(),
        *short(),
        *recurring(),
        *lists_and_tables(),
        *numbered_lines(),
        *notes(),
        *hyphenated(),
    ]
