"""Fixtures for all tests: the outside material, and settings that point into tmp_path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tasks.settings import PROJECT_ROOT, Settings, settings

# `make test` tries the same examples every time, `make soak` ever new ones, and more of them.
hypothesis.settings.register_profile("test", derandomize=True, deadline=None)
hypothesis.settings.register_profile("soak", max_examples=2000, deadline=None)
hypothesis.settings.load_profile("soak" if os.environ.get("LECTERN_SOAK") else "test")


@pytest.fixture(scope="session")
def material() -> Path:
    """The folder of real documents and vocabularies; the test skips where it is missing."""
    folder = Path(os.environ.get("LECTERN_MATERIAL", PROJECT_ROOT.parent / "shared" / "material"))
    if not folder.is_dir():
        pytest.skip("needs the outside material: set LECTERN_MATERIAL to its folder")
    return folder


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with results and state of their own; also what settings() returns meanwhile."""
    monkeypatch.setenv("LECTERN_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("LECTERN_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield settings()
    settings.cache_clear()
