"""The tags that part a document's text from our instructions, in every prompt.

Owns which they are, and that no document writes one. Pure functions over strings.
"""

from __future__ import annotations

import re

FENCE = re.compile(r"</?(?:source|notes|context)>", re.IGNORECASE)


def without_fences(text: str) -> str:
    """Break each tag by a space, so that a document can't end its fence."""
    return FENCE.sub(lambda tag: f"{tag[0][0]} {tag[0][1:]}", text)
