"""How a model's name may be written: with blanks around it, in wide characters, as an address.

Owns what such a name says, and what one likely means that is a path to nothing. Asks no hub.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

from tasks.models import hub_names, ollama
from tasks.models.adapters import AdaptedName, take_apart
from tasks.models.split_files import user_path

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


def read_name(name: str, exists: Callable[[str], bool]) -> AdaptedName:
    """Take a name apart; an address at a hub becomes the hf: name that it means.

    Args:
        exists: whether there is a model or a file of this name, which is then left as it is.

    Raises:
        ModelError: an adapter's scale is no number.
    """
    taken = take_apart(name if exists(name) else name.strip(), exists)
    adapters = (replace(each, file=_at_hub(each.file)) for each in taken.adapters)
    base = taken.base if exists(taken.base) else _narrow(taken.base)
    return replace(taken, base=_at_hub(base), adapters=tuple(adapters))


def is_address(name: str) -> bool:
    return bool(_ADDRESS.match(name))


def is_path(name: str) -> bool:
    """Tell whether a name is written like a path, whether or not anything is there."""
    return not _is_elsewhere(name) and ("/" in name or name.lower().endswith(".gguf"))


def meant_instead(name: str, base: Path) -> str:
    """Return the name of a model on a hub or in Ollama's store that was likely meant by what looks
    like a path; "" where there is such a path, at least its first folder, or nothing like that.

    Args:
        base: where a relative path counts from.
    """
    if not is_path(name) or _is_there(base / user_path(name).parts[0]):
        return ""
    return ollama.meant_by(name) or hub_names.meant_by(name)


def _is_there(path: Path) -> bool:
    """Tell whether there is something; of what can't be told, reading it tells more."""
    with suppress(OSError):
        return path.exists()
    return True


def _narrow(name: str) -> str:
    """Return a name in narrow characters (：as :), unless it is a path: folders may have others."""
    narrow = normalize("NFKC", name)
    return name if "/" in name and not _is_elsewhere(narrow) else narrow


def _at_hub(name: str) -> str:
    return (hub_names.meant_by(name) or name) if is_address(name) else name


def _is_elsewhere(name: str) -> bool:
    return name.startswith((hub_names.PREFIX, ollama.PREFIX)) or is_address(name)
