"""The command line: quick help, errors in a line, JSON lines that other programs can read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from filelock import FileLock
from support.command import Lectern
from typer.testing import CliRunner

from flows.cli import app
from flows.server import listen
from tasks.errors import PipelineError
from tasks.land import Ledger
from tasks.pool.lifecycle import PoolFiles
from tasks.records import Generation
from tasks.settings import PROJECT_ROOT, Settings, settings

SAMPLES = PROJECT_ROOT / "data" / "samples"
PAPER = SAMPLES / "two-columns-en.pdf"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([], "Summarise and translate long PDFs"),
        (["summarize"], "Exit status: 0 all sources summarised, 1 the run failed, 2 some"),
        (["translate"], "Exit status: 0 all sources translated, 1 the run failed, 2 some"),
        (["extract"], "--json"),
        (["chunks"], "--model"),
        (["stats"], "--run"),
        (["up"], "prefect deployment run summarize-pdf"),
        (["bench"], "and keep the answer"),
        (["pool"], "serve"),
    ],
)
def test_help_says_what_a_command_does(command: list[str], said: str) -> None:
    answer = CliRunner().invoke(app, [*command, "--help"], terminal_width=120)

    assert answer.exit_code == 0
    assert said in " ".join(answer.output.split())


def test_help_does_not_wait_for_heavy_imports() -> None:
    """Neither Prefect nor polars nor llama.cpp is imported before it is needed."""
    code = "import flows.cli, sys; print([m for m in ('prefect', 'polars', 'llama_cpp', 'httpx')"
    answer = subprocess.run(
        [sys.executable, "-c", f"{code} if m in sys.modules])"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert answer.stdout == "[]\n"


def test_the_version_is_the_packages() -> None:
    answer = CliRunner().invoke(app, ["--version"])

    assert answer.output == "lectern 0.1.0\n"


def test_extract_prints_json_lines(config: Settings) -> None:
    """A line a segment, with these fields; numbers without gaps."""
    answer = CliRunner().invoke(app, ["extract", str(PAPER), "--json"])
    segments = [json.loads(line) for line in answer.stdout.splitlines()]

    assert answer.exit_code == 0
    assert list(segments[0]) == [
        "n", "page", "page_label", "paragraph", "heading_path", "kind", "start_s", "end_s",
        "speaker", "marks", "text",
    ]  # fmt: skip
    assert [each["n"] for each in segments] == list(range(1, len(segments) + 1))


def test_chunks_prints_json_lines(config: Settings, tiny_model: Path) -> None:
    """A line a chunk, with its exact size, its context, and the lines that would be shown."""
    answer = CliRunner().invoke(app, ["chunks", str(PAPER), "--model", str(tiny_model), "--json"])
    chunks = [json.loads(line) for line in answer.stdout.splitlines()]

    assert answer.exit_code == 0
    assert chunks[0].keys() >= {"first_n", "last_n", "prompt_tokens", "context", "lines"}
    assert all(chunk["first_n"] == chunk["lines"][0]["n"] for chunk in chunks)
    assert all(0 < chunk["prompt_tokens"] <= 2500 for chunk in chunks)


def test_readable_text_without_json(config: Settings, tiny_model: Path) -> None:
    """A page and a number before each sentence; a size before each chunk."""
    segments = CliRunner().invoke(app, ["extract", str(PAPER)]).stdout
    chunks = CliRunner().invoke(app, ["chunks", str(PAPER), "--model", str(tiny_model)]).stdout

    assert "[1] " in segments.splitlines()[0]
    assert " tokens" in chunks.splitlines()[0]


def test_a_file_that_cannot_be_read_is_told_in_a_line(lectern: Lectern) -> None:
    """On stderr, with what to do, and without a traceback."""
    answer = lectern("extract", "nowhere.pdf", "--json")

    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith("lectern: ")


def test_an_unknown_model_is_told_in_a_line(lectern: Lectern) -> None:
    """A ModelError is one line on stderr, as every error of ours."""
    answer = lectern("chunks", str(PAPER), "--model", "/nowhere/model.gguf")

    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.count("\n") == 1
    assert "/nowhere/model.gguf" in answer.stderr


def test_a_server_that_does_not_answer_is_told_in_a_line(lectern: Lectern) -> None:
    """PREFECT_API_URL names a server: if it is not there, no other is started."""
    with listen() as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
    answer = lectern("summarize", str(PAPER), PREFECT_API_URL=url)

    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert url in answer.stderr


def test_nothing_asked_yet_is_no_error(config: Settings) -> None:
    """`lectern stats` before the first run, as text and as JSON."""
    text = CliRunner().invoke(app, ["stats"])
    data = CliRunner().invoke(app, ["stats", "--json"])

    assert (text.exit_code, text.output) == (0, "Nothing was asked yet.\n")
    assert json.loads(data.stdout) == {"calls": [], "documents": []}


def test_the_latest_run_has_a_name(config: Settings) -> None:
    """`lectern stats --run latest` shows it alone; before the first run it is no error."""
    before = CliRunner().invoke(app, ["stats", "--run", "latest"])
    for n, run in enumerate(["run-a", "run-b"]):
        Ledger(config.results).record(
            Generation(
                key=run, attempt=1, task="summarize", source_id="s", first_n=1, last_n=1, level=0,
                text="", status="ok", flow_run_id=run, started_at=datetime(2026, 11, 20, n),
            )
        )  # fmt: skip
    latest = CliRunner().invoke(app, ["stats", "--run", "latest", "--json"])

    assert (before.exit_code, before.output) == (0, "Nothing was asked yet.\n")
    assert {row["flow_run_id"] for row in json.loads(latest.stdout)["calls"]} == {"run-b"}


def test_no_pool_is_told(config: Settings) -> None:
    """`status` says that none runs, by its exit status too; `stop` has nothing to do."""
    status = CliRunner().invoke(app, ["pool", "status"])
    stop = CliRunner().invoke(app, ["pool", "stop"])

    assert (status.exit_code, stop.exit_code) == (1, 0)
    assert "not running" in status.output
    assert "not running" in stop.output


@pytest.mark.parametrize("command", ["extract", "stats"])
def test_a_reader_that_goes_away_ends_it_quietly(
    command: str, config: Settings, tmp_path: Path
) -> None:
    """As in `lectern extract book.pdf | head -1`: no traceback, and no signal either, which
    would end a night's run as well."""
    words = {"extract": ["extract", str(SAMPLES / "handbook-en.pdf")], "stats": ["stats"]}
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *words[command]],
        cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    assert process.stderr.read() == ""
    assert process.wait() >= 0
    process.stderr.close()


