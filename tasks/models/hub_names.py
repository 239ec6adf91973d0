"""What hf:owner/repo:quantization means among a repository's files, and what it may have meant.

Pure functions over names: asks no hub, looks at no disk.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.errors import ModelError
from tasks.models.nearest import listed, nearest

PREFIX = "hf:"
USUAL = "Q4_K_M"  # the quantization that people mean who say none, as llama.cpp does
_NAME = re.compile(r"hf:(?P<repo>[^/:]+/[^/:]+)(?:[:/](?P<wanted>.+))?")
_PART = re.compile(r"-(?P<n>\d{5})-of-(?P<total>\d{5})(?=\.gguf$)", re.IGNORECASE)
_QUANTIZATION = re.compile(
    r"(?<![a-z0-9])((?:UD-)?(?:I?Q|TQ)\d_?[a-z0-9_]*|BF16|F16|F32|FP16|MXFP4\w*)(?=[-./])", re.I
)


@dataclass(frozen=True)
class HubName:
    """A name taken apart.

    Attributes:
        wanted: a quantization, or a file of the repository; "" where neither is said.
    """

    repo: str
    wanted: str

    @property
    def is_file(self) -> bool:
        return self.wanted.lower().endswith(".gguf")


def parse(name: str) -> HubName:
    """Take a name apart.

    Raises:
        ModelError: it is none.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ModelError(name, "this is no model name", "Write hf:owner/repo:quantization")
    return HubName(match["repo"], match["wanted"] or "")


def choose(files: Iterable[str], wanted: str) -> list[list[str]]:
    """Return the models among a repository's files that a quantization (or a file's name) means.

    Each is the list of its parts, complete and in order; a file that is one of several parts means
    all of them. A whole word counts before a part of one: Q4_K means Q4_K, and Q4_K_M only where
    there is no Q4_K.
    """
    models = models_in(files)
    if wanted.lower().endswith(".gguf"):
        return [parts for parts in models.values() if wanted in parts]
    if not wanted:
        return list(models.values())
    word = re.compile(rf"(?<![a-z0-9]){re.escape(wanted)}(?![a-z0-9_])", re.IGNORECASE)
    tries = (
        [parts for parts in models.values() if quantization(parts[0]) == wanted.upper()],
        [parts for stem, parts in models.items() if word.search(stem)],
        [parts for stem, parts in models.items() if wanted.lower() in stem.lower()],
    )
    return next(filter(None, tries), [])


def exactly(files: Iterable[str], wanted: str) -> list[list[str]]:
    """Return the models that a quantization (or a file's name) means among some of a repository's
    files, whatever others it has; where nothing is said, all."""
    return [
        parts for parts in choose(files, wanted)
        if wanted in ("", *parts) or quantization(parts[0]) == wanted.upper()
    ]  # fmt: skip


def only(name: str, files: Sequence[str], wanted: str) -> list[str]:
    """Return the parts of the one model meant.

    Raises:
        ModelError: none or several are; the remedy has the nearest that there are.
    """
    chosen = choose(files, wanted)
    if len(chosen) == 1:
        return chosen[0]
    _refuse_incomplete(name, files, wanted)
    models = list(models_in(files).values())
    if not models:
        raise ModelError(name, "the repository holds no model in GGUF", "Choose another")
    if not wanted:
        problem = "which quantization is not said"
        raise ModelError(name, problem, _offer(name, models, USUAL))
    if len(chosen) > 1:
        raise ModelError(name, "several files match", _offer(name, chosen, wanted))
    what = "file" if wanted.lower().endswith(".gguf") else "quantization"
    raise ModelError(name, f"there is no such {what}", _offer(name, models, wanted))


def models_in(files: Iterable[str]) -> dict[str, list[str]]:
    """Group the parts of split files; leave out incomplete ones and projectors for images."""
    groups = _groups(files)
    return {stem: parts for stem, parts in groups.items() if len(parts) == total(parts[0])}


def quantization(file: str) -> str:
    """Return the quantization that a file's name tells, such as Q4_K_M; "" where it tells none."""
    match = _QUANTIZATION.search(file)
    return match[1].upper() if match else ""


def labels(models: Iterable[Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return a repository's models by what to call them behind hf:owner/repo: a quantization where
    that tells one from the others, else a file.
    """
    told = [(quantization(parts[0]), parts) for parts in models]
    times = Counter(quant for quant, _ in told)
    return {
        f":{quant}" if quant and times[quant] == 1 else f"/{parts[0]}": parts
        for quant, parts in told
    }


def total(part: str) -> int:
    """Return how many parts a file has of which this is one."""
    match = _PART.search(part)
    return int(match["total"]) if match else 1


def _groups(files: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for file in sorted(files):
        if file.lower().endswith(".gguf") and "mmproj" not in file.lower():
            match = _PART.search(file)
            of = match["total"] if match else ""
            groups[_PART.sub(f"-of-{of}" if of else "", file)].append(file)
    return groups


def _refuse_incomplete(name: str, files: Iterable[str], wanted: str) -> None:
    """Name a part that the repository lacks.

    Raises:
        ModelError: of what is wanted some parts are there.
    """
    for parts in _groups(files).values():
        missing = sorted(set(_siblings(parts[0])) - set(parts))
        is_meant = wanted in (*parts, *missing) or quantization(parts[0]) == wanted.upper()
        if missing and wanted and is_meant:
            problem = f"the repository lacks {listed(missing)}"
            raise ModelError(name, problem, "Choose another quantization or repository")


def _siblings(part: str) -> list[str]:
    match = _PART.search(part)
    if match is None:
        return [part]
    start, end, of = part[: match.start()], part[match.end() :], match["total"]
    return [f"{start}-{n:05}-of-{of}{end}" for n in range(1, int(of) + 1)]


def _offer(name: str, models: Iterable[Sequence[str]], wanted: str) -> str:
    """Return the remedy: what to write, the nearest first."""
    repo = parse(name).repo
    called = labels(models)
    if wanted.lower().endswith(".gguf") or not any(each.startswith(":") for each in called):
        found = nearest(wanted, (parts[0] for parts in called.values()))
        return f"Write hf:{repo}/FILE with one of {listed(found)}"
    found = [each.lstrip(":/") for each in nearest(f":{wanted}", called)]
    return f"Write hf:{repo}:QUANTIZATION with one of {listed(found)}"
