"""Documents to numbered segments. Owns reading PDFs; knows nothing of models and tables."""

from tasks.extract.extraction import EXTRACTOR_VERSION, Extracted, extract
from tasks.extract.sources import find_sources

__all__ = ["EXTRACTOR_VERSION", "Extracted", "extract", "find_sources"]
