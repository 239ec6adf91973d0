"""Models that are broken, hostile or too big: each is refused in one line that names it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from support.command import Lectern
from support.gguf_header import Header, u32
from support.hostile_models import (
    BAD_TEMPLATES,
    bad_models,
    no_models,
    unwritten_model,
    with_template,
)
from support.tiny_model import write_tiny_model

from tasks.errors import ModelError
from tasks.models.spec import load_spec
from tasks.pool.fit import GIB, Need, free_memory, remedy
from tasks.pool.protocol import LoadFailed, Ready, WorkerConfig, decode, encode
from tasks.pool.tuning import default_tuning, worker_config
from tasks.records import Message
from tasks.settings import PROJECT_ROOT, Settings

PAPER = PROJECT_ROOT / "data" / "samples" / "two-columns-en.pdf"
DEMO = PROJECT_ROOT / "data" / "models" / "lectern-demo-q8_0.gguf"
SOAK = bool(os.environ.get("LECTERN_SOAK"))
# A normal run tries some of each kind, `make soak` all.
FILES = (
    "empty", "magic-alone", "html-error-page", "safetensors", "lfs-pointer", "version-1",
    "big-endian", "tensors-2^60", "string-2^63", "half-a-header", "noise",
)  # fmt: skip
HEADERS = (
    "unknown-architecture", "architecture-of-a-megabyte", "architecture-with-controls", "mmproj",
    "lora", "no-tokenizer", "zero-tokens", "tokens-twice", "dimension-negative",
    "truncated-weights", "no-template",
)  # fmt: skip
OTHERS = ("rope-nan", "layers-600", "split-of-many")
WEIGHTS = ("one-token-too-few", "layers-2^31", "heads-0", "no-tensors")
TEMPLATES = ("a-string-of-gigabytes", "escapes-by-class", "nests", "raises", "waits-for-its-prey")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


def refused(path: Path, config: Settings, document: str = "hello") -> ModelError:
    """Use a model as a run does before it is loaded; it must be refused in one line."""
    children = set(psutil.Process().children(recursive=True))
    with pytest.raises(ModelError) as caught:
        load_spec(str(path), config).count([Message("system", "Be."), Message("user", document)])
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert caught.value.remedy
    assert len(line) < 1000 + len(str(path))
    assert line.isprintable()
    caught.value.__traceback__ = None  # holds the spec, and so its child
    assert set(psutil.Process().children(recursive=True)) <= children
    return caught.value


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(no_models(DEMO)) if SOAK else FILES)
def test_a_file_that_is_no_model_is_refused(
    name: str, tiny: Path, tmp_path: Path, config: Settings
) -> None:
    """Error pages, other formats, other versions, and numbers that promise too much."""
    path = tmp_path / f"{name}.gguf"
    path.write_bytes(no_models(tiny)[name])

    refused(path, config)


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_no_chat_model_is_refused(
    name: str, tiny: Path, tmp_path: Path, config: Settings
) -> None:
    path = tmp_path / f"{name}.gguf"
    path.write_bytes(bad_models(tiny)[name].encode())

    refused(path, config)


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted({*bad_models(DEMO)} - {*HEADERS}) if SOAK else OTHERS)
def test_a_header_that_lies_is_read_or_refused(
    name: str, tiny: Path, tmp_path: Path, config: Settings
) -> None:
    """What can be counted with is left to the worker, which finds out, and whose end is its own."""
    path = tmp_path / f"{name}.gguf"
    path.write_bytes(bad_models(tiny)[name].encode())

    try:
        n_tokens = load_spec(str(path), config).count([Message("user", "hello")])
    except ModelError:
        refused(path, config)
    else:
        assert n_tokens > 0
    load(WorkerConfig(model_path=str(path), n_ctx=512, n_seq_max=1))


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_cannot_be_loaded_are_refused(name: str, tiny: Path, tmp_path: Path) -> None:
    """By the worker, which says the first cause or dies without a debugger; nothing else does."""
    path = tmp_path / f"{name}.gguf"
    path.write_bytes(bad_models(tiny)[name].encode())

    answer, log = load(WorkerConfig(model_path=str(path), n_ctx=512, n_seq_max=1))

    assert answer is None or isinstance(answer, LoadFailed)
    assert "failed to load model" not in (answer.problem if answer else "")
    assert "Python runtime state" not in log


def load(config: WorkerConfig) -> tuple[LoadFailed | Ready | None, str]:
    """Start a worker as the pool does; return how loading ended, and its log."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "tasks.pool.worker"], cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},
    )  # fmt: skip
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stderr is not None
    worker.stdin.write(encode(config))
    worker.stdin.flush()
    events = (decode(line) for line in worker.stdout)
    answer = next((each for each in events if isinstance(each, LoadFailed | Ready)), None)
    _, log = worker.communicate()
    return answer, log.decode(errors="replace")


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(BAD_TEMPLATES) if SOAK else TEMPLATES)
def test_a_hostile_template_is_refused_and_does_no_harm(
    name: str, tiny: Path, tmp_path: Path, config: Settings
) -> None:
    """Whether it loops, writes, eats memory or wants out; also one that waits for a document."""
    path = tmp_path / f"{name}.gguf"
    path.write_bytes(with_template(tiny, BAD_TEMPLATES[name]).encode())
    before = psutil.Process().memory_info().rss

    refused(path, config)

    assert psutil.Process().memory_info().rss - before < 300 * 2**20


