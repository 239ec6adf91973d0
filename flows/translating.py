"""From a flow's parameters to what is made: translations."""

from __future__ import annotations

from flows.making import Translations
from tasks.generate.glossary import read_glossary
from tasks.generate.languages import language_code
from tasks.generate.translate import TranslationOptions
from tasks.land.translations import Output
from tasks.records import TranslationMode
from tasks.settings import PROJECT_ROOT


def translations(
    to: str, mode: TranslationMode, glossary: str | None, output: Output
) -> Translations:
    """Return what is made.

    Args:
        glossary: path of a CSV file; a relative one counts from the project's folder.

    Raises:
        SourceError: the language is unknown, or the glossary can't be read.
    """
    terms = read_glossary(PROJECT_ROOT / glossary) if glossary else ()
    return Translations(TranslationOptions(language_code(to), mode, terms), output)
