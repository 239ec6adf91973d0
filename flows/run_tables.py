"""The tables on a run's page: how each source ended, what failed, what the calls cost.

Owns their columns and words. Pure: rows of text, as Prefect's UI shows them: it does not break a
cell's line, and hides what is wider than the page. So cells are broken here, and columns few and
short, that a window of 1280 pixels holds them all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from flows.rounds import Outcome
from tasks.errors import PipelineError
from tasks.generate.flaws import Flaw
from tasks.land.labels import labels
from tasks.land.rendering import markdown
from tasks.naming import short_name
from tasks.records import Coverage

if TYPE_CHECKING:  # polars takes longer to load than a command may to answer
    from tasks.land.statistics import CallStatistics, Statistics

Row = dict[str, str]

_LATENCIES = {
    "queue_s": "in the queue",
    "prefill_s": "reading the prompt",
    "decode_s": "writing the answer",
    "ttft_s": "until the first token",
    "tpot_s": "for a further token",
    "e2e_s": "in all",
}
_NAME, _TEXT = 20, 34  # letters wide; a Chinese character is two
_CODE = re.compile(r"`[^`]+`")
_PARTS = re.compile(r"(`[^`]+`)")
_SPACED = re.compile(r"\S(?:.*\S)?")  # what lies between the blanks at both ends
_UNBROKEN = "\ue000"  # for a space that stays
_PLACES = 8  # that are named
_OTHER_MODEL = "Try another model"
_AGAIN = "Run it again: what has no answer is asked for"
_LARGER_BUDGET = "Raise LECTERN_MAX_PROMPT_TOKENS"


def coverage_table(outcomes: Sequence[Outcome]) -> list[Row]:
    """Return a row a source: what became of its segments."""
    # The same columns for all: Prefect's UI shows those of the first row.
    cells = _translation_cells if of_translations(outcomes) else _summary_cells
    return [_coverage_row(outcome, cells) for outcome in outcomes]


def of_translations(outcomes: Sequence[Outcome]) -> bool:
    """Tell whether a run's documents are translations."""
    return any(each.document and each.document.kind == "translation" for each in outcomes)


def accounted_for(outcomes: Sequence[Outcome]) -> str:
    """Return how the segments of all translations ended, as a line."""
    covers = [each.document.coverage for each in outcomes if each.document]
    total = Coverage(
        ok=sum(cover.ok for cover in covers),
        repaired=sum(cover.repaired for cover in covers),
        kept=sum(cover.kept for cover in covers),
        failed=sum(cover.failed for cover in covers),
    )
    n_segments = sum(each.source.n_segments for each in outcomes if each.source and each.document)
    return labels("en").accounted(total, n_segments)


def token_table(statistics: Statistics) -> list[Row]:
    """Return a row a task."""
    return [_token_row(row) for row in statistics.calls]


def latency_table(statistics: Statistics) -> list[Row]:
    """Return a row a kind of time, with two columns a task."""
    return [
        {"seconds": words} | _latency_cells(statistics.calls, name)
        for name, words in _LATENCIES.items()
    ]


def failure_table(outcomes: Sequence[Outcome]) -> list[Row]:
    """Return a row for all that failed or was left out, with what to do; or one that says so."""
    rows = [
        {"source": _name(outcome.uri)} | {name: _broken(text) for name, text in row.items()}
        for outcome in outcomes
        for row in _failures(outcome)
    ]
    nothing = "nothing failed and nothing was left out"
    return rows or [{"source": "all of them"} | _failure(nothing, "")]


def as_markdown(rows: Sequence[Row]) -> list[Row]:
    """Return rows whose cells Prefect's UI, which takes them for Markdown, shows as they are; a
    command between backticks stays one. File names come from strangers."""
    return [{column: _markdown_cell(text) for column, text in row.items()} for row in rows]


def warning_lines(outcome: Outcome) -> list[str]:
    """Return what failed or was left out of a source, each with what to do, in a line."""
    if not (outcome.failed or outcome.warnings):
        return []
    name = short_name(outcome.uri)
    return [str(PipelineError(name, *row.values())) for row in _failures(outcome)]


def _coverage_row(outcome: Outcome, cells: Callable[[Coverage], Row]) -> Row:
    # What matters comes first.
    return {
        "source": _name(outcome.uri),
        "result": _result(outcome),
        **cells(outcome.document.coverage if outcome.document else Coverage()),
        "asked": f"{outcome.asked:,}",
        "known": f"{outcome.from_ledger:,}",
    }


def _summary_cells(cover: Coverage) -> Row:
    return {
        "failed": f"{cover.failed:,}",
        "summarised": f"{cover.ok + cover.repaired:,}",
        "left out": f"{cover.kept:,}",
    }


