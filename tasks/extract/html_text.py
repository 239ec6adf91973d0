"""HTML to blocks: what a reader of the page sees, in order, each word once.

Owns which elements are blocks, which are not shown, and how tables, lists, ruby and line breaks
become text. The tree is Lexbor's, as browsers build it; the walk goes as deep as the tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from types import MappingProxyType

from selectolax.lexbor import LexborHTMLParser, LexborNode

from tasks.extract.characters import clean, is_cjk
from tasks.extract.pieces import Parsed, is_title
from tasks.extract.unpaged import Block, Role, to_parsed

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCK_TAGS = """address article aside blockquote body caption center dd details dialog dir div dl
    dt fieldset figcaption figure footer form frameset header hgroup hr html legend li main menu ol
    optgroup option p search section summary table tbody td tfoot th thead tr ul"""
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_NOT_SHOWN_TAGS = """head title script style template noscript noframes noembed nav datalist select
    iframe object video audio canvas annotation annotation-xml rp"""
NOT_SHOWN = frozenset(_NOT_SHOWN_TAGS.split())
_SVG_NOT_SHOWN = frozenset(("title", "desc", "metadata", "defs"))
_HIDING = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))", re.I)
_PRE = frozenset(("pre", "listing", "xmp", "plaintext"))
_APART = frozenset(("img", "input", "button", "textarea"))  # never part of a word
_NOT_IN_A_ROW = frozenset(("table", "ul", "ol", "dl", "blockquote", "hr", *_PRE, *_HEADINGS))
_ROW_NODES, _ROW_CHARS = 400, 1000  # more is a page that was laid out by a table
_CELL = " | "
_SPACE = re.compile(r"[ \t\n\f\r]+")
_TERMINAL = tuple(".!?:;…。！？：；”\"'」』）)")
_RAISED = str.maketrans("0123456789+-−()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾")
_LOWERED = str.maketrans("0123456789+-−()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₍₎")
_IS_XHTML = re.compile(r"\s*<\?xml|<html[^>]{0,300}www\.w3\.org/1999/xhtml", re.I)
_VOID_TAGS = "area base br col embed hr img input link meta param source track wbr"
_VOID = frozenset(_VOID_TAGS.split())
_SELF_CLOSING = re.compile(
    r"""<([a-z][\w:-]*+)((?:\s++[^\s"'<>/=]++(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'))?+)*+)\s*+/>""", re.I
)
_OWN_ENTITIES = re.compile(r"(<!DOCTYPE\s[^\[>]{0,300})\[[^\]]*\]\s*>", re.I)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)


def parse_html(text: str) -> Parsed:
    """Read a page."""
    page = LexborHTMLParser(_as_html(text))
    blocks = list(read_blocks(page))
    root = page.root
    language = (root.attributes.get("lang") or "") if root is not None else ""
    return to_parsed(blocks, _title(page, blocks), language)


def blocks_of(text: str, named: Mapping[str, Block] = MappingProxyType({})) -> list[Block]:
    """Return the blocks of a page or of a part of one.

    Args:
        named: blocks that stand before the element with this id, though the page has them not.
    """
    return list(read_blocks(LexborHTMLParser(_as_html(text)), named))


def read_blocks(
    page: LexborHTMLParser, named: Mapping[str, Block] = MappingProxyType({})
) -> Iterator[Block]:
    return _Reader(named).read(page.root) if page.root is not None else iter(())


def _as_html(text: str) -> str:
    """Write XHTML so that a reader of HTML takes it as it was meant: `<title/>` is no opening."""
    text = text.replace("\x00", "\ufffd")
    if not _IS_XHTML.search(text[: 1 << 12]):
        return text
    text = _OWN_ENTITIES.sub(r"\1>", text, count=1)
    text = _CDATA.sub(lambda found: escape(found[1]), text)
    return _SELF_CLOSING.sub(_closed, text)


def _closed(found: re.Match[str]) -> str:
    name = found[1]
    return found[0] if name.lower() in _VOID else f"<{name}{found[2]}></{name}>"


def _title(page: LexborHTMLParser, blocks: list[Block]) -> str:
    """The only heading of the first level, else the page's title."""
    first = [block.text for block in blocks if block.role == "heading" and block.level == 1]
    head = page.head.css_first("title") if page.head is not None else None
    own = clean(head.text() if head is not None else "")
    if len(first) == 1 or not is_title(own):
        return clean(first[0]) if first else ""
    return own


class _Reader:
    """Walks a tree and gathers text until a block ends."""

    def __init__(self, named: Mapping[str, Block]) -> None:
        self._named = dict(named)
        self._text: list[str] = []
        self._ready: list[Block] = []
        self._row = 0  # the id of a table's, whose cells are one line
        self._readings: list[str] = []  # of the ruby that is open
        self._pre = self._ruby = 0

    def read(self, root: LexborNode) -> Iterator[Block]:
        node, top = root, root.mem_id  # `==` of nodes compares all they hold
        while True:
            child = node.child if self._enter(node) else None
            if child is not None:
                node = child
                continue
            self._leave(node)
            while node.mem_id != top and (after := node.next) is None:
                parent = node.parent
                assert parent is not None
                node = parent
                self._leave(node)
            if self._ready:
                yield from self._ready
                self._ready.clear()
            if node.mem_id == top:
                break
            assert after is not None
            node = after
        self._end()
        yield from self._ready

    @property
    def _role(self) -> Role:
        """What a block is that ends here."""
        return "lines" if self._row else "code" if self._pre else "text"

    def _enter(self, node: LexborNode) -> bool:
        """Take what stands at a node's start; return whether to go on inside."""
        if node.is_text_node:
            self._add(node.text_content or "")
            return False
        tag = node.tag or ""
        if not node.is_element_node or tag in NOT_SHOWN or _is_hidden(node, tag):
            return False
        if self._named:
            self._name(node)
        if tag == "br":
            self._text.append("\n")
        elif tag in _APART:
            self._text.append(" ")
        elif tag in ("td", "th") and self._row:
            self._text.append(_CELL if "".join(self._text).strip() else "")
        elif tag == "tr" and not self._row:
            self._end()
            self._row = node.mem_id if _is_row(node) else 0
        elif tag in _PRE:
            self._end()
            self._pre += 1
        elif tag in ("ruby", "rt", "rtc"):
            self._enter_ruby(tag)
        elif tag in _BLOCKS or tag in _HEADINGS:
            self._part()
        return True

    def _name(self, node: LexborNode) -> None:
        """Put the block before an element that only its id asks for."""
        attributes = node.attributes
        for anchor in (attributes.get("id"), attributes.get("name")):
            if anchor and (block := self._named.pop(anchor, None)):
                self._end(self._role)
                self._ready.append(block)

    def _leave(self, node: LexborNode) -> None:
        if not node.is_element_node:
            return
        tag = node.tag or ""
        if tag in NOT_SHOWN or _is_hidden(node, tag):
            return
        if self._row and node.mem_id == self._row:
            self._end("lines")
            self._row = 0
        elif tag in _HEADINGS:
            self._end("heading", _HEADINGS[tag])
        elif tag in _PRE:
            self._end(self._role)
            self._pre -= 1
        elif tag == "ruby":
            self._leave_ruby()
        elif tag in ("rt", "rtc"):
            self._ruby = 1
        elif tag in _APART:
            self._text.append(" ")
        elif tag in ("sup", "sub"):
            self._shift(_RAISED if tag == "sup" else _LOWERED)
        elif tag in _BLOCKS:
            self._part()

    def _add(self, text: str) -> None:
        if self._ruby > 1:
            self._readings.append(text)
        else:
            self._text.append(text if self._pre else _SPACE.sub(" ", text))

    def _part(self) -> None:
        """A block begins or ends; within a row that is a space and no more."""
        if not self._row:
            self._end(self._role)
        else:
            self._text.append(" ")

    def _shift(self, table: dict[int, int]) -> None:
        """Keep 10⁶ from becoming 106, where the last text is a raised or lowered number."""
        last = self._text[-1].strip() if self._text else ""
        if last and len(last) <= 8 and all(ord(c) in table for c in last):
            self._text[-1] = self._text[-1].translate(table)

    def _enter_ruby(self, tag: str) -> None:
        self._ruby = 1 if tag == "ruby" else 2

    def _leave_ruby(self) -> None:
        reading = _SPACE.sub("", "".join(self._readings))
        self._readings.clear()
        self._ruby = 0
        if reading:
            self._text.append(f"({reading})")

    def _end(self, role: Role = "text", level: int = 0) -> None:
        """Make blocks of the text so far."""
        text = "".join(self._text)
        self._text.clear()
        if not text.strip():
            return
        if role == "text":
            self._ready += map(Block, _paragraphs(text))
        else:
            text = _SPACE.sub(" ", text).strip(" |") if self._row else text
            self._ready.append(Block(text, role, level))


def _is_hidden(node: LexborNode, tag: str) -> bool:
    attributes = node.attributes
    if tag in _SVG_NOT_SHOWN or (tag == "dialog" and "open" not in attributes):
        return True
    return "hidden" in attributes or bool(_HIDING.search(attributes.get("style") or ""))


def _is_row(row: LexborNode) -> bool:
    """Say whether a table's row is one line of data: two cells or more, and nothing large."""
    chars = cells = 0
    for nodes, node in enumerate(row.traverse(include_text=True)):
        tag = node.tag or ""
        cells += tag in ("td", "th")
        chars += len(node.text_content or "") if node.is_text_node else 0
        if tag in _NOT_IN_A_ROW or nodes > _ROW_NODES or chars > _ROW_CHARS:
            return False
    return cells > 1


def _paragraphs(text: str) -> Iterator[str]:
    """Part a block at its line breaks, where they part paragraphs and not just lines."""
    paragraph = ""
    for line in text.split("\n"):
        shown = clean(line)
        indented = line[:1] in ("\u3000", "\xa0")
        if paragraph and (not shown or indented or paragraph.endswith(_TERMINAL)):
            yield paragraph
            paragraph = ""
        glued = paragraph and shown and is_cjk(paragraph[-1]) and is_cjk(shown[0])
        paragraph += shown if glued or not paragraph else f" {shown}"
    yield paragraph