@pytest.mark.parametrize(
    ("command", "home"),
    [("chunks", "/dev/null/x"), ("summarize", "/dev/null/x"), ("up", "/dev/null/x"),
     ("pool serve", "/dev/null/x")],
)  # fmt: skip
def test_a_home_that_cannot_be_written_is_told_in_a_line(
    lectern: Lectern, command: str, home: str
) -> None:
    """It names the setting."""
    arguments = [str(PAPER)] if command in ("chunks", "summarize") else []
    answer = lectern(*command.split(), *arguments, LECTERN_HOME=home)

    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.count("\n") == 1
    assert "LECTERN_HOME" in answer.stderr


def test_a_wrong_setting_is_told_in_a_line(lectern: Lectern) -> None:
    """It names the variable and says what it is."""
    answer = lectern("stats", LECTERN_POOL_N_CTX="abc")

    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith("lectern: LECTERN_POOL_N_CTX: Input should be a valid integer")
    assert "tokens a sequence can hold" in answer.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pool_n_ctxx = 4096", "pool_n_ctxx in .*no such setting. Did you mean pool_n_ctx?"),
        ("zzz = 1", "no such setting. Remove it"),
        ("pool_n_ctx = 'abc'", "pool_n_ctx in .*valid integer"),
        ("pool_n_ctx = 1048577", "pool_n_ctx in .*less than or equal to 1048576.*tokens"),
        ("[", "can't be read"),
    ],
)
def test_a_wrong_settings_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    """What is wrong in which line or setting, and the nearest name of a misspelt one."""
    (tmp_path / "lectern.toml").write_text(text)
    monkeypatch.setitem(Settings.model_config, "toml_file", tmp_path / "lectern.toml")
    settings.cache_clear()

    with pytest.raises(PipelineError) as caught:
        settings()
    assert re.search(said, str(caught.value))
    assert "lectern.toml" in str(caught.value)


def test_a_second_pool_says_so_by_its_status_too(lectern: Lectern, config: Settings) -> None:
    """A script must be able to tell that its pool does not run."""
    config.home.mkdir()
    with FileLock(PoolFiles(config.home).lock):
        answer = lectern("pool", "serve")

    assert answer.returncode == 1
    assert "Another pool runs" in answer.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_any_file_name_is_summarised_and_shown(
    lectern: Lectern, tiny_model: Path, tmp_path: Path
) -> None:
    """Bytes that are no UTF-8, and what looks like markup: in a folder, and named."""
    from support.scripted_server import ScriptedServer

    strange = os.fsdecode("报告".encode("gbk")) + "[b].pdf"
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "good.pdf").symlink_to(PAPER)
    (tmp_path / "books" / strange).symlink_to(SAMPLES / "chinese-zh.pdf")
    (tmp_path / "bad[").mkdir()
    (tmp_path / "bad[" / "b].pdf").write_bytes(b"no PDF")
    with ScriptedServer() as server:
        own = {"cwd": tmp_path, "LECTERN_POOL_URL": server.url, "LECTERN_MODEL": str(tiny_model)}
        folder = lectern("summarize", "books", **own)
        named = lectern("summarize", f"books/{strange}", **own)
        bad = lectern("summarize", "bad[/b].pdf", **own)

    assert folder.returncode == 0, folder.stderr
    assert "2 of 2 sources summarised" in folder.stdout
    assert named.returncode == 0, named.stderr
    assert "0 asked" in named.stdout
    assert (bad.returncode, "Traceback" in bad.stderr) == (1, False)
    assert "bad[/b].pdf: is not a PDF" in bad.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_a_folder_is_summarised_from_where_the_caller_is(
    lectern: Lectern, tiny_model: Path, tmp_path: Path
) -> None:
    """Paths count from the caller's folder; a bad file among good ones makes exit status 2."""
    from support.scripted_server import ScriptedServer

    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "paper.pdf").symlink_to(PAPER)
    (tmp_path / "books" / "bad.pdf").write_bytes(b"no PDF")
    (tmp_path / "tiny.gguf").symlink_to(tiny_model)
    with ScriptedServer() as server:
        answer = lectern(
            "summarize", "books", "--model", "tiny.gguf",
            cwd=tmp_path, LECTERN_POOL_URL=server.url,
        )  # fmt: skip

    assert answer.returncode == 2, answer.stderr
    assert "148 of 148 segments accounted for" in answer.stdout
    assert "summary.html" in answer.stdout
    assert "1 of 2 sources summarised" in answer.stdout
    assert "bad.pdf" in answer.stderr
    assert "| INFO" not in answer.stderr  # Prefect's own log goes to a file
