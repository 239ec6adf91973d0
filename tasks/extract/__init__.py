"""Documents to numbered segments. Owns reading them; knows nothing of models and tables.

What it offers is imported when it is asked for: the child process, which lives in this package
too, would otherwise spend a tenth of a book's time on loading the parent's side.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.extract.extraction import EXTRACTOR_VERSION, Extracted, extract
    from tasks.extract.sources import find_sources

__all__ = ["EXTRACTOR_VERSION", "Extracted", "extract", "find_sources"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "sources" if name == "find_sources" else "extraction"
    return getattr(import_module(f"{__name__}.{home}"), name)
