"""Characters: what a line of extracted text may contain, and what scripts need.

Pure functions over strings.
"""

from __future__ import annotations

import re
import unicodedata

HYPHEN = "\u00ad"
"""Ends a line whose last word goes on in the next one."""

_BULLETS = {0xF0B7: "•", 0xF0A7: "▪", 0xF0A8: "▫", 0xF0D8: "➢", 0xF0FC: "✓", 0xF0E0: "→"}
# Forms that fonts need and readers don't: ligatures, Arabic shapes, Kangxi radicals. All else
# stays as it is, for NFKC would turn full-width Chinese punctuation into ASCII.
_SHAPES = [*range(0x2E80, 0x2FE0), *range(0xFB00, 0xFDFC), *range(0xFE70, 0xFEFD)]
_INVISIBLE = [*range(0x20), *range(0x7F, 0xA0), *range(0x200B, 0x2010), 0x2060, 0xFEFF, 0xFFFE]
# What turns the direction of text around, and letters that only a machine sees: both can make a
# reader see another text than the model is shown.
_INVISIBLE += [*range(0x202A, 0x202F), *range(0x2061, 0x206A), *range(0xE0000, 0xE0080)]
_JOINERS = (0x200C, 0x200D)  # carry meaning in Persian and Indic scripts
_TABLE: dict[int, str | None] = {
    **{c: unicodedata.normalize("NFKC", chr(c)) for c in _SHAPES},
    **dict.fromkeys((c for c in _INVISIBLE if c not in _JOINERS), None),
    **dict.fromkeys(range(0xE000, 0xF900), None),
    **_BULLETS,
    **dict.fromkeys((0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0xA0, 0x2028, 0x2029), " "),
    0xAD: None,
}
_SPACES = re.compile(r" {2,}")
_CJK = re.compile(r"[\u2e80-\u30ff\u31c0-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")


def clean(text: str) -> str:
    """Drop control characters, undo ligatures, normalise to NFC, collapse spaces."""
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFC", text.translate(_TABLE))
        # A lone surrogate can't be written to any file.
        text = text.encode("utf-8", "ignore").decode()
    return _SPACES.sub(" ", text).strip()


def is_cjk(character: str) -> bool:
    """Say whether it is written without spaces around it (Han, kana, their punctuation)."""
    return bool(_CJK.match(character))
