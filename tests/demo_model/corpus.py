"""Make the training text: documentation packages turned into documents of paragraphs of lines.

Owns where the text comes from (packages fetched by apt), how HTML becomes paragraphs, and how a
paragraph becomes lines of one sentence each. It knows nothing of tokens, prompts or the model.

    python corpus.py SCRATCH
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path

MAX_LINE_CHARS = 300
SEED = 0


@dataclass(frozen=True)
class Source:
    """HTML pages of one package in one language; `share` caps the characters taken."""

    language: str
    package: str
    pattern: str
    share: int = 1_500_000


SOURCES = (
    Source("en", "debian-handbook", "usr/share/doc/debian-handbook/html/en-US/*.html"),
    Source("en", "developers-reference", "usr/share/developers-reference/*.html"),
    Source("en", "debian-faq", "usr/share/doc/debian/FAQ/*.html"),
    Source("en", "installation-guide-amd64", "usr/share/doc/installation-guide-amd64/en/*.html"),
    Source("en", "debmake-doc", "usr/share/doc/debmake-doc/html/*.en.html"),
    Source("en", "maint-guide", "usr/share/doc/maint-guide/html/*.en.html"),
    Source("en", "aptitude-doc-en", "usr/share/doc/aptitude/html/en/*.html"),
    Source("en", "python3.11-doc", "usr/share/doc/python3.11/html/library/*.html"),
    Source("en", "postgresql-doc-15", "usr/share/doc/postgresql-doc-15/html/*.html"),
    Source("en", "gimp-help-en", "usr/share/gimp/2.0/help/en/*.html"),
    Source("zh", "debian-handbook", "usr/share/doc/debian-handbook/html/zh-CN/*.html"),
    Source("zh", "debian-faq-zh-cn", "usr/share/doc/debian/FAQ/zh-cn/*.html"),
    Source("zh", "installation-guide-amd64", "usr/share/doc/installation-guide-amd64/zh_CN/*.html"),
    Source("zh", "debmake-doc", "usr/share/doc/debmake-doc/html/*.zh-cn.html"),
    Source("zh", "maint-guide-zh-cn", "usr/share/doc/maint-guide-zh-cn/html/*.html"),
    Source("zh", "gimp-help-zh-cn", "usr/share/gimp/2.0/help/zh_CN/*.html"),
    Source("zh", "kicad-doc-zh", "usr/share/doc/kicad/help/zh/*.html"),
    Source("other", "debian-handbook", "usr/share/doc/debian-handbook/html/ja-JP/*.html", 300_000),
    Source("other", "debian-handbook", "usr/share/doc/debian-handbook/html/de-DE/*.html", 300_000),
    Source("other", "debian-handbook", "usr/share/doc/debian-handbook/html/es-ES/*.html", 300_000),
    Source("other", "debian-handbook", "usr/share/doc/debian-handbook/html/fr-FR/*.html", 300_000),
    Source("other", "debian-handbook", "usr/share/doc/debian-handbook/html/ru-RU/*.html", 300_000),
    Source("other", "debian-handbook", "usr/share/doc/debian-handbook/html/zh-TW/*.html", 300_000),
)

BLOCKS = {"p", "li", "dd", "dt", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "div"}
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
SILENT = {"script", "style", "head", "nav"}
SENTENCE_END = re.compile(r"(?<=[^\d][.!?])[\"'”’)]*\s+(?=[^\sa-z])|(?<=[。！？；])(?![”’」』）])")


@dataclass(frozen=True)
class Document:
    """One page: its title and its paragraphs, each a list of lines."""

    language: str
    title: str
    headings: list[str]
    paragraphs: list[list[str]]


class PageParser(HTMLParser):
    """Collect the text of block elements; a line of `<pre>` stays a line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[tuple[str, str]] = []
        self._open: list[tuple[str, list[str]]] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in SILENT:
            self._silent += 1
        elif tag in BLOCKS:
            self._flush()
            self._open.append((tag, []))

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in BLOCKS and self._open:
            self._flush()
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and not self._silent:
            self._open[-1][1].append(data)

    def _flush(self) -> None:
        """Keep the text gathered so far for the innermost open block."""
        if self._open and self._open[-1][1]:
            tag, parts = self._open[-1]
            self.blocks.append((tag, "".join(parts)))
            parts.clear()


