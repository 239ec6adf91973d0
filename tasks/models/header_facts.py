"""What a GGUF's header says beside the vocabulary: how large the model is.

Owns the child process that reads it through llama.cpp, since the file may come from a stranger.

    python -m tasks.models.header_facts MODEL    write the facts as one line of JSON
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.errors import ModelError
from tasks.models.limits import lower
from tasks.models.vocabulary import READ_SECONDS, child_environment

_CPU_SECONDS = 50
_ROOM = 1 << 30  # bytes, and four times the file's size, up to as much again


@dataclass(frozen=True)
class HeaderFacts:
    """A model's shape; names are llama.cpp's.

    Attributes:
        n_params: weights of all tensors.
        n_bytes: that they take in this file.
    """

    name: str
    n_params: int
    n_bytes: int
    n_layer: int
    n_embd: int
    n_head: int
    n_head_kv: int
    rope_freq_base: float


def read_facts(path: Path, model: str) -> HeaderFacts:
    """Read the header of the GGUF at path; its weights need not be there.

    Args:
        model: its name, for errors.

    Raises:
        ModelError: llama.cpp can't read it.
    """
    command = [sys.executable, "-m", "tasks.models.header_facts", str(path)]
    another = "Get the file again, or choose another model"
    try:
        done = subprocess.run(command, capture_output=True, env=child_environment(),
                              timeout=READ_SECONDS, check=False)  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ModelError(model, f"reading {path.name} came to no end", another) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        cause = said[-1] if said and done.returncode > 0 else f"it ended by {-done.returncode}"
        raise ModelError(model, f"llama.cpp can't load it ({cause})", another)
    return HeaderFacts(**json.loads(done.stdout))


def _read(path: Path) -> HeaderFacts:
    import llama_cpp as llama

    from tasks.models.header_values import frequencies_of, header_value, open_header
    from tasks.models.llama_log import LlamaLog

    model, cause = open_header(path, LlamaLog(echo=False))
    if not model:
        sys.exit(cause)
    return HeaderFacts(
        name=header_value(model, "general.name"),
        n_params=llama.llama_model_n_params(model),
        n_bytes=llama.llama_model_size(model),
        n_layer=llama.llama_model_n_layer(model),
        n_embd=llama.llama_model_n_embd(model),
        n_head=llama.llama_model_n_head(model),
        n_head_kv=llama.llama_model_n_head_kv(model),
        rope_freq_base=frequencies_of(model)[0],
    )


def limit(model: Path, *whole: Path) -> None:
    """Bound this process: it is to read a model's header, and some files as a whole."""
    room = _ROOM + min(_ROOM, 4 * model.stat().st_size)
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_DATA, room + 2 * sum(path.stat().st_size for path in whole))
    lower(resource.RLIMIT_CPU, _CPU_SECONDS)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    limit(file)
    print(json.dumps(asdict(_read(file))))
