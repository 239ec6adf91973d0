"""What a model is talked to in: its own chat template, or its family's, and where answers end.

Owns the order in which that is decided. An answer ends where the template, or the family, ends
it: for files whose EOS is another token than the one that their answers end with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from tasks.errors import ModelError
from tasks.models.families.detect import detect
from tasks.models.families.form import Family
from tasks.models.families.table import BUILT_IN, FAMILIES, family
from tasks.models.nearest import listed, nearest
from tasks.models.template import ChatTemplate, JinjaRenderer, Renderer, RenderingChild
from tasks.models.use import Use
from tasks.models.vocabulary import Vocabulary


@dataclass(frozen=True)
class Form:
    """How a model is talked to.

    Attributes:
        family: its name; "" where the model has a template of its own.
        stop: strings that end an answer.
        stop_tokens: likewise; those that llama.cpp knows by itself are not among them.
        marks: texts in the prompt that are single tokens, which llama.cpp does not know.
        identity: what it adds to the file's own content; "": nothing.
    """

    template: ChatTemplate
    family: str
    stop: tuple[str, ...]
    stop_tokens: tuple[int, ...]
    marks: Mapping[str, int]
    identity: str = ""


def choose_form(name: str, file_name: str, use: Use, vocabulary: Vocabulary) -> Form:
    """Return the form: as models.toml says, else the settings, else the file, else its family.

    Args:
        name: the model's, for errors.

    Raises:
        ModelError: it writes no answers at all; there is no such family; the file's template
            fails; or it has none, and nothing tells its family.
    """
    if vocabulary.unfit:
        raise ModelError(name, vocabulary.unfit, "Choose an instruct or chat model")
    if use.template:
        given = _own(name, use.template, (), vocabulary)
        return replace(given, identity=_hash(use.template))
    built_in = BUILT_IN.get(vocabulary.template.strip(), "")
    if use.chat_format or built_in:
        return _of(family(use.chat_format or built_in, name), name, vocabulary)
    name_it = _name_it(vocabulary, file_name)
    if vocabulary.template_problem:
        raise ModelError(name, vocabulary.template_problem, f"Choose another model, or {name_it}")
    if vocabulary.template:
        return _own(name, vocabulary.template, template_ends(vocabulary), vocabulary)
    detected = detect(vocabulary, file_name)
    if not detected:
        raise ModelError(
            name,
            "it carries no chat template: it is a base model, or was converted without one",
            f"Choose an instruct or chat model, or {name_it}",
        )
    return _of(FAMILIES[detected], name, vocabulary)


def _name_it(vocabulary: Vocabulary, file_name: str) -> str:
    """Return how to name a model's family, those with names like its own first."""
    called = vocabulary.names[0] if vocabulary.names else file_name
    families = f"{listed(nearest(called, FAMILIES))}; all stand in docs/models.md"
    return f"name the family whose prompts it wants by LECTERN_POOL_CHAT_FORMAT ({families})"


def template_ends(vocabulary: Vocabulary) -> tuple[str, ...]:
    """Return what the file's own template ends an answer with: a control token, or text.

    Text only where no control token parts the turns at all; it is all that stands between an
    answer and the next question.
    """
    between = vocabulary.between.rstrip()
    head = between.lstrip()
    first = max((each for each in vocabulary.control if head.startswith(each)), key=len, default="")
    if first:
        return (first,)
    if any(token in between for token in vocabulary.control) or len(head) < 3:
        return ()
    return (between,)


def resolve_ends(
    ends: Iterable[str], marks: Mapping[str, int], vocabulary: Vocabulary
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Part what ends an answer into strings, and tokens that llama.cpp does not stop at."""
    tokens = {**vocabulary.special, **marks}
    strings = tuple(end for end in ends if end not in tokens)
    ids = (tokens[end] for end in ends if end in tokens)
    return strings, tuple(token for token in ids if token not in vocabulary.eog)


def _of(chosen: Family, name: str, vocabulary: Vocabulary) -> Form:
    ids = {
        mark: vocabulary.tokens.index(mark) for mark in chosen.marks if mark in vocabulary.tokens
    }
    marks = {mark: token for mark, token in ids.items() if mark not in vocabulary.special}
    stop, stop_tokens = resolve_ends(chosen.ends, marks, vocabulary)
    # It is ours, so no child process with limits has to render it.
    render = JinjaRenderer(chosen.template, *_bos_and_eos(vocabulary))
    template = _template(name, chosen.template, render, chosen.literals, vocabulary)
    identity = _hash(chosen.template, *chosen.ends, *chosen.marks)
    return Form(template, chosen.name, stop, stop_tokens, marks, identity)


def _own(name: str, source: str, ends: Iterable[str], vocabulary: Vocabulary) -> Form:
    stop, stop_tokens = resolve_ends(ends, {}, vocabulary)
    render = RenderingChild(source, *_bos_and_eos(vocabulary))
    return Form(_template(name, source, render, (), vocabulary), "", stop, stop_tokens, {})


def _hash(*parts: str) -> str:
    return sha256(json.dumps(parts).encode()).hexdigest()


def _template(
    name: str, source: str, render: Renderer, literals: Iterable[str], vocabulary: Vocabulary
) -> ChatTemplate:
    # User-defined tokens are ordinary text (runs of spaces, HTML tags), but for those that the
    # template itself builds the conversation with (<think>, <tool_call>).
    structural = [text for text in vocabulary.user_defined if text in source]
    special = [*vocabulary.control, *structural, *literals]
    return ChatTemplate(render, special_tokens=special, model=name)


def _bos_and_eos(vocabulary: Vocabulary) -> tuple[str, str]:
    return vocabulary.text(vocabulary.bos), vocabulary.text(vocabulary.eos)
