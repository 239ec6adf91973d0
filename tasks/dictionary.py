"""Whether a word is one of a language's, by pyspellchecker's word lists.

The lists are read without the library's own classes, which take half a second to load one:
a third of a book's time. A list is JSON with a word a line, sorted.
"""

from __future__ import annotations

import functools
import gzip
import re
from importlib import resources

_COUNT = re.compile(rb'"((?:[^"\\]|\\.)*)": (\d+)')


@functools.cache
def _listed(language: str) -> bytes:
    path = resources.files("spellchecker") / "resources" / f"{language}.json.gz"
    return gzip.decompress(path.read_bytes()) if path.is_file() else b""


def has_words(language: str) -> bool:
    """Tell whether there is a list of a language's words."""
    return bool(_listed(language))


@functools.cache
def count(word: str, language: str) -> int:
    """Return how often a word (lower case) was met in a language's texts; 0 if it is none."""
    words, wanted = _listed(language), word.encode()
    low, high = 0, len(words)
    while low < high:
        start = words.rfind(b"\n", low, (low + high) // 2) + 1 or low
        found = _COUNT.search(words, start, high)
        if found is None:
            high = start
        elif found[1] == wanted:
            return int(found[2])
        elif found[1] < wanted:
            low = found.end()
        else:
            high = found.start()
    return 0
