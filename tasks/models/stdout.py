"""A child's answers on its stdout, which no library's prints may disturb."""

from __future__ import annotations

import os
from typing import BinaryIO


def claim_stdout() -> BinaryIO:
    """Return a private handle of stdout, and send all other prints to stderr."""
    private = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return private