def test_what_is_no_file_is_refused(tiny: Path, tmp_path: Path, config: Settings) -> None:
    """A folder, a pipe, a device, a loop of links, a missing part, a name that can't be one."""
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "folder.gguf").mkdir()
    (tmp_path / "device.gguf").symlink_to("/dev/zero")
    (tmp_path / "loop.gguf").symlink_to(tmp_path / "loop.gguf")
    (tmp_path / "big-00001-of-00002.gguf").write_bytes(tiny.read_bytes())
    names = ("pipe", "folder", "device", "loop", "missing", "big-00001-of-00002", "x" * 300)

    said = [str(refused(tmp_path / f"{name}.gguf", config)) for name in names]

    assert "is no file" in said[0]
    assert "is a folder" in said[1]
    assert "is no file" in said[2]
    assert "big-00002-of-00002.gguf is missing" in said[5]
    assert "File name too long" in said[6]


def test_the_command_refuses_a_bad_model_in_one_line(
    lectern: Lectern, tiny: Path, tmp_path: Path
) -> None:
    """On stderr, by exit status 1, without a traceback."""
    path = tmp_path / "hostile\n\x1b[2J.gguf"
    path.write_bytes(with_template(tiny, BAD_TEMPLATES["raises"]).encode())

    answer = lectern("chunks", str(PAPER), "--model", str(path))

    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.rstrip("\n").isprintable()
    assert "hostile\\n\\x1b[2J.gguf: its chat template fails" in answer.stderr


def test_the_need_is_what_llama_cpp_allocates(tiny: Path, tmp_path: Path) -> None:
    """The measured need of three shapes, against the buffers in the log of a real load."""
    half = unwritten_model(tmp_path / "0.5b.gguf", tiny, n_embd=896, n_layers=24, n_ff=4864)
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tiny), str(DEMO), str(half)], cwd=PROJECT_ROOT,
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip

    assert len(found) == 6
    for line in found:
        need, allocated = map(int, line.split())
        assert need == pytest.approx(allocated, rel=0.02, abs=2**20)


# Measures first, then loads and adds up all buffers that llama.cpp says it allocated.
MEASURE = """
import re, sys
from tasks.pool import loading
from tasks.pool.protocol import WorkerConfig
for path in sys.argv[1:]:
    for n_seq_max in (1, 4):
        config = WorkerConfig(model_path=path, n_ctx=512, n_seq_max=n_seq_max, n_batch=64)
        need = loading.need_of(config)
        with loading.LOG.heard() as heard:
            loading.make_context(loading.load(config), config)
        sizes = [re.search(r"buffer size = +([\\d.]+) MiB", line) for line in heard.lines]
        print(need.total, int(sum(float(size[1]) for size in sizes if size) * 2**20), flush=True)
"""


