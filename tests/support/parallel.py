"""The Declaration of Human Rights in five languages, from the outside material."""

from __future__ import annotations

import re
from pathlib import Path

FILES = {"en": "eng", "zh": "cmn_hans", "de": "deu_1996", "es": "spa", "ja": "jpn"}


def articles(material: Path, language: str) -> list[list[str]]:
    """Return the paragraphs of each of the thirty articles."""
    html = (material / "parallel" / f"{FILES[language]}.html").read_text(encoding="utf-8")
    return [
        [
            re.sub(r"<[^>]+>", "", text).strip()
            for text in re.findall(r"<(?:p|li)[^>]*>(.*?)</(?:p|li)>", article, re.DOTALL)
        ]
        for article in re.findall(r"<article.*?</article>", html, re.DOTALL)
    ]
