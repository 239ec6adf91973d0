"""Limits of memory that a container or a service sets."""

from __future__ import annotations

from pathlib import Path

from tasks.pool.cgroups import MemoryGroup, memory_groups


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"memory.{name}").write_text(text)


def test_all_groups_above_count(tmp_path: Path) -> None:
    """Version 2: "max" is no limit."""
    own = tmp_path / "own"
    own.write_text("0::/a.slice/b.service\n")
    group(tmp_path / "a.slice", max="1000\n", current="700\n", stat="anon 400\nfile 300\n")
    group(tmp_path / "a.slice" / "b.service", max="max\n", current="5\n", stat="file 0\n")

    [found] = memory_groups(own, tmp_path)

    assert found == MemoryGroup(1000, 700, 300)
    assert found.left == 600


def test_the_first_version_counts_too(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("5:cpu,cpuacct:/box\n4:memory:/box\n")
    folder = tmp_path / "memory" / "box"
    group(folder, limit_in_bytes="500", usage_in_bytes="100", stat="cache 1\ntotal_cache 40\n")

    assert [each.left for each in memory_groups(own, tmp_path)] == [440]


def test_a_machine_without_groups_has_none(tmp_path: Path) -> None:
    assert list(memory_groups(tmp_path / "none", tmp_path)) == []
