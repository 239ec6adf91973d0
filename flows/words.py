"""How a run speaks of what it makes, by the kind of its documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """Nouns and a participle.

    Attributes:
        one, many: "summary", "summaries".
        done: what a segment is afterwards: "summarised".
    """

    one: str
    many: str
    done: str

    def count(self, n: int) -> str:
        return f"{n} {self.one if n == 1 else self.many}"


WORDS: Mapping[str, Words] = {
    "summary": Words("summary", "summaries", "summarised"),
    "translation": Words("translation", "translations", "translated"),
    "transcript": Words("transcript", "transcripts", "transcribed"),
}
