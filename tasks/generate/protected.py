"""What a translation takes over as it stands: addresses, code, formulas, placeholders, citations.

Owns the telling of such pieces within a sentence, and of sentences that are nothing else. Pure
functions of text; knows nothing of languages or requests.
"""

from __future__ import annotations

import re
from collections import Counter

_WIDE = "\u3000-\u9fff\uac00-\ud7af\uff00-\uffef"  # an address ends where Chinese begins
_URL = rf"(?:https?|ftp)://[^\s<>()\"'{_WIDE}]*[^\s<>()\"'{_WIDE}.,;:!?]"
_EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
_PLACEHOLDER = r"\{\{\s*\w+\s*\}\}|\{\w+\}|\$\{\w+\}|%\(\w+\)[sd]|%\d*\$?[sd]\b"
_CODE = r"`[^`]+`"
_TEX = r"\$(?=[^$]*[\\^_={])[^$\s](?:[^$]*[^$\s])?\$"
_CITATION = r"[\[［【]\s*\d{1,3}(?:\s*[,，;–-]\s*\d{1,3})*\s*[\]］】]"
_PIECE = re.compile("|".join((_URL, _EMAIL, _PLACEHOLDER, _CODE, _TEX, _CITATION)))
_IS_CITATION = re.compile(_CITATION)
_PLAIN_MARKS = str.maketrans("［］【】，；–", "[][],;-", " \u00a0\u3000")

_PROGRAM = (
    r"(?:[a-z]+[-./][\w./-]+|apt|cat|cd|chmod|chown|cp|curl|dd|dpkg|echo|export|find|git|grep|kill|ls"
    r"|make|mkdir|mount|mv|pip|python3?|rm|sed|ssh|su|sudo|systemctl|tar|touch|wget)\b"
)
_SHELL = re.compile(rf"^\s*(?:\$\s+[a-z./~]|#\s+{_PROGRAM}|>>>\s|\w+@\w+:[~/]\S*[$#])")
_STATEMENT = re.compile(
    r"^\s*(?:#include\b|import \w+(?:\.\w+)+;?$|from [\w.]+ import\b|def \w+\(|return\b.*;$"
    r"|class \w+(?:\([^()]*\))?:$|(?:public|private|static|void|int|char|const|var|let) \w+.*[={(<]"
    r".*[;{(]$|</?\w+[^<>]*>$|[{}();]+$)"
)
_OPERATORS = frozenset("{}()[]<>=;|&\\_$#*/+-~^%@:")
_MATHS = re.compile(r"[=≈≤≥<>±∑∏∫√∂∞∈∉⊂∪∩→⇒↦∀∃×÷^_{}\\|]")
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
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
    left = without_protected(text)
    return not _IDEOGRAPH.search(left) and sum(c.isalpha() for c in left) < 2


def is_code(text: str) -> bool:
    """Tell whether a text is a line of a program or a shell; where it may be prose, rather not."""
    if _SHELL.match(text) or _STATEMENT.match(text):
        return True
    letters = sum(c.isalpha() for c in text)
    operators = sum(c in _OPERATORS for c in text)
    return letters + operators >= 8 and operators > 0.35 * (letters + operators)


def is_formula(text: str) -> bool:
    """Tell whether a text is a formula: signs of mathematics, and no words of three letters."""
    words = _IDEOGRAPH.search(text) or re.search(r"[^\W\d_]{3,}", text)
    return bool(_MATHS.search(text)) and not words


def is_row_of_figures(text: str) -> bool:
    """Tell whether a text is a row of a table of figures, at most with their units."""
    dense = len(_FIGURE_TABLE.findall(text))
    words = re.findall(r"[^\W\d_]{3,}", text)
    figures = re.findall(r"\d+", text)
    is_prose = words or _IDEOGRAPH.search(text)
    return not is_prose and len(figures) >= 3 and dense > 0.7 * len(text)
