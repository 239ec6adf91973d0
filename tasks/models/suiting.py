"""Whether adapters suit a model, told before it is loaded: from its header, and by llama.cpp, which
puts them on a model without its weights.

Owns the child process that does so, since the files may come from strangers. What suited once is
not asked again in this process.

    python -m tasks.models.suiting MODEL ADAPTER…    a line once the model is open, and one for each
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.errors import AdapterError, ModelError
from tasks.models.header_facts import limit
from tasks.models.identity import stamp_of_paths
from tasks.models.vocabulary import READ_SECONDS, child_environment

_ANOTHER = "Get the file again, or give another adapter"
_CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE)
_suited: set[str] = set()


def refuse_unsuited(parts: Sequence[Path], adapters: Sequence[Path]) -> None:
    """Complain about the first adapter that llama.cpp would not put on a model. A model that can't
    be opened is let through: whoever loads it says more.

    Args:
        parts: the model's files, of which the headers are enough.

    Raises:
        AdapterError: there is one.
        OSError: a file is gone.
    """
    stamp = str(stamp_of_paths([*parts, *adapters]))
    if not adapters or stamp in _suited:
        return
    command = [sys.executable, "-m", "tasks.models.suiting", *map(str, (parts[0], *adapters))]
    try:
        done = subprocess.run(command, capture_output=True, env=child_environment(),
                              timeout=READ_SECONDS, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        return
    opened, *problems = done.stdout.splitlines() or [b""]
    if not opened:
        return
    for adapter, problem in zip(adapters, problems, strict=False):
        if fields := json.loads(problem):
            raise AdapterError(adapter.name, **fields)
    if len(problems) == len(adapters):
        _suited.add(stamp)
    elif -done.returncode in _CRASHES:
        how = f"llama.cpp ended while reading it (signal {-done.returncode})"
        raise AdapterError(adapters[len(problems)].name, how, _ANOTHER)


def _tried(model: Path, adapters: Sequence[Path]) -> Iterator[str]:
    """Yield a line once the model is open, and of each adapter one with what is wrong with it."""
    from tasks.models.header_values import open_header
    from tasks.models.llama_log import LlamaLog
    from tasks.models.lora import load_adapter

    log = LlamaLog(echo=False)
    handle, _ = open_header(model, log)
    if not handle:
        return
    yield "open"
    for adapter in adapters:
        try:
            load_adapter(handle, adapter, log)
        except ModelError as error:
            yield json.dumps({"problem": error.problem, "remedy": error.remedy})
        else:
            yield "{}"


if __name__ == "__main__":
    first, *others = map(Path, sys.argv[1:])
    limit(first, *others)
    for line in _tried(first, others):
        print(line, flush=True)
