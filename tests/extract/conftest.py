"""Reading a PDF that a test has just made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.extract import Extracted, extract
from tasks.settings import Settings


@pytest.fixture
def read(tmp_path: Path, config: Settings) -> Callable[..., Extracted]:
    """Write bytes to a file and extract it."""

    def read_bytes(data: bytes, name: str = "made.pdf", password: str | None = None) -> Extracted:
        path = tmp_path / name
        path.write_bytes(data)
        return extract(str(path), config, password=password)

    return read_bytes
