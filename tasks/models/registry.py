"""The models that have names: models.toml.

Owns the file's form, reading such files, and telling of errors by those names. Looks for no model's
files (tasks.models.files).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from tasks.errors import ModelError
from tasks.models.hub_names import QuantizationError, parse
from tasks.models.nearest import listed, nearest
from tasks.records import RopeScaling


class Evidence(BaseModel):
    """Where some fields of an entry are from.

    Attributes:
        of: the fields.
        source: an address, or a repository and a path in it; or that they are computed, and from
            what.
        date: when that was published or, if it does not tell, seen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    of: tuple[str, ...]
    source: str
    date: date


class ModelShape(BaseModel):
    """What a model's size and memory follow from; names are GGUF's.

    Attributes:
        architecture: as llama.cpp calls it (src/llama-arch.cpp).
        context_length: tokens that it was trained on.
        key_length: of a head; 0: embedding_length / head_count.
        tied_embeddings: the output matrix is that of the embeddings.
        repeated_embeddings: though it is, the file has it twice, as those of Qwen2.5 do.
        attention_bias: queries, keys and values have one, in an architecture where some do.
        expert_count, expert_used_count, expert_feed_forward_length: of a mixture of experts.
        sliding_window: tokens that its local layers look back; 0: it has none.
        full_attention_interval: in a hybrid, each so many'th block has attention, others a state.
        ssm_conv_kernel, ssm_group_count, ssm_inner_size, ssm_state_size, ssm_time_step_rank: of
            that state.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str
    n_vocab: PositiveInt
    context_length: PositiveInt
    block_count: PositiveInt
    embedding_length: PositiveInt
    feed_forward_length: PositiveInt
    head_count: PositiveInt
    head_count_kv: PositiveInt
    key_length: NonNegativeInt = 0
    tied_embeddings: bool = False
    repeated_embeddings: bool = False
    attention_bias: bool = False
    expert_count: NonNegativeInt = 0
    expert_used_count: NonNegativeInt = 0
    expert_feed_forward_length: NonNegativeInt = 0
    sliding_window: NonNegativeInt = 0
    full_attention_interval: NonNegativeInt = 0
    ssm_conv_kernel: NonNegativeInt = 0
    ssm_group_count: NonNegativeInt = 0
    ssm_inner_size: NonNegativeInt = 0
    ssm_state_size: NonNegativeInt = 0
    ssm_time_step_rank: NonNegativeInt = 0

    @property
    def head_length(self) -> int:
        """Of a key and a value."""
        return self.key_length or self.embedding_length // self.head_count

    def has_state(self, block: int) -> bool:
        """Return whether a block of a hybrid has a state, and no attention."""
        interval = self.full_attention_interval
        return interval > 0 and (block + 1) % interval != 0


class KnownModel(BaseModel):
    """A model in models.toml.

    Attributes:
        size_class: as people say it, such as 7B.
        recommended: the one to take of its class.
        parameters: weights of all tensors, exactly.
        n_ctx: tokens that it can take as it is, without scaled positions; 0: not known.
        languages: codes as in ISO 639-1, and more in words.
        quantizations: those that the repository of `source` has.
        files: their names in it; {quantization} stands for one, * for the numbers of parts.
        template: a chat template in Jinja, instead of the file's own.
        chat_format: the family whose prompts it wants, instead of the file's own.
        lora: adapters, as the setting `pool_lora` has them.
        rope_scaling, rope_factor: as the settings pool_rope_scaling and pool_rope_factor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = ""
    source: str = ""
    max_prompt_tokens: int | None = None
    max_lines: int | None = None
    max_line_tokens: int | None = None
    template: str = ""
    chat_format: str = ""
    lora: tuple[str, ...] = ()
    rope_scaling: RopeScaling = "auto"
    rope_factor: float = Field(1.0, ge=1, le=128)
    note: str = ""
    size_class: str = ""
    recommended: bool = False
    parameters: NonNegativeInt = 0
    n_ctx: NonNegativeInt = 0
    languages: tuple[str, ...] = ()
    licence: str = ""
    released: date | None = None
    quantizations: tuple[str, ...] = ()
    files: str = ""
    shape: ModelShape | None = None
    evidence: tuple[Evidence, ...] = ()

    @model_validator(mode="after")
    def _has_one_origin(self) -> KnownModel:
        if bool(self.file) == bool(self.source):
            raise ValueError("give either file or source")
        return self


Table = TypeVar("Table")
_FORM = TypeAdapter(dict[str, KnownModel])


def read_known(path: Path) -> dict[str, KnownModel]:
    """Read models.toml; a missing file has no models.

    Raises:
        ModelError: it is malformed, or can't be read.
    """
    return read_tables(path, _FORM)


def read_tables(path: Path, form: TypeAdapter[dict[str, Table]]) -> dict[str, Table]:
    """Read a file of TOML that has a table a model; a missing file has none.

    Raises:
        ModelError: it is malformed, or can't be read.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # as Windows' editor saves it
        return form.validate_python(tables)
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise ModelError(str(path), f"it is no TOML ({error})", "Correct it") from error
    except UnicodeDecodeError as error:
        raise ModelError(str(path), "it is not in UTF-8", "Save it as UTF-8") from error
    except OSError as error:
        problem = f"it can't be read ({error.strerror})"
        raise ModelError(str(path), problem, "Check its permissions") from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or error.title}: {one['msg']}"
            for one in error.errors()
        )
        raise ModelError(str(path), wrong, "Correct it") from error


@contextmanager
def told_as(called: str, origin: str, entry: KnownModel | None) -> Iterator[None]:
    """Tell what a repository has, or should have, by the name that models.toml has for it.

    Args:
        called: a name, perhaps with a quantization; origin: what it means; entry: its own.

    Raises:
        ModelError: something failed.
    """
    try:
        yield
    except ModelError as error:
        if entry is None or not origin.startswith("hf:"):
            raise
        name = called if origin == entry.source else called.rpartition(":")[0]
        if isinstance(error, QuantizationError):
            raise QuantizationError(called, error.problem, name, error.offered) from error
        wanted = parse(origin).wanted
        if not entry.quantizations or wanted.lower() in map(str.lower, entry.quantizations):
            raise
        has = f"models.toml has {name} in {listed(nearest(wanted, entry.quantizations))}"
        raise type(error)(error.subject, error.problem, f"{error.remedy}. {has}") from error