def test_a_model_too_big_for_memory_is_refused_before_it_is_loaded(
    tiny: Path, tmp_path: Path
) -> None:
    """The weights of this one would be 290 GiB: they are not even looked at."""
    path = unwritten_model(tmp_path / "70b.gguf", tiny, n_embd=8192, n_layers=80, n_ff=28672)

    answer, _ = load(WorkerConfig(model_path=str(path), n_ctx=4096, n_seq_max=8, flash_attn="off"))

    assert isinstance(answer, LoadFailed)
    assert re.match(
        r"it needs 371\.\d GiB of memory \(290\.0 GiB for its weights, 80\.0 GiB for 8 sequences "
        r"of 4,096 tokens, 1\.\d GiB to compute\), and [\d.]+ GiB are free",
        answer.problem,
    )
    assert "choose a smaller model or a quantization with fewer bits" in answer.remedy


def test_a_context_too_big_for_memory_names_the_setting_that_fits(tiny: Path) -> None:
    """With what it names, it loads."""
    n_seq_max = 64
    n_ctx = 4096
    path = tiny.with_name("deep.gguf")
    unwritten_model(path, tiny, n_embd=4096, n_layers=60, n_ff=64)

    answer, _ = load(WorkerConfig(model_path=str(path), n_ctx=n_ctx, n_seq_max=n_seq_max))

    assert isinstance(answer, LoadFailed)
    assert re.search(r"LECTERN_POOL_N_(SEQ_MAX|CTX)=\d+|choose a smaller", answer.remedy)


@pytest.mark.parametrize(("n_seq_max", "claimed"), [(0, 2**31), (1, 2**31 - 1)])
def test_the_longest_context_is_refused_with_one_that_fits(
    tiny: Path, tmp_path: Path, n_seq_max: int, claimed: int
) -> None:
    """Of a model that claims to have been trained on any, whoever sets the sequences; the worker
    lives to say it."""
    claims = tmp_path / "claims.gguf"
    claims.write_bytes(Header.read(tiny).with_values(llama__context_length=u32(claimed)).encode())
    path = unwritten_model(tmp_path / "deep.gguf", claims, n_embd=256, n_layers=500, n_ff=64)
    settings = Settings(home=tmp_path, pool_n_ctx=1 << 20, pool_n_seq_max=n_seq_max)
    spec = load_spec(str(path), settings)

    answer, _ = load(worker_config(settings, spec, default_tuning(settings)))

    assert isinstance(answer, LoadFailed)
    assert "500.0 GiB for 1 sequences of 1,048,576 tokens" in answer.problem
    assert re.search(r"LECTERN_POOL_N_CTX=\d+|choose a smaller", answer.remedy)


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (9.0, "Set LECTERN_POOL_N_SEQ_MAX=6"),
        (4.0, "Set LECTERN_POOL_N_SEQ_MAX=1"),
        (3.6, "Set LECTERN_POOL_N_SEQ_MAX=1 and LECTERN_POOL_N_CTX=2304"),
        (2.0, "Free some, or choose a smaller model"),
    ],
)
def test_the_remedy_is_the_smallest_change_that_fits(free: float, said: str) -> None:
    """Fewer sequences before a shorter context, and that before another model."""
    need = Need(weights=2 * GIB, cache=8 * GIB, compute=GIB)
    config = WorkerConfig(model_path="", n_ctx=4096, n_seq_max=8)

    assert remedy(need, config, int(free * GIB)).startswith(said)


def test_free_memory_is_no_more_than_the_machine_has() -> None:
    assert 0 < free_memory() <= psutil.virtual_memory().total


def test_a_limit_of_the_process_counts() -> None:
    """As `ulimit -v` sets it."""
    code = "from tasks.pool.fit import free_memory; print(free_memory())"
    answer = subprocess.run(
        ["bash", "-c", f'ulimit -v 2000000; {sys.executable} -c "{code}"'],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert int(answer.stdout) < 2_000_000 * 1024


def test_every_header_can_be_read_again(tiny: Path) -> None:
    """The writer of these files writes what it read: else they would be wrong by accident."""
    assert Header.read(tiny).encode() == tiny.read_bytes()
