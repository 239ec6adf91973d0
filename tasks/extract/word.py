"""Word documents (.docx) to blocks, by way of the HTML that mammoth makes of them.

Headings, lists, tables, footnotes, endnotes, text boxes and formulas come along; headers,
footers and comments do not.
"""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import mammoth

from tasks.errors import SourceError
from tasks.extract.archive import Archive, open_archive
from tasks.extract.characters import clean
from tasks.extract.html_text import blocks_of
from tasks.extract.pieces import Parsed, is_title
from tasks.extract.unpaged import to_parsed
from tasks.extract.word_xml import HEADING, LEVELS, simplified

# Styles that are headings without saying so, in the order of what they are.
_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name^='toc '] => nav > p:fresh
p[style-name^='TOC '] => nav > p:fresh
p[style-name='TOC Heading'] => nav > p:fresh
"""
_STYLES += "\n".join(f"p.{HEADING}{level} => h{level}:fresh" for level in LEVELS)
_STYLES += "\nbr[type='page'] => br\nbr[type='column'] => br\n"
_BACK = re.compile(r'<a href="#(?:footnote|endnote)-ref-[^"]*">↑</a>')
_TITLE = "{http://purl.org/dc/elements/1.1/}title"


def parse_docx(data: bytes) -> Parsed:
    """Read a Word document.

    Raises:
        SourceError: it is damaged, encrypted or unpacks to too much.
    """
    try:
        with open_archive(data) as archive:
            own = _own_title(archive)
            text = simplified(archive)
        made = mammoth.convert_to_html(
            io.BytesIO(text),
            style_map=_STYLES,
            convert_image=mammoth.images.img_element(lambda image: {}),
        )
    except (MemoryError, SourceError):
        raise
    except Exception as error:  # whatever mammoth stumbles over: it has no errors of its own
        problem = f"is damaged: it can't be read as a Word document ({type(error).__name__})"
        raise SourceError("", problem, "Open it in a word processor and save it anew") from error
    return to_parsed(blocks_of(_BACK.sub("", made.value)), own if is_title(own) else "")


def _own_title(archive: Archive) -> str:
    try:
        found = ElementTree.fromstring(archive.read("docProps/core.xml")).findtext(_TITLE)
    except (KeyError, ElementTree.ParseError):
        return ""
    return clean(found or "")
