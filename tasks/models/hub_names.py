"""What hf:owner/repo:quantization means among a repository's files, and what it may have meant.

Pure functions over names: asks no hub, looks at no disk.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from tasks.errors import ModelError
from tasks.models.nearest import listed, nearest

PREFIX = "hf:"
USUAL = "Q4_K_M"  # the quantization that people mean who say none, as llama.cpp does
_NAME = re.compile(r"hf:(?P<repo>[^/:]+/[^/:]+)(?:[:/](?P<wanted>.+))?")
_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_NO_OWNERS = ("api", "blog", "collections", "datasets", "docs", "learn", "papers", "spaces")
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


class QuantizationError(ModelError):
    """A repository has no such quantization, or several that may be meant.

    Attributes:
        offered: what there is, the nearest first.
    """

    def __init__(self, name: str, problem: str, base: str, offered: Sequence[str]) -> None:
        remedy = f"Write {base}:QUANTIZATION with one of {listed(offered)}"
        super().__init__(name, problem, remedy)
        self.offered = offered


def parse(name: str) -> HubName:
    """Take a name apart.

    Raises:
        ModelError: it is none.
    """
    match = _NAME.fullmatch(name)
    meant = meant_by(name.removeprefix(PREFIX))
    if match is None or meant not in ("", name):
        remedy = f"Write {meant or 'hf:owner/repo:quantization'}"
        raise ModelError(name, "this is no model name", remedy)
    if not is_repository(match["repo"]):
        problem = f"no repository can be called {match['repo']}"
        remedy = "Write its name as its page has it: Latin letters, digits, _, . and single -"
        raise ModelError(name, problem, remedy)
    return HubName(match["repo"], match["wanted"] or "")


def meant_by(text: str) -> str:
    """Return the hf: name that likely is meant by a page's or a file's address at a hub, with its
    https:// or not, or by owner/repo:quantization; "" where it is none of these.

    A path on this disk may look like owner/repo: whoever asks looks there first. Names have no
    revision, so an address of another than main means none.
    """
    path, _, query = _behind_host(text).partition("#")[0].partition("?")
    match unquote(path).removesuffix("/").split("/"):
        case [owner, repo, "blob" | "raw" | "resolve" | "tree", "main", *file]:
            pass
        case [owner, repo]:
            file = parse_qs(query).get("show_file_info", [])
        case _:
            return ""
    repo, _, quantization = repo.partition(":")
    if (
        not is_repository(f"{owner}/{repo}")
        or owner in _NO_OWNERS
        or repo.lower().endswith(".gguf")
    ):
        return ""
    if file and file[-1].lower().endswith(".gguf"):
        return f"{PREFIX}{owner}/{repo}/{'/'.join(file)}"
    return f"{PREFIX}{owner}/{repo}" + (f":{quantization}" if quantization else "")


def _behind_host(text: str) -> str:
    """Return what stands behind a hub's host in an address; the text where it has none."""
    from huggingface_hub import constants  # it takes a while to import

    address = re.sub("^https?://", "", text, flags=re.IGNORECASE)
    for host in (*_HOSTS, constants.ENDPOINT.partition("://")[2]):
        if address.lower().startswith(f"{host.lower()}/"):
            return address[len(host) + 1 :]
    is_file = address != text and "/resolve/main/" in address  # as only hubs have it
    return address.partition("/")[2] if is_file else text


def is_repository(repo: str) -> bool:
    """Tell whether a repository can have this name, by the rules of the hub."""
    from huggingface_hub.errors import HFValidationError  # they take a while to import
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo)
    except HFValidationError:
        return False
    return True


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
        raise _unclear(name, "which quantization is not said", models, USUAL)
    if len(chosen) > 1:
        raise _unclear(name, "several files match", chosen, wanted)
    what = "file" if wanted.lower().endswith(".gguf") else "quantization"
    raise _unclear(name, f"there is no such {what}", models, wanted)


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


def _unclear(name: str, problem: str, models: Iterable[Sequence[str]], wanted: str) -> ModelError:
    """Return the error with what to write, the nearest first."""
    base = f"{PREFIX}{parse(name).repo}"
    called = labels(models)
    if wanted.lower().endswith(".gguf") or not any(each.startswith(":") for each in called):
        found = nearest(wanted, (parts[0] for parts in called.values()))
        return ModelError(name, problem, f"Write {base}/FILE with one of {listed(found)}")
    found = [each.lstrip(":/") for each in nearest(f":{wanted}", called)]
    return QuantizationError(name, problem, base, found)
