"""What a translation takes over as it stands: addresses, code, formulas, placeholders, citations.

Owns the telling of such pieces within a sentence, and of sentences that are nothing else. Pure
functions of text; knows nothing of languages or requests.
"""

from __future__ import annotations

import re
from collections import Counter

_URL = r"(?:https?|ftp)://[^\s<>()\"'，。；、）】」》]*[^\s<>()\"'，。；、）】」》.,;:!?]"
_EMAIL = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
_PLACEHOLDER = r"\{\{\s*\w+\s*\}\}|\{\w+\}|\$\{\w+\}|%\(\w+\)[sd]|%\d*\$?[sd]\b"
_CODE = r"`[^`]+`"
_TEX = r"\$(?=[^$]*[\\^_={])[^$\s](?:[^$]*[^$\s])?\$"
_CITATION = r"[\[［【]\s*\d{1,3}(?:\s*[,，;–-]\s*\d{1,3})*\s*[\]］】]"
_PIECE = re.compile("|".join((_URL, _EMAIL, _PLACEHOLDER, _CODE, _TEX, _CITATION)))
_IS_CITATION = re.compile(_CITATION)
_PLAIN_MARKS = str.maketrans("［］【】，", "[][],", " \u00a0\u3000")

_SHELL = re.compile(r"^\s*(?:[$#%]\s+\S|>>>\s|\w+@\w+:[~/]\S*[$#])")
_STATEMENT = re.compile(
    r"^\s*(?:#include\b|import [\w.]+;?$|from [\w.]+ import\b|def \w+\(|class \w+[(:]|return\b.*;$"
    r"|(?:public|private|static|void|int|char|const|var|let) \w+.*[;{(]$|</?\w+[^<>]*>$|[{}();]+$)"
)
_OPERATORS = frozenset("{}()[]<>=;|&\\_$#*/+-~^%@:")
_MATHS = re.compile(r"[=≈≤≥<>±∑∏∫√∂∞∈∉⊂∪∩→⇒↦∀∃·×÷^_{}\\|]")
_FIGURE_TABLE = re.compile(r"[\d.,:;%€$£¥()/+\-–—|\s]")


def protected(text: str) -> Counter[str]:
    """Return the pieces of a text that are to come back as they are, with how often."""
    return Counter(_plain(match.group()) for match in _PIECE.finditer(text))


def _plain(piece: str) -> str:
    """Return a piece without what may differ: quotes of code, the form of a citation's marks."""
    return piece.translate(_PLAIN_MARKS) if _IS_CITATION.fullmatch(piece) else piece.strip("`")


def without_protected(text: str) -> str:
    """Return a text without these pieces."""
    return _PIECE.sub(" ", text)


def is_nothing_to_translate(text: str) -> bool:
    """Tell whether a text has no words besides what is taken over: figures, an address, a mark."""
    return sum(c.isalpha() for c in without_protected(text)) < 2


def is_code(text: str) -> bool:
    """Tell whether a text is a line of a program or a shell; where it may be prose, rather not."""
    if _SHELL.match(text) or _STATEMENT.match(text):
        return True
    letters = sum(c.isalpha() for c in text)
    operators = sum(c in _OPERATORS for c in text)
    return letters + operators >= 8 and operators > 0.35 * (letters + operators)


def is_formula(text: str) -> bool:
    """Tell whether a text is a formula: signs of mathematics, and no words of three letters."""
    return bool(_MATHS.search(text)) and not re.search(r"[^\W\d_]{3,}", text)


def is_row_of_figures(text: str) -> bool:
    """Tell whether a text is a row of a table of figures: mostly figures, hardly a word."""
    dense = len(_FIGURE_TABLE.findall(text))
    words = re.findall(r"[^\W\d_]{2,}", text)
    return any(c.isdigit() for c in text) and dense > 0.6 * len(text) and len(words) <= 2
