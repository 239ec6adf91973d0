"""What a GGUF's header says of its model: the vocabulary and the few facts around it.

Owns reading it once a model (in a child process with limits, since the file may come from a
stranger and llama.cpp aborts on some bad ones), and the cache of what was read. Knows how the
child is started and what it writes; what the child does is in `tasks.models.vocabulary_child`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from tasks.errors import ModelError
from tasks.files import write_private
from tasks.models.rope import Rope

FORMAT = 6  # of the cache file; raise it when Vocabulary or the child's checks change
READ_SECONDS = 180.0  # a busy machine may need a minute; the child bounds its own CPU time

# llama.h, enum llama_token_attr
UNKNOWN, NORMAL, CONTROL, USER_DEFINED = 1, 4, 8, 16
STRIPS = 64 | 128 | 256 | 512  # NORMALIZED, LSTRIP, RSTRIP, SINGLE_WORD


@dataclass(frozen=True)
class Vocabulary:
    """A model's vocabulary, and what else its header says that Lectern needs.

    Attributes:
        kind: "bpe", "spm", "wpm", "ugm", "rwkv", …: llama.cpp's tokenizer.
        pre: `tokenizer.ggml.pre`, the rule by which a BPE text is cut into words.
        tokens: the texts by id, as llama.cpp holds them (BPE: in GPT-2's byte alphabet).
        attributes: those of the tokens that are not plainly NORMAL; bits of llama_token_attr.
        bos, eos: -1 where there is none.
        add_bos: llama.cpp puts a BOS before every text.
        template: the chat template; "" where there is none.
        rope: its positions, and for how many it was trained.
        names: what its makers call it: `general.name`, basename, finetune; those that are there.
        unfit: why it can't answer, whatever it is asked in; "" where nothing says so.
        eog: tokens that end an answer, as far as llama.cpp knows.
        between: what its template writes between an answer and the next question.
        template_problem: what went wrong when the child tried the template; "" if nothing.
        tiktoken_exact: tiktoken gave the same ids as llama.cpp wherever the child compared.
    """

    quantization: str
    rope: Rope
    kind: str
    pre: str
    tokens: list[str]
    attributes: dict[int, int]
    bos: int
    eos: int
    add_bos: bool
    template: str
    names: Sequence[str] = ()
    unfit: str = ""
    eog: Sequence[int] = ()
    between: str = ""
    template_problem: str = ""
    tiktoken_exact: bool = False

    @cached_property
    def special(self) -> dict[str, int]:
        """Literals that llama.cpp looks for before it tokenizes what stands between them."""
        return self._with(CONTROL | UNKNOWN | USER_DEFINED)

    @cached_property
    def control(self) -> dict[str, int]:
        """Those of them that no text from outside should contain."""
        return self._with(CONTROL | UNKNOWN)

    @cached_property
    def user_defined(self) -> dict[str, int]:
        """Those of them that are found even where control tokens are not looked for."""
        return self._with(USER_DEFINED)

    def text(self, token: int) -> str:
        """Return a token's text, or "" for -1."""
        return self.tokens[token] if token >= 0 else ""

    def _with(self, bits: int) -> dict[str, int]:
        return {self.tokens[i]: i for i, attribute in self.attributes.items() if attribute & bits}


def load_vocabulary(path: Path, identity: str, home: Path, model: str) -> Vocabulary:
    """Return the vocabulary of the GGUF at path, read before or now.

    Args:
        identity: the file's hash, under which the result is kept in home.
        model: the model's name as the user gave it, for errors.

    Raises:
        ModelError: it is no readable GGUF.
    """
    _refuse_other_formats(path, model)
    # What was compared holds for the versions that were compared.
    versions = f"{FORMAT}-{version('llama-cpp-python')}-{version('tiktoken')}"
    cache = home / "vocab" / f"{identity}.{versions}.json"
    if not cache.exists():
        with tempfile.TemporaryFile() as fresh:  # nothing is left of it, whoever is killed
            _read_in_child(path, fresh, model)
            fresh.seek(0)
            write_private(cache, fresh.read().decode("ascii"))
    return _load(cache)


def save(vocabulary: Vocabulary, path: Path) -> None:
    """Write what load_vocabulary reads."""
    # Not asdict: it copies every token.
    values = {each.name: getattr(vocabulary, each.name) for each in fields(vocabulary)}
    values["rope"] = asdict(vocabulary.rope)
    path.write_text(json.dumps(values), encoding="ascii")


def child_environment() -> Mapping[str, str]:
    """Return the environment of a child that reads a vocabulary.

    No GPU is woken for it, and an abort of llama.cpp starts no debugger.
    """
    from tasks.settings import PROJECT_ROOT  # the children import this module, and must start fast

    own = dict.fromkeys(("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"), "-1")
    own["GGML_NO_BACKTRACE"] = "1"
    path = os.pathsep.join(filter(None, (str(PROJECT_ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, **own, "PYTHONPATH": path}


def _load(cache: Path) -> Vocabulary:
    values: dict[str, Any] = json.loads(cache.read_bytes())
    attributes = {int(token): bits for token, bits in values.pop("attributes").items()}
    return Vocabulary(attributes=attributes, rope=Rope(**values.pop("rope")), **values)


def _refuse_other_formats(path: Path, model: str) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        problem = f"{path} can't be read ({error.strerror})"
        raise ModelError(model, problem, "Check its permissions, and the disk") from error
    if start.startswith(b"GGUF"):
        return
    if not start:
        raise ModelError(model, f"{path.name} is empty", "Fetch it again")
    if start.startswith(b"version https://git-lfs"):
        raise ModelError(model, f"{path.name} is a Git LFS pointer", "Run git lfs pull")
    raise ModelError(model, f"{path.name} is no GGUF file", "Fetch the GGUF version of the model")


def _read_in_child(path: Path, out: IO[bytes], model: str) -> None:
    command = [sys.executable, "-m", "tasks.models.vocabulary_child", "read", str(path),
               f"/dev/fd/{out.fileno()}"]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, env=child_environment(), timeout=READ_SECONDS,
            check=False, pass_fds=[out.fileno()],
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        problem = f"reading its header took longer than {READ_SECONDS:.0f} s"
        raise ModelError(model, problem, "Get the file again from a source you trust") from None
    if done.returncode != 0:
        raise _failure(done, path, model)


def _failure(done: subprocess.CompletedProcess[bytes], path: Path, model: str) -> ModelError:
    """Return why the child failed: what it says of the file, how it was ended, or its own error.

    Only the first two are the file's fault.
    """
    another = "Get the file again, or choose another model"
    if done.returncode == 1 and done.stdout:
        problem, remedy = json.loads(done.stdout.splitlines()[-1])
        return ModelError(model, problem, remedy or another)
    if done.returncode == -signal.SIGPROF:
        return ModelError(model, "its chat template comes to no end", another)
    if done.returncode == -signal.SIGKILL:
        problem = "reading its header took too long, or more memory than this machine has"
        return ModelError(model, problem, another)
    if done.returncode < 0:
        how = f"llama.cpp ended while reading it (signal {-done.returncode})"
        return ModelError(model, f"{path.name} is damaged: {how}", another)
    lines = done.stderr.decode(errors="replace").splitlines() or [f"status {done.returncode}"]
    return ModelError(model, f"its header could not be read ({lines[-1]})", "Mend that, try again")
