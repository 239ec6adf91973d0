"""All that is to be known of a model before it is loaded: for whoever looks at it.

Owns putting it together. A model that can't be used for chat is described as well, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.errors import ModelError
from tasks.models.families.choose import Form, choose_form
from tasks.models.files import Lora, ModelFiles, Progress, identify, identify_adapters, resolve
from tasks.models.header_facts import HeaderFacts, read_facts
from tasks.models.registry import KnownModel
from tasks.models.rope import n_ctx_max
from tasks.models.use import Use, use_of
from tasks.models.vocabulary import Vocabulary, load_vocabulary
from tasks.records import Message
from tasks.settings import Settings

SAMPLE = (
    Message("system", "You translate into English."),
    Message("user", "你好，世界！"),
)


@dataclass(frozen=True)
class Description:
    """A model.

    Attributes:
        identity: as identify() has it.
        n_bytes: of its files, as they are here or, of a header alone, on the hub.
        facts: None where llama.cpp can't load the file, for the reason in load_problem.
        n_ctx_max: tokens that it takes as it is used; 0: not known.
        form: how it is talked to; None where it can't be, for the reason in form_problem.
        ends: texts of the tokens, and strings, that end an answer.
        prompt: SAMPLE as the model is shown it; "" where that can't be.
    """

    files: ModelFiles
    identity: str
    n_bytes: int
    facts: HeaderFacts | None
    load_problem: ModelError | None
    vocabulary: Vocabulary
    n_ctx_max: int
    form: Form | None
    form_problem: ModelError | None
    ends: tuple[str, ...]
    adapters: Lora
    prompt: str

    @property
    def known(self) -> KnownModel | None:
        return self.files.known


def describe(name: str, settings: Settings, progress: Progress | None = None) -> Description:
    """Describe a model; of one on a hub that is not here, its header is fetched and no more.

    Raises:
        ModelError: there is no such model, or its header can't be read.
    """
    files = resolve(name, settings, progress, header_only=True)
    identity = identify(files, settings.home, progress)
    kept_as = files.vocabulary_key(identity)
    vocabulary = load_vocabulary(files.parts[0], kept_as, settings.home, name)
    use = use_of(files.known, settings)
    form, problem = _form(files, use, vocabulary)
    facts, load_problem = _facts(files)
    return Description(
        files=files,
        identity=identity,
        n_bytes=sum(part.stat().st_size for part in files.parts),
        facts=facts,
        load_problem=load_problem,
        vocabulary=vocabulary,
        n_ctx_max=n_ctx_max(vocabulary.rope, use.rope_scaling, use.rope_factor),
        form=form,
        form_problem=problem,
        ends=_ends(form, vocabulary),
        adapters=identify_adapters(files, settings.home, progress),
        prompt=form.template.render(SAMPLE) if form else "",
    )


def _facts(files: ModelFiles) -> tuple[HeaderFacts | None, ModelError | None]:
    try:
        return read_facts(files.parts[0], files.name), None
    except ModelError as error:
        return None, error


def _form(
    files: ModelFiles, use: Use, vocabulary: Vocabulary
) -> tuple[Form | None, ModelError | None]:
    try:
        form = choose_form(files.name, files.file_name, use, vocabulary)
        form.template.render(SAMPLE)
    except ModelError as error:
        return None, error
    return form, None


def _ends(form: Form | None, vocabulary: Vocabulary) -> tuple[str, ...]:
    tokens: Sequence[int] = [*vocabulary.eog, *(form.stop_tokens if form else ())]
    return (*(vocabulary.text(token) for token in tokens), *(form.stop if form else ()))
