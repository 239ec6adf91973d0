"""How a model is used: as its entry in models.toml says, else as the settings do.

Owns which of the two wins. Knows neither files nor adapters.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.models.registry import KnownModel
from tasks.records import RopeScaling
from tasks.settings import Settings


@dataclass(frozen=True)
class Use:
    """What a model is told beside its file.

    Attributes:
        template: a chat template in Jinja, instead of the file's own; "": none.
        chat_format: the name of a family; "": none.
    """

    rope_scaling: RopeScaling
    rope_factor: float
    template: str
    chat_format: str


def use_of(known: KnownModel | None, settings: Settings) -> Use:
    """Return how a model is used here, whose entry in models.toml, if it has one, is `known`."""
    scaled = known is not None and (known.rope_scaling != "auto" or known.rope_factor != 1)
    own = known if scaled else None
    return Use(
        rope_scaling=own.rope_scaling if own else settings.pool_rope_scaling,
        rope_factor=own.rope_factor if own else settings.pool_rope_factor,
        template=known.template if known else "",
        chat_format=(known.chat_format if known else "") or settings.pool_chat_format or "",
    )
