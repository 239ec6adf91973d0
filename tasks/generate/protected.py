"""What a translation takes over as it stands: addresses, code, formulas, placeholders, citations.

Owns the telling of such pieces within a sentence, and of sentences that are nothing else. Pure
functions of text; knows nothing of languages or requests.
"""

from __future__ import annotations

import re
from collections import Counter

_WIDE = "\u3000-\u9fff\uac00-\ud7af\uff00-\uffef"  # an address ends where Chinese begins
_NO_URL = rf"\s<>()\"'“”‘’«»‹›،؛{_WIDE}"
_URL = rf"(?:https?|ftp)://[^{_NO_URL}]*[^{_NO_URL}.,;:!?]"
_EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
_PLACEHOLDER = r"\{\{\s*\w+\s*\}\}|\{\w+\}|\$\{\w+\}|%\(\w+\)[sd]|%\d*\$?[sd]\b"
_CODE = r"`[^`]+`"
_NO_TEX = rf"$“”{_WIDE}"
_TEX = rf"(?<![A-Za-z])\$(?=[^$]*[\\^_={{])[^\s{_NO_TEX}](?:[^{_NO_TEX}]*[^\s{_NO_TEX}])?\$"
_CITATION = r"[\[［【]\s*\d{1,3}(?:\s*[,，;–-]\s*\d{1,3})*\s*[\]］】]"
_PIECE = re.compile("|".join((_URL, _EMAIL, _PLACEHOLDER, _CODE, _TEX, _CITATION)))
_IS_CITATION = re.compile(_CITATION)
_PLAIN_MARKS = str.maketrans("［］【】，；–", "[][],;-", " \u00a0\u3000")

_PROGRAM = (
    r"(?:apt|apt-get|cat|cd|chmod|chown|cp|curl|dd|dpkg|echo|export|find|git|grep|kill|ls"
    r"|make|mkdir|mount|mv|pip|python3?|rm|sed|ssh|su|sudo|systemctl|tar|touch|wget)\b"
)
_SHELL = re.compile(
    rf"^\s*(?:\$\s+(?:{_PROGRAM}|[a-z]*[./~]\S|[a-z][\w.-]*(?:$|\s+-))|#\s+{_PROGRAM}|>>>\s"
    r"|\w+@\w+:[~/]\S*[$#])"
)
_RETURNED = r"true|false|null|None|this|result|\S*[\d_()\[\].]\S*|\S+(?: [-+*/%&|<>=!]+ \S+)+"
_STATEMENT = re.compile(
    r"^\s*(?:#include\b|import \w+(?:\.\w+)+;?$|from \w*[._][\w.]+ import\b|from \w+ import [A-Z*(]"
    rf"|def \w+\(|return(?: (?:{_RETURNED}))?;$|class [A-Z]\w*(?:\([^()]*\))?:$"
    r"|(?:public|private|static|void|int|char|const|var|let) (?:[\w<>\[\]*&]+ )*"
    r"(?:[\w*&]+\(|[\w\[\]]+ ?=|\{).*[;{(]$|</?\w+[^<>]*>$|[{}();]+$)"
)
_RULES = " *-=#_~"  # drawn around headings
_OPERATORS = frozenset("{}()[]<>=;|&\\_$#*/+-~^%@:")
_MATHS = re.compile(r"[=≈≤≥<>±∑∏∫√∂∞∈∉⊂∪∩→⇒↦∀∃×÷^_{}\\|]")
# Letters of scripts in which neither formulas nor units are written.
_PROSE = re.compile(
    r"[^\W\d_A-Za-z\u00aa-\u024f\u0370-\u03ff\u2070-\u209f\u2100-\u214f\U0001d400-\U0001d7ff]"
)
_WORD = re.compile(r"(?<![^\W\d_])[A-Za-z\u00c0-\u024f]{2,}(?![\w^(\\])")
_FUNCTIONS = """
ln lg log exp sin cos tan cot sinh cosh tanh arcsin arccos arctan lim max min sup inf arg det dim
ker mod gcd rank tr dx dy dz dt dr ds du dv dw
mm cm dm km nm mg kg ml mol ms min Hz kHz MHz GHz kB MB GB TB kW MW kPa
"""
_IN_FORMULAS = frozenset(_FUNCTIONS.split())
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
    return not _PROSE.search(left) and sum(c.isalpha() for c in left) < 2


def is_code(text: str) -> bool:
    """Tell whether a text is a line of a program or a shell; where it may be prose, rather not."""
    if _SHELL.match(text) or _STATEMENT.match(text):
        return True
    text = text.strip(_RULES)
    letters = sum(c.isalpha() for c in text)
    operators = sum(c in _OPERATORS for c in text)
    return letters + operators >= 8 and operators > 0.35 * (letters + operators)


def is_formula(text: str) -> bool:
    """Tell whether a text is a formula: signs of mathematics, and no words but functions' names."""
    words = {word for word in _WORD.findall(text) if word not in _IN_FORMULAS}
    return bool(_MATHS.search(text)) and not words and not _PROSE.search(text)


def is_row_of_figures(text: str) -> bool:
    """Tell whether a text is a row of a table of figures, at most with their units."""
    dense = len(_FIGURE_TABLE.findall(text))
    words = re.findall(r"[^\W\d_]{3,}", text)
    figures = re.findall(r"\d+", text)
    is_prose = words or _PROSE.search(text)
    return not is_prose and len(figures) >= 3 and dense > 0.7 * len(text)
