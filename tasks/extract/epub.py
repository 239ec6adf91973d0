"""EPUB books to blocks: the chapters in the order in which the book lists them.

Owns the way from the container to the package to its spine, and which chapters get the headings
that only the table of contents has. What a chapter shows is HTML's business.
"""

from __future__ import annotations

import codecs
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, pairwise
from urllib.parse import unquote, urldefrag
from xml.etree import ElementTree

from tasks.errors import SourceError
from tasks.extract.archive import Archive, open_archive
from tasks.extract.characters import clean
from tasks.extract.decoding import declared_by_html, decode
from tasks.extract.epub_contents import Names, read_names
from tasks.extract.html_text import blocks_of
from tasks.extract.pieces import Parsed, is_title
from tasks.extract.unpaged import Block, to_parsed

_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")  # no DRM
_NO_PAGES = ("image/", "audio/", "video/", "font/", "text/css", "application/x-dtbncx")
_ANY = "{*}"  # of whatever namespace: old books have others, or none


@dataclass(frozen=True)
class _Package:
    """What a book says of itself.

    Attributes:
        spine: the files of its chapters, in reading order; lost: those that it does not hold.
        names: of chapters and their parts, as the table of contents has them.
    """

    title: str
    language: str
    spine: tuple[str, ...]
    lost: tuple[str, ...]
    names: Names


def parse_epub(data: bytes) -> Parsed:
    """Read a book.

    Raises:
        SourceError: it is damaged, protected by DRM or unpacks to too much.
    """
    with open_archive(data) as archive:
        try:
            package = _package(archive)
        except (KeyError, ElementTree.ParseError, AttributeError) as error:
            problem = "is damaged: its list of chapters can't be read"
            raise SourceError(
                "", problem, "Try `ebook-convert FILE book.epub` of calibre"
            ) from error
        _refuse_encrypted(archive, package.spine)
        blocks = list(chain.from_iterable(_chapters(archive, package)))
    title = package.title if is_title(package.title) else ""
    return replace(to_parsed(blocks, title, package.language), lost_parts=package.lost)


def _package(archive: Archive) -> _Package:
    container = _tree(archive, _CONTAINER)
    path = container.find(f".//{_ANY}rootfile").attrib["full-path"]  # type: ignore[union-attr]
    root = _tree(archive, path)
    items = {item.get("id", ""): item for item in root.iterfind(f".//{_ANY}item")}
    navigation = [i for i in items.values() if "nav" in (i.get("properties") or "").split()]
    contents = root.find(f"{_ANY}spine").get("toc", "")  # type: ignore[union-attr]
    navigation += [items[contents]] if contents in items else []
    listed = [each.get("idref", "") for each in root.iterfind(f".//{_ANY}itemref")]
    spine = dict.fromkeys(
        _resolve(archive, path, items[each].get("href", "")) if each in items else each
        for each in listed
        if each not in items or (items[each] not in navigation and _is_page(items[each]))
    )
    return _Package(
        clean(root.findtext(f".//{_ANY}title") or ""),
        clean(root.findtext(f".//{_ANY}language") or ""),
        tuple(name for name in spine if name in archive.names),
        tuple(name for name in spine if name not in archive.names),
        _names(archive, [_resolve(archive, path, item.get("href", "")) for item in navigation]),
    )


def _tree(archive: Archive, path: str) -> ElementTree.Element:
    """Return the tree of an XML file, which may begin with blank lines that XML forbids."""
    return ElementTree.fromstring(archive.read(path).removeprefix(codecs.BOM_UTF8).lstrip())


def _is_page(item: ElementTree.Element) -> bool:
    return not item.get("media-type", "").startswith(_NO_PAGES)


def _resolve(archive: Archive, base: str, href: str) -> str:
    """Return the name of the file that a reference means, as the archive spells it, if it does."""
    target = urldefrag(href).url.replace("\\", "/")
    if not target:
        return base
    for spelling in (unquote(target), target):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(base), spelling))
        if name := archive.spelled(path.lstrip("/")):
            return name
    return unquote(target)


def _names(archive: Archive, navigation: list[str]) -> Names:
    names: dict[str, dict[str, Block]] = {}
    for path in navigation:
        with suppress(KeyError, ElementTree.ParseError):
            read_names(_tree(archive, path), partial(_resolve, archive, path), names)
    return names


def _chapters(archive: Archive, package: _Package) -> Iterator[list[Block]]:
    for path in package.spine:
        data = archive.read(path)
        text = decode(data, declared_by_html(data))
        blocks = blocks_of(text)
        names = package.names.get(path)
        if names and not any(block.role == "heading" for block in blocks):
            blocks = _named(blocks_of(text, names), names)
        yield blocks


def _named(blocks: list[Block], names: Mapping[str, Block]) -> list[Block]:
    """Give a chapter without headings those of the table of contents, each once.

    An only one is the chapter's, wherever in it the reference points.
    """
    first = names.get("") or (next(iter(names.values())) if len(names) == 1 else None)
    if first and blocks:
        blocks = [first, *(block for block in blocks if block is not first)]
    return blocks[:1] + [
        block
        for before, block in pairwise(blocks)
        if not (before.role == "heading" and _same(before, block))
    ]


def _same(one: Block, other: Block) -> bool:
    return clean(one.text).casefold() == clean(other.text).casefold()


def _refuse_encrypted(archive: Archive, spine: tuple[str, ...]) -> None:
    if _ENCRYPTION not in archive.names:
        return
    try:
        root = ElementTree.fromstring(archive.read(_ENCRYPTION))
    except ElementTree.ParseError:
        return
    for data in root.iterfind(f".//{_ANY}EncryptedData"):
        method, target = (
            data.find(f"{_ANY}EncryptionMethod"),
            data.find(f".//{_ANY}CipherReference"),
        )
        algorithm = method.get("Algorithm", "") if method is not None else ""
        uri = unquote(target.get("URI", "")) if target is not None else ""
        if algorithm not in _FONTS and (not uri or uri in spine):
            problem = "is protected by DRM: its chapters are encrypted"
            raise SourceError("", problem, "Get the book without DRM; Lectern can't open it")
