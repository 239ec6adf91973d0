"""Landing: what a run made goes to the disk, whole or not at all, and can be read back."""

from tasks.land.cost import cost_of
from tasks.land.documents import land_summary
from tasks.land.index import write_index
from tasks.land.ledger import Ledger
from tasks.land.sources import land_source
from tasks.land.statistics import Statistics, latest_run, statistics
from tasks.land.tables import collect, read_table
from tasks.land.transcripts import land_transcript
from tasks.land.translations import land_translation

__all__ = [
    "Ledger",
    "Statistics",
    "collect",
    "cost_of",
    "land_source",
    "land_summary",
    "land_transcript",
    "land_translation",
    "latest_run",
    "read_table",
    "statistics",
    "write_index",
]
