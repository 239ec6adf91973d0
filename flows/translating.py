"""From a flow's parameters to what is made: translations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flows.making import Translations
from tasks.errors import SourceError
from tasks.generate.glossary_file import read_glossary
from tasks.generate.languages import language_code
from tasks.generate.translate import TranslationOptions
from tasks.land.translations import FORMATS, Format, Output
from tasks.naming import as_path
from tasks.records import TranslationMode
from tasks.settings import PROJECT_ROOT, Settings


@dataclass(frozen=True)
class Wanted:
    """What the flows that translate have in common; their docstrings explain it."""

    to: str | None
    source_language: str | None = None
    glossary: str | None = None
    output: Output = "bilingual"
    mode: TranslationMode = "parallel"
    beside: bool = False
    again: bool = False
    formats: Sequence[Format] | None = None

    def translations(self, settings: Settings) -> Translations:
        """Return what is made.

        Raises:
            SourceError: a language is unknown or missing, or the glossary can't be read.
        """
        to = self.to or settings.translate_to
        if to is None:
            remedy = "Say --to zh (or another language), or set LECTERN_TRANSLATE_TO"
            raise SourceError("translate", "there is no language to translate into", remedy)
        given = language_code(self.source_language) if self.source_language else ""
        terms = read_glossary(as_path(self.glossary, PROJECT_ROOT)) if self.glossary else ()
        return Translations(
            TranslationOptions(language_code(to), given, self.mode, terms),
            self.output,
            self.beside,
            self.again,
            tuple(self.formats) if self.formats else FORMATS,
        )
