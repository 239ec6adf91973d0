"""The power goes, and with it whatever was not synced: readers find all or nothing.

Each script does what Lectern does, with its own code; `support.power` tells in which states a power
cut could leave the folder, and the real readers read every one of them.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from support.hub_server import Hub, serve_hub
from support.power import Outage, outages, record

from flows.server import read_connection
from flows.up import kept_auth
from tasks.errors import PipelineError
from tasks.land import Ledger, read_table
from tasks.pool.lifecycle import PoolFiles
from tasks.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(300)]

SEED = int(os.environ.get("LECTERN_SOAK_SEED") or 0)
LARGE = 24 if os.environ.get("LECTERN_SOAK") else 4

# Records generations, compacts twice, and says what is done as soon as it is.
LEDGER = """
import sys
from pathlib import Path
from tasks.land.ledger import Ledger
from tasks.records import Generation

ledger, n = Ledger(Path(sys.argv[1]) / "results"), int(sys.argv[2])
for i in range(n):
    ledger.record(Generation(key=f"k{i}", attempt=1, task="summarize", source_id="s", first_n=1,
                             last_n=2, level=0, text=f"answer {i}", status="ok"))
    print(f"k{i}")
    if i in (n // 2, n - 1):
        ledger.compact()
"""

# Lands a source and its segments twice, the second time with other words.
TABLES = """
import sys
from pathlib import Path
from tasks.extract import Extracted
from tasks.land import land_source
from tasks.records import Segment, Source

results = Path(sys.argv[1]) / "results"
for word in ("before", "after"):
    source = Source(source_id="s", uri="/a.pdf", title=word, language="en", n_pages=1, n_segments=1)
    segment = Segment(source_id="s", n=1, text=word, kind="sentence", page=1, page_label="1",
                      paragraph=1, heading_path=())
    land_source(results, Extracted(source, (segment,)))
    print(f"source-{word}")
"""

PRIVATE = """
import sys
from pathlib import Path
from flows.server import ServerAddress, write_connection
from flows.up import kept_auth
from tasks.pool.lifecycle import PoolFiles
from tasks.settings import Settings

root = Path(sys.argv[1])
settings = Settings(home=root / "home")
print("auth", kept_auth(settings).partition(":")[2])
files = PoolFiles(settings.home)
files.prepare()
print("key", files.read_key())
for port in (1, 2):
    files.write_state(f"http://127.0.0.1:{port}", settings)
    print(f"pool-{port}")
    write_connection(ServerAddress(f"http://127.0.0.1:{port}/api", "a:b"), root / "prefect.toml")
    print(f"connection-{port}")
"""

DOWNLOAD = """
import sys
from pathlib import Path
from tasks.models import hub

print(hub.fetch("hf:own/er"))
"""

# What polars does by itself, and Lectern would do without syncing.
CARELESS = """
import sys
from pathlib import Path
import polars as pl

for word in ("before", "after"):
    pl.DataFrame({"word": [word] * 99}).write_parquet(Path(sys.argv[1]) / "words.parquet")
    print(word)
"""

UNSYNCED = "import os\nos.fsync = lambda descriptor: None\n"


def each_state(
    tmp_path: Path, script: str, *arguments: object, **environment: str
) -> list[tuple[Path, Outage]]:
    """Run a script, and return the states it could be found in, each in a folder of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    operations = record(script, disk, tmp_path / "trace", *arguments, **environment)
    states = []
    for n, outage in enumerate(outages(operations, SEED)):
        folder = tmp_path / "states" / str(n)
        folder.mkdir(parents=True)
        outage.write(folder)
        states.append((folder, outage))
    assert len(states) > 5
    print(f"{len(states)} states of {len(operations)} operations")
    return states


def check_ledger(folder: Path, outage: Outage) -> None:
    rows = Ledger(folder / "results").rows()
    assert set(outage.said) <= set(rows)
    for key, [row] in rows.items():
        assert row.text == f"answer {key[1:]}"
    Ledger(folder / "results").compact()
    assert Ledger(folder / "results").rows() == rows


@pytest.mark.parametrize("n", [2, LARGE])
def test_every_generation_that_was_recorded_is_there(n: int, tmp_path: Path) -> None:
    """Through two compactions; nothing torn is read, and the next compaction works on it."""
    for folder, outage in each_state(tmp_path, LEDGER, n):
        check_ledger(folder, outage)


def test_sources_and_segments_are_whole(tmp_path: Path) -> None:
    """As they were or as they are; a source that is there has its segments."""
    for folder, outage in each_state(tmp_path, TABLES):
        sources = read_table(folder / "results", "sources").collect()["title"].to_list()
        segments = read_table(folder / "results", "segments").collect()["text"].to_list()
        assert sources in ([], ["before"], ["after"])
        assert segments in ([], ["before"], ["after"])
        if sources:
            assert segments
        if outage.said:
            assert sources == segments == [outage.said[-1].removeprefix("source-")] or (
                outage.said[-1] == "source-before"
            )


def test_lecterns_own_files_are_whole(tmp_path: Path) -> None:
    """Password, key, the pool's state and the connection: as before, or as last written."""
    for folder, outage in each_state(tmp_path, PRIVATE):
        said = outage.said
        home = Settings(home=folder / "home")
        files = PoolFiles(home.home)
        if "auth" in said[:-1]:
            assert kept_auth(home) == f"lectern:{said[1]}"
        if "key" in said[:-1]:
            assert files.read_key() == said[said.index("key") + 1]
        state = files.read_state()
        left = read_connection(folder / "prefect.toml")
        _is_last(said, "pool", state.url if state else None, "http://127.0.0.1:{}")
        _is_last(said, "connection", left.url if left else None, "http://127.0.0.1:{}/api")


def _is_last(said: tuple[str, ...], what: str, found: str | None, form: str) -> None:
    """Check that what is found is what was written last, or was just being written."""
    done = sum(each.startswith(f"{what}-") for each in said)
    possible = [form.format(port) for port in (1, 2) if port >= done]
    assert found in possible or (found is None and done == 0)


def test_a_model_is_whole_once_it_has_its_name(tmp_path: Path) -> None:
    """A file that the hub's cache holds by its name is what the hub has; a rest that was torn is
    not gone on with for good."""
    model = random.Random(SEED).randbytes(400_000)
    etag = hashlib.sha256(model).hexdigest()
    with serve_hub(Hub("own/er", {"model-q4_0.gguf": model})) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "disk")}
        states = each_state(tmp_path, DOWNLOAD, **environment)
        torn = None
        for folder, outage in states:
            blobs = folder / "hub" / "models--own--er" / "blobs"
            if (blobs / etag).exists() or outage.said:
                assert (blobs / etag).read_bytes() == model
            part = blobs / f"{etag}.part"
            if part.exists() and part.read_bytes() != model[: part.stat().st_size]:
                torn = folder
        assert torn is not None
        environment["HF_HOME"] = str(torn)
        command = [sys.executable, "-c", DOWNLOAD, str(torn)]
        once, again = (
            subprocess.run(command, env={**os.environ, **environment}, cwd=PROJECT_ROOT,
                           capture_output=True, text=True, check=False)
            for _ in range(2)
        )  # fmt: skip
    assert "what came is damaged and was thrown away" in once.stderr
    assert Path(again.stdout.strip()).read_bytes() == model


def test_without_syncing_it_is_found_out(tmp_path: Path) -> None:
    """The layer can fail: the same ledger, with syncing switched off, loses what it recorded."""
    found_out = 0
    for folder, outage in each_state(tmp_path, UNSYNCED + LEDGER, 2):
        try:
            check_ledger(folder, outage)
        except (AssertionError, PipelineError):
            found_out += 1
    assert found_out


def test_a_plain_overwrite_is_found_out(tmp_path: Path) -> None:
    """The layer can fail: what polars writes in place can be read neither as before nor after."""
    torn = 0
    for folder, _ in each_state(tmp_path, CARELESS):
        file = folder / "words.parquet"
        try:
            torn += file.exists() and pl.read_parquet(file)["word"].n_unique() != 1
        except (pl.exceptions.PolarsError, OSError):
            torn += 1
    assert torn
