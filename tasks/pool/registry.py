"""The models that have names: models.toml.

Owns the file's form. Looks for no model's files (tasks.pool.models).
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from tasks.errors import ModelError
from tasks.records import RopeScaling


class KnownModel(BaseModel):
    """A model in models.toml.

    Attributes:
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
    rope_factor: float = 1.0
    note: str = ""
    languages: tuple[str, ...] = ()
    licence: str = ""

    @model_validator(mode="after")
    def _has_one_origin(self) -> KnownModel:
        if bool(self.file) == bool(self.source):
            raise ValueError("give either file or source")
        return self


_Known = TypeAdapter(dict[str, KnownModel])


def read_known(path: Path) -> dict[str, KnownModel]:
    """Read models.toml; a missing file has no models.

    Raises:
        ModelError: it is malformed.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return _Known.validate_python(tables)
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise ModelError(str(path), f"it is no TOML ({error})", "Correct it") from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or error.title}: {one['msg']}"
            for one in error.errors()
        )
        raise ModelError(str(path), wrong, "Correct it") from error
