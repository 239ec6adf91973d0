"""Markdown to blocks, by way of HTML: one reader knows what is shown.

Knows CommonMark with tables, strikethrough, footnotes and front matter.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

from tasks.extract.html_text import blocks_of
from tasks.extract.pieces import Parsed
from tasks.extract.unpaged import to_parsed

_TITLE = re.compile(r"""^title\s*:\s*(?:"(.*)"|'(.*)'|(.*?))\s*(?:\s#.*)?$""", re.MULTILINE)
_MAX_NESTING = 100  # what lies deeper is left out by the library


def parse_markdown(text: str) -> Parsed:
    """Read a Markdown document. Its front matter is no text, but may give the title."""
    renderer = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING})
    renderer.enable(["table", "strikethrough"]).use(front_matter_plugin).use(footnote_plugin)
    renderer.add_render_rule("footnote_anchor", _nothing)  # an arrow back
    text = text.removeprefix("\ufeff")
    tokens = renderer.parse(text)
    matter = next((token.content for token in tokens if token.type == "front_matter"), "")
    title = _TITLE.search(matter)
    found = next((part for part in title.groups() if part), "") if title else ""
    html = renderer.renderer.render(tokens, renderer.options, {})
    return to_parsed(blocks_of(html), found)


def _nothing(*_: object) -> str:
    return ""
