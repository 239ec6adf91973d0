"""The prompt files: read, checked, and rendered into messages.

Owns the files' form and which variables each prompt has. Knows nothing of models, tokens or
chunks. prompts/README.md tells users the same.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from jinja2 import StrictUndefined, meta
from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import PromptError
from tasks.generate.languages import base, is_known
from tasks.records import Message, PromptRef

_SHOWN = frozenset({"language", "title", "section", "context", "source"})
# Each prompt's variables; what it must show is in _NEEDED.
VARIABLES: Mapping[str, frozenset[str]] = {
    "summarize": _SHOWN | {"max_bullets"},
    "merge": _SHOWN - {"context"} | {"max_bullets", "notes"},
    "translate": _SHOWN | {"glossary", "pairs"},
    "glossary": _SHOWN - {"section"},
    "chapters": _SHOWN - {"section"} | {"max_chapters"},
}
_NEEDED: Mapping[str, frozenset[str]] = {
    "summarize": frozenset({"source"}),
    "merge": frozenset({"source", "notes"}),
    "translate": frozenset({"source"}),
    "glossary": frozenset({"source"}),
    "chapters": frozenset({"source"}),
}

_environment = SandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, autoescape=False
)


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Texts(_Form):
    system: str
    user: str


class _File(BaseModel):
    """A section is the text for answers in one language; [en] is also for all without a section."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, _Texts] = Field(init=False)

    name: str
    version: int = Field(ge=1)
    en: _Texts
    zh: _Texts


@dataclass(frozen=True)
class _Prompt:
    """One file, ready to render."""

    path: Path
    version: int
    hash: str
    templates: Mapping[str, tuple[jinja2.Template, jinja2.Template]]


class PromptLibrary:
    """The prompts of some folders; a file in a later folder stands for one of the same name.

    Raises:
        PromptError: a folder or file is missing or wrong; it names the file and the variable.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        paths = {path.name: path for folder in folders for path in _files(folder)}
        self._prompts = {path.stem: _read(path) for path in paths.values()}
        if missing := VARIABLES.keys() - self._prompts.keys():
            where = " or ".join(str(folder) for folder in folders)
            raise PromptError(where, f"{min(missing)}.toml is missing", "Restore it")

    def hash(self, name: str) -> str:
        """Return the sha256 of a prompt's file."""
        return self._prompts[name].hash

    def render(
        self, name: str, language: str, variables: Mapping[str, str | int]
    ) -> tuple[tuple[Message, ...], PromptRef]:
        """Return a prompt's messages, and which file they come from.

        Args:
            language: code of the answer's; where the file has no section for it, [en] is taken.
            variables: all that the prompt has, by VARIABLES.

        Raises:
            PromptError: no such prompt, or a variable is missing or unknown.
        """
        prompt = self._prompts.get(name)
        if prompt is None:
            raise PromptError(name, f"no such prompt; there are {_listed(self._prompts)}")
        wanted = (language.lower(), base(language), "en")
        section = next(each for each in wanted if each in prompt.templates)
        for variable in sorted(variables.keys() - VARIABLES[name]):
            raise _unknown(prompt.path, variable, name)
        for variable in sorted(VARIABLES[name] - variables.keys()):
            raise PromptError(str(prompt.path), f"no value was given for {variable}")
        try:
            system, user = (t.render(variables).strip() for t in prompt.templates[section])
        except jinja2.TemplateError as error:
            raise PromptError(str(prompt.path), f"it fails ({error})") from error
        messages = (Message("system", system), Message("user", user))
        ref = PromptRef(name=name, version=prompt.version, language=section, hash=prompt.hash)
        return tuple(message for message in messages if message.content), ref


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise PromptError(str(folder), "there is no such folder", "Give a folder of prompt files")
    return sorted(folder.glob("*.toml"))


def _read(path: Path) -> _Prompt:
    try:
        data = path.read_bytes()
        file = _File.model_validate(tomllib.loads(data.decode()))
    except OSError as error:
        raise PromptError(str(path), f"it can't be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PromptError(str(path), f"it is not TOML ({error})") from error
    except ValidationError as error:
        raise _malformed(path, error) from error
    if path.stem not in VARIABLES:
        raise PromptError(str(path), f"no such prompt; there are {_listed(VARIABLES)}", "Rename it")
    if file.name != path.stem:
        raise PromptError(str(path), f"its name is {file.name!r}", f"Make it {path.stem!r}")
    texts = {"en": file.en, "zh": file.zh, **file.__pydantic_extra__}
    for language in texts:
        if not is_known(language):
            raise PromptError(str(path), f"unknown language [{language}]", "Use a code: en, zh, de")
    return _Prompt(
        path=path,
        version=file.version,
        hash=hashlib.sha256(data).hexdigest(),
        templates={language: _compile(path, language, texts[language]) for language in texts},
    )


def _compile(path: Path, language: str, texts: _Texts) -> tuple[jinja2.Template, jinja2.Template]:
    """Return the templates of one language, after looking at the variables they use."""
    name = path.stem
    try:
        used = set().union(*(_variables(text) for text in _both(texts)))
        system, user = (_environment.from_string(text) for text in _both(texts))
    except jinja2.TemplateError as error:
        raise PromptError(str(path), f"[{language}] is not a template ({error})") from error
    for variable in sorted(used - VARIABLES[name]):
        raise _unknown(path, variable, name)
    for variable in sorted(_NEEDED[name] - used):
        remedy = f"Put {{{{ {variable} }}}} where the model is to read it"
        raise PromptError(str(path), f"[{language}] does not show {variable}", remedy)
    return system, user


def _variables(text: str) -> set[str]:
    used = meta.find_undeclared_variables(_environment.parse(text))
    return {variable for variable in used if variable not in _environment.globals}


def _both(texts: _Texts) -> tuple[str, str]:
    return texts.system, texts.user


def _malformed(path: Path, error: ValidationError) -> PromptError:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    is_field = len(first["loc"]) == 1 and field not in _File.model_fields
    if first["type"] == "extra_forbidden" or is_field:
        problem = f"unknown field {field}"
    elif first["type"] == "missing":
        problem = f"[{field}] is missing" if field in ("en", "zh") else f"{field} is missing"
    else:
        problem = f"{field}: {first['msg']}"
    remedy = "A prompt has name, version, and system and user under [en] and under [zh]"
    return PromptError(str(path), problem, remedy)


def _unknown(path: Path, variable: str, name: str) -> PromptError:
    remedy = f"The variables of {name} are {_listed(VARIABLES[name])}"
    return PromptError(str(path), f"unknown variable {variable}", remedy)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