def split_sentences(text: str) -> list[str]:
    """Split running text into sentences, and those at spaces or commas where they are too long."""
    lines: list[str] = []
    for sentence in SENTENCE_END.split(text):
        lines.extend(split_long(sentence.strip()))
    return [line for line in lines if line]


def split_long(text: str) -> list[str]:
    """Cut text longer than a line may be at the last space or comma before the limit."""
    pieces: list[str] = []
    while len(text) > MAX_LINE_CHARS:
        window = text[:MAX_LINE_CHARS]
        cut = max(window.rfind(mark) for mark in " ，、；,") + 1
        cut = cut if cut > MAX_LINE_CHARS // 3 else MAX_LINE_CHARS
        pieces.append(text[:cut].strip())
        text = text[cut:].strip()
    return [*pieces, text] if text else pieces


def lines_of(tag: str, text: str) -> list[str]:
    """Turn one block's text into lines."""
    if tag == "pre":
        raw = (" ".join(line.split()) for line in text.splitlines())
        return [piece for line in raw if line for piece in split_long(line)][:12]
    return split_sentences(" ".join(text.split()))


def read_page(path: Path, language: str) -> Document:
    """Read one HTML page."""
    parser = PageParser()
    parser.feed(path.read_text(encoding="utf-8", errors="replace"))
    headings: list[str] = []
    paragraphs: list[list[str]] = []
    for tag, text in parser.blocks:
        lines = lines_of(tag, text)
        if lines and tag in HEADINGS:
            headings.append(lines[0])
        if lines:
            paragraphs.append(lines)
    title = headings[0] if headings else path.stem
    return Document(language, title, headings, paragraphs)


def in_chinese(document: Document) -> bool:
    """Tell whether a page is mostly Chinese: some translations are largely untranslated."""
    text = "".join(line for lines in document.paragraphs for line in lines)
    return sum("\u4e00" <= char <= "\u9fff" for char in text) > 0.2 * max(1, len(text))


def fetch(packages: list[str], scratch: Path) -> None:
    """Download and unpack packages into `scratch` with apt and dpkg."""
    for package in packages:
        target = scratch / "unpacked" / package
        if target.exists():
            continue
        if not list(scratch.glob(f"{package}_*.deb")):
            subprocess.run(["apt-get", "download", package], cwd=scratch, check=True)
        target.mkdir(parents=True)
        archive = next(scratch.glob(f"{package}_*.deb"))
        subprocess.run(["dpkg", "-x", str(archive), str(target)], check=True)


def read_source(source: Source, scratch: Path) -> Iterator[Document]:
    """Yield a source's pages, shuffled, until its share of characters is used up."""
    paths = sorted((scratch / "unpacked" / source.package).glob(source.pattern))
    random.Random(SEED).shuffle(paths)
    left = source.share
    for path in paths:
        document = read_page(path, source.language)
        if len(document.paragraphs) < 3 or (source.language == "zh" and not in_chinese(document)):
            continue
        yield document
        left -= sum(len(line) for lines in document.paragraphs for line in lines)
        if left < 0:
            return


def load(path: Path) -> list[Document]:
    """Read the documents that `main` wrote."""
    with path.open(encoding="utf-8") as file:
        return [Document(**json.loads(line)) for line in file]


def main() -> None:
    """Write SCRATCH/corpus.jsonl."""
    scratch = Path(sys.argv[1])
    scratch.mkdir(parents=True, exist_ok=True)
    fetch(sorted({source.package for source in SOURCES}), scratch)
    with (scratch / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for source in SOURCES:
            documents = list(read_source(source, scratch))
            chars = sum(len(x) for doc in documents for p in doc.paragraphs for x in p)
            print(source.language, source.package, len(documents), "pages", chars, "characters")
            for document in documents:
                file.write(json.dumps(asdict(document), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
