"""What a Word document holds that mammoth passes over, put in the form that it does read.

Fields and formulas become runs of text, hidden runs go, and a paragraph with the level of a
heading gets a style of that name, whoever defined its own. Pictures are left behind.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from tasks.extract.archive import Archive

HEADING = "lectern-heading-"  # the style of a heading, and its level
LEVELS = range(1, 7)

_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
_MATHS = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_OFF = ("0", "false", "off")
_OPERATORS = {"f": "/", "sSup": "^", "sSub": "_"}


def simplified(archive: Archive) -> bytes:
    """Return the document's text anew.

    Raises:
        ElementTree.ParseError: it is no XML.
    """
    levels = _levels(archive)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in sorted(archive.names):
            if not name.endswith((".xml", ".rels")):
                continue
            content = archive.read(name)
            if name.startswith("word/") and name.count("/") == 1 and b"<w:p" in content:
                root = ElementTree.fromstring(content)
                _simplify(root, levels)
                content = ElementTree.tostring(root)
            made.writestr(name, content)
    return out.getvalue()


def _levels(archive: Archive) -> dict[str, int]:
    """Return the level of each style that is a heading's, by its id."""
    if "word/styles.xml" not in archive.names:
        return {}
    styles = {}
    for style in ElementTree.fromstring(archive.read("word/styles.xml")).iterfind("{*}style"):
        styles[_value(style, "styleId")] = style
    found = {}
    for name in styles:
        seen: set[str] = set()
        base = name
        while base in styles and base not in seen:
            seen.add(base)
            level = _outline(styles[base].find("{*}pPr"))
            if level is None and (heading := _HEADING.fullmatch(_child(styles[base], "name"))):
                level = int(heading[1])
            if level is not None:
                found[name] = level
                break
            base = _child(styles[base], "basedOn")
    return found


def _simplify(root: Element, levels: Mapping[str, int]) -> None:
    for element in list(root.iter()):
        element[:] = list(_children(element))
        if _name(element) == "cr":
            element.tag = element.tag.replace("}cr", "}br")
        elif _name(element) == "p":
            _mark_heading(element, levels)


def _children(parent: Element) -> Iterator[Element]:
    """Yield what an element is to hold in the place of its children."""
    waiting = list(reversed(parent))
    while waiting:
        child = waiting.pop()
        name = _name(child)
        if name in ("fldSimple", "oMathPara"):
            waiting += reversed(child)
        elif child.tag == f"{_MATHS}oMath":
            yield _run(parent, _formula(child))
        elif not (name == "r" and _is_hidden(child)):
            yield child


def _run(parent: Element, text: str) -> Element:
    """Return a run of text in the namespace of the paragraph that gets it."""
    space = parent.tag.partition("}")[0] + "}"
    run = Element(f"{space}r")
    ElementTree.SubElement(run, f"{space}t").text = text
    return run


def _formula(node: Element) -> str:
    """Write a formula on one line."""
    name = _name(node)
    if name == "t":
        return node.text or ""
    parts = [_formula(child) for child in node if not _name(child).endswith("Pr")]
    if name in _OPERATORS:
        return _OPERATORS[name].join(f"({p})" if len(p) > 1 else p for p in parts)
    return f"√({''.join(parts)})" if name == "rad" else "".join(parts)


def _is_hidden(run: Element) -> bool:
    vanish = run.find("{*}rPr/{*}vanish")
    return vanish is not None and _value(vanish, "val") not in _OFF


def _mark_heading(paragraph: Element, levels: Mapping[str, int]) -> None:
    properties = paragraph.find("{*}pPr")
    if properties is None:
        return
    style = properties.find("{*}pStyle")
    own = _outline(properties)
    level = levels.get(_child(properties, "pStyle")) if own is None else own
    if level not in LEVELS:
        return
    space = properties.tag.partition("}")[0] + "}"
    if style is None:
        style = Element(f"{space}pStyle")
        properties.insert(0, style)
    style.set(f"{space}val", f"{HEADING}{level}")


def _outline(properties: Element | None) -> int | None:
    """Return the level of a heading, from 1; 10 is none's; None where nothing is said."""
    value = _child(properties, "outlineLvl") if properties is not None else ""
    return int(value) + 1 if value.isdecimal() else None


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _child(element: Element, name: str) -> str:
    """Return the value of a child; "" where there is none."""
    child = element.find(f"{{*}}{name}")
    return _value(child, "val") if child is not None else ""


def _value(element: Element, name: str) -> str:
    """Return an attribute, in whatever namespace."""
    return next((v for key, v in element.attrib.items() if key.rpartition("}")[2] == name), "")
