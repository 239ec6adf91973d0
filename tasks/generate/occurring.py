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
_ENDING = 2  # letters: lathe, lathes; Maschine, Maschinen
_LEAST_WORD = 4  # shorter ones are not inflected: AI is not in aim


def occurring(terms: Sequence[Term], text: str) -> tuple[Term, ...]:
    """Return the entries that a text holds, in their order."""
    folded = without_protected(text).casefold()
    near = [(term.source.casefold(), position) for position, term in enumerate(terms)]
    near = [(source, position) for source, position in near if source in folded]
    found = set()
    for source, position in sorted(near, key=lambda each: -len(each[0])):
        pattern = _pattern(source)
        if pattern.search(folded):
            found.add(position)
            folded = pattern.sub("\0", folded)
    return tuple(terms[position] for position in sorted(found))


@lru_cache(maxsize=10_000)
def _pattern(source: str) -> re.Pattern[str]:
    before = f"(?<!{_LETTER})" if re.match(_LETTER, source) else ""
    after = ""
    if re.search(f"{_LETTER}$", source):
        endings = f"{_LETTER}{{0,{_ENDING}}}" if len(source) >= _LEAST_WORD else ""
        after = f"{endings}(?!{_LETTER})"
    return re.compile(before + re.escape(source) + after)
