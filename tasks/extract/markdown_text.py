"""Markdown to blocks, by way of HTML: one reader knows what is shown.

Knows CommonMark with tables, strikethrough, footnotes and front matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

from tasks.extract.html_text import NOT_SHOWN, blocks_of
from tasks.extract.pieces import Parsed
from tasks.extract.unpaged import to_parsed

# YAML between lines of dashes, or TOML between lines of plusses: keys, and what belongs to them.
_FRONT_MATTER = re.compile(
    r"""\A(?P<mark>---|\+\+\+)[ \t]*\n(?!\s*\n)
    (?P<matter>(?:(?!(?P=mark))
        (?:["']?[\w.-]+["']?[ \t]*[:=].*|[ \t]+\S.*|[-\[\]{}#].*|[ \t]*)\n)*?)
    (?:(?P=mark)|\.\.\.)[ \t]*(?:\n|\Z)""",
    re.VERBOSE,
)
_TITLE = re.compile(r"""^title\s*[:=]\s*(?:"(.*)"|'(.*)'|(.*?))\s*(?:\s#.*)?$""", re.MULTILINE)
_TAG = re.compile(r"<([a-z][\w-]*)", re.IGNORECASE)
_MAX_NESTING = 100  # what lies deeper is left out by the library


def parse_markdown(text: str) -> Parsed:
    """Read a Markdown document. Its front matter is no text, but may give the title."""
    renderer = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING})
    renderer.enable(["table", "strikethrough"]).use(footnote_plugin)
    renderer.add_render_rule("footnote_anchor", _nothing)  # an arrow back
    for rule in ("html_inline", "html_block"):
        renderer.add_render_rule(rule, _tags)
    text = re.sub(r"\r\n?", "\n", text.removeprefix("\ufeff"))
    matter = _FRONT_MATTER.match(text)
    title = _TITLE.search(matter["matter"]) if matter else None
    found = next((part for part in title.groups() if part), "") if title else ""
    return to_parsed(blocks_of(renderer.render(text[matter.end() if matter else 0 :])), found)


def _tags(_: object, tokens: Sequence[Token], position: int, *__: object) -> str:
    """Show a tag that would hide all that follows: prose about HTML has it without its end."""
    html = tokens[position].content

    def shown(tag: re.Match[str]) -> str:
        name = tag[1].lower()
        ended = f"</{name}" in html[tag.end() :].lower()
        return f"&lt;{tag[1]}" if name in NOT_SHOWN and not ended else tag[0]

    return _TAG.sub(shown, html)


def _nothing(*_: object) -> str:
    return ""
