"""A model as the flows and the pool's front see it: its limits, tokenizer and chat template.

Owns putting the parts together (files, identity, vocabulary, tokenizer, template) once a
process. No weights are loaded here; that is the worker's business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.models.elsewhere import n_ctx_there
from tasks.models.families.choose import choose_form
from tasks.models.files import (
    Lora,
    ModelFiles,
    Progress,
    identify,
    identify_adapters,
    resolve,
    stamp_of,
)
from tasks.models.registry import KnownModel
from tasks.models.rope import n_ctx_max
from tasks.models.template import ChatTemplate
from tasks.models.tokenizer import Tokenizer, make_tokenizer
from tasks.models.use import Use, use_of
from tasks.models.vocabulary import Vocabulary, load_vocabulary
from tasks.records import Message, RopeScaling
from tasks.settings import Settings


@dataclass(frozen=True)
class ModelSpec:
    """What is to be known of a model without loading its weights.

    Attributes:
        name: as the user gave it.
        path: the file; part 1 of a split one.
        identity: hex sha256 of the file's bytes.
        n_ctx_train: 0 where the file does not tell.
        n_ctx_max: tokens that it takes as it is used, its positions scaled; 0: not known.
        max_prompt_tokens, max_lines, max_line_tokens: the model's own limits; None: none.
        note: a sentence to show wherever the model is used; may be empty.
        bos: the token to put before every prompt; None where there is none.
        stop: strings that end an answer beside the model's own tokens.
        stop_tokens: likewise.
        lora, rope_scaling, rope_factor: as WorkerConfig has them.
        form: what tells its prompts' form from the file's own; "": it is the file's own.
        files, stamp: what is_unchanged() looks at.
    """

    name: str
    path: Path
    identity: str
    quantization: str
    n_ctx_train: int
    max_prompt_tokens: int | None
    max_lines: int | None
    max_line_tokens: int | None
    note: str
    tokenizer: Tokenizer
    template: ChatTemplate
    bos: int | None = None
    n_ctx_max: int = 0
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[int, ...] = ()
    lora: Lora = ()
    rope_scaling: RopeScaling = "auto"
    rope_factor: float = 1.0
    form: str = ""
    files: ModelFiles | None = None
    stamp: str = ""

    @property
    def answers_by(self) -> str:
        """What determines its answers beside the messages: the file, its adapters, its positions,
        and how it is talked to."""
        parts = [self.identity, *(f"{sha256}@{scale:g}" for _, scale, sha256 in self.lora)]
        if self.rope_scaling != "auto" or self.rope_factor != 1:
            parts.append(f"{self.rope_scaling} {self.rope_factor:g}")
        return ", ".join([*parts, self.form] if self.form else parts)

    def is_unchanged(self) -> bool:
        """Tell whether the files are still those that `identity` was made of."""
        try:
            return self.files is None or str(stamp_of(self.files)) == self.stamp
        except OSError:
            return False

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt's tokens, with the BOS once if llama.cpp would put one there.

        No EOS is added, whatever the vocabulary says: the answer goes on from here.
        """
        ids = self.tokenizer.encode(self.template.render(messages))
        if self.bos is not None and ids[:1] != [self.bos]:
            ids.insert(0, self.bos)
        return ids

    def count(self, messages: Sequence[Message]) -> int:
        """Return the exact number of tokens that prompt(messages) has."""
        return len(self.prompt(messages))


_lock = threading.Lock()
_specs: dict[tuple[object, ...], ModelSpec] = {}


def load_spec(
    name: str,
    settings: Settings,
    progress: Progress | None = None,
    before_fetching: Callable[[ModelFiles], None] | None = None,
    *,
    header_only: bool = False,
) -> ModelSpec:
    """Return a model's spec; fetch the model first if its name says hf:.

    Cheap when this process has loaded the same files before.

    Args:
        progress: called as progress(label, done_bytes, total_bytes) while bytes are fetched
            or read; a total of 0: it takes a while, and nobody knows how long.
        before_fetching: as resolve() has it.
        header_only: nobody here needs the weights, as where another server has the model.

    Raises:
        ModelError: there is no such model, or it can't be fetched, read or used for chat.
    """
    elsewhere = bool(settings.pool_url)
    files = resolve(
        name, settings, progress, header_only=elsewhere or header_only,
        before_fetching=before_fetching,
    )  # fmt: skip
    stamp = str(stamp_of(files))
    identity = identify(files, settings.home, progress)
    use, lora = use_of(files.known, settings), identify_adapters(files, settings.home)
    key = (name, files, identity, stamp, use, lora)
    spec = _specs.get(key)
    if spec is None:  # a known model does not wait while another is read
        with _lock:
            spec = _specs.get(key)
            if spec is None:
                if progress:
                    progress(f"reading the vocabulary of {files.parts[0].name}", 0, 0)
                for old in [each for each in _specs if each[0] == name]:
                    del _specs[old]  # of what the file was before; its child ends with it
                kept_as = files.vocabulary_key(identity)
                vocabulary = load_vocabulary(files.parts[0], kept_as, settings.home, name)
                spec = _put_together(files, identity, stamp, vocabulary, use, lora)
                _specs[key] = spec
    return _as_served(spec, settings) if elsewhere else spec


def _as_served(spec: ModelSpec, settings: Settings) -> ModelSpec:
    """Return the spec with the window that another server gives the model, if it tells."""
    n_ctx = n_ctx_there(settings, spec.name)
    return replace(spec, n_ctx_max=n_ctx) if n_ctx else spec


def _put_together(
    files: ModelFiles, identity: str, stamp: str, vocabulary: Vocabulary, use: Use, lora: Lora
) -> ModelSpec:
    known = files.known or KnownModel(file=files.parts[0].name)
    form = choose_form(files.name, files.file_name, use, vocabulary)
    return ModelSpec(
        name=files.name,
        path=files.parts[0],
        identity=identity,
        quantization=vocabulary.quantization,
        n_ctx_train=vocabulary.rope.n_ctx_train,
        n_ctx_max=n_ctx_max(vocabulary.rope, use.rope_scaling, use.rope_factor),
        lora=lora,
        rope_scaling=use.rope_scaling,
        rope_factor=use.rope_factor,
        form=form.identity,
        max_prompt_tokens=known.max_prompt_tokens,
        max_lines=known.max_lines,
        max_line_tokens=known.max_line_tokens,
        note=known.note,
        tokenizer=make_tokenizer(vocabulary, files.parts[0], form.marks),
        template=form.template,
        stop=form.stop,
        stop_tokens=form.stop_tokens,
        bos=vocabulary.bos if vocabulary.add_bos and vocabulary.bos >= 0 else None,
        files=files,
        stamp=stamp,
    )
