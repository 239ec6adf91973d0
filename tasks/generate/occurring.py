"""Which entries of a glossary occur in a text.

Owns what counts as an occurrence: whole words in alphabets, with an ending or without; not what is
a part of a longer entry, since that has a rendering of its own, nor of an address or of code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from tasks.generate.protected import without_protected
from tasks.records import Term

_LETTER = "[A-Za-zÀ-ɏͰ-ӿ]"
_ENDING = 2  # letters: lathe, lathes; Maschine, Maschinen; of names one
_LEAST_WORD = 4  # shorter ones are not inflected: AI is not in aim


def occurring(terms: Sequence[Term], text: str) -> tuple[Term, ...]:
    """Return the entries that a text holds, in their order."""
    plain = without_protected(text)
    folded = plain.casefold()
    near = [(term, n) for n, term in enumerate(terms) if term.source.casefold() in folded]
    found = set()
    for term, n in sorted(near, key=lambda each: -len(each[0].source)):
        plain, times = _pattern(term.source, term.exact).subn("\0", plain)
        if times:
            found.add(n)
    return tuple(terms[n] for n in sorted(found))


@lru_cache(maxsize=10_000)
def _pattern(source: str, exact: bool) -> re.Pattern[str]:
    before = f"(?<!{_LETTER})" if re.match(_LETTER, source) else ""
    after = ""
    if re.search(f"{_LETTER}$", source):
        most = 1 if exact else _ENDING
        endings = f"{_LETTER}{{0,{most}}}" if len(source) >= _LEAST_WORD else ""
        after = f"{endings}(?!{_LETTER})"
    return re.compile(before + re.escape(source) + after, 0 if exact else re.IGNORECASE)