def _translation_cells(cover: Coverage) -> Row:
    return {
        "failed": f"{cover.failed:,}",
        "kept": f"{cover.kept:,}",
        "repaired": f"{cover.repaired:,}",
        "ok": f"{cover.ok:,}",
    }


def _result(outcome: Outcome) -> str:
    if outcome.failed:
        return "failed"
    if outcome.twin:
        return f"same as\n{_name(outcome.twin)}"
    return "with warnings" if outcome.warnings else "ok"


def _token_row(row: CallStatistics) -> Row:
    return {
        "task": row.task,
        "calls": f"{row.calls:,}",
        "failed": f"{row.failed:,}",
        "retries": f"{row.retries:,}",
        "prompt": f"{row.prompt_tokens:,}",
        "cached": f"{row.cached_tokens / max(row.prompt_tokens, 1):.0%}",
        "answer": f"{row.completion_tokens:,}",
        "prompt/s": _number(row.prompt_tokens_per_s, 0),
        "answer/s": _number(row.completion_tokens_per_s, 0),
    }


def _latency_cells(calls: Sequence[CallStatistics], name: str) -> Row:
    digits = 4 if name == "tpot_s" else 2
    return {
        f"{row.task}, {label}": _number(seconds, digits)
        for row in calls
        if row.task != "all"
        for label, seconds in (("p50", row.latencies[name].p50), ("p95", row.latencies[name].p95))
    }


def _failures(outcome: Outcome) -> Iterator[Row]:
    source = outcome.source
    if outcome.error:
        yield _failure(_problem(outcome.uri, outcome.error, outcome.remedy), outcome.remedy)
    elif source and source.error and not outcome.twin:
        yield _failure(_problem(outcome.uri, source.error, source.remedy), source.remedy)
    n_cut = 0
    lines: dict[tuple[str, str], list[Flaw]] = {}
    for flaw, times in Counter(outcome.flaws).items():
        if flaw.kind == "notes_cut":
            n_cut += times
        elif flaw.kind in ("line_failed", "line_kept"):
            lines.setdefault((flaw.kind, flaw.reason), []).extend([flaw] * times)
        else:
            yield _failure(_flaw(flaw), _OTHER_MODEL)
    for (kind, reason), flaws in lines.items():
        remedy = _AGAIN if reason == "no_answer" else _OTHER_MODEL
        yield _failure(_lines(kind, reason, flaws), remedy)
    if n_cut:
        yield _failure(f"{n_cut} of the merges saw only a part of the notes", _LARGER_BUDGET)


def _flaw(flaw: Flaw) -> str:
    is_one = flaw.first == flaw.last
    where = f"{flaw.unit} {flaw.first}" if is_one else f"{flaw.unit}s {flaw.first}–{flaw.last}"
    if flaw.kind == "chunk_failed":
        return f"no usable notes on {where} ({flaw.reason})"
    return f"the notes on {where} stand unmerged ({flaw.reason})"


def _lines(kind: str, reason: str, flaws: Sequence[Flaw]) -> str:
    """Return what became of lines that fail for the same reason, and where they are."""
    places = list(dict.fromkeys(flaw.first for flaw in flaws))
    shown = ", ".join(places[:_PLACES]) + (" …" if len(places) > _PLACES else "")
    unit = flaws[0].unit + ("s" if len(places) > 1 else "")
    what = "kept in the source's language" if kind == "line_kept" else "doubtful"
    return f"{_count(len(flaws))} {what}, {unit} {shown} ({reason.replace('_', ' ')})"


def _count(n: int) -> str:
    return "1 line" if n == 1 else f"{n:,} lines"


def _failure(what: str, remedy: str) -> Row:
    return {"what happened": what, "what to do": remedy}


def _name(uri: str) -> str:
    """Return a source's name, shorter the wider its characters are."""
    name = short_name(uri, _NAME)
    return short_name(uri, _NAME * len(name) // max(cell_len(name), 1))


def _broken(text: str) -> str:
    """Break a cell's text into lines; a command in it stays in one."""
    kept = _CODE.sub(lambda code: code[0].replace(" ", _UNBROKEN), text)
    lines = Text(kept).wrap(Console(width=_TEXT), _TEXT)
    return "\n".join(line.plain.strip() for line in lines).replace(_UNBROKEN, " ")


def _markdown_cell(text: str) -> str:
    return "\n".join(
        "".join(
            part if _CODE.fullmatch(part) else _SPACED.sub(lambda found: markdown(found[0]), part)
            for part in _PARTS.split(line)
        )
        for line in text.splitlines()
    )


def _problem(uri: str, error: str, remedy: str) -> str:
    """Return an error's line without the ends that have columns of their own."""
    return error.removeprefix(f"{uri}: ").removesuffix(f". {remedy}.")


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
