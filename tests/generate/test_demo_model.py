"""The demo model, under the project's prompts, on documents that it was not trained on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.extract import extract
from tasks.generate.lines import numbered
from tasks.generate.prompts import PromptLibrary
from tasks.generate.summarize import SummaryOptions, SummaryPlan
from tasks.models.spec import ModelSpec, load_spec
from tasks.pool.client import PoolClient
from tasks.pool.lifecycle import ensure_pool, stop_pool
from tasks.records import Chunk, Generation, Line, Message, Request, Sampling
from tasks.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SAMPLES = PROJECT_ROOT / "data" / "samples"
GOAL = 0.9
CHUNKS = 24  # of each sample


def plan_of(sample: str, config: Settings) -> tuple[SummaryPlan, ModelSpec]:
    spec = load_spec("demo", config)
    extracted = extract(str(SAMPLES / sample), config)
    prompts = PromptLibrary([config.prompts])
    options = SummaryOptions()
    return SummaryPlan(extracted.source, extracted.segments, spec, prompts, options, config), spec


def answers(config: Settings, asked: Sequence[tuple[Sequence[Message], Sampling]]) -> list[str]:
    """Return the model's answers, from a pool that is stopped afterwards."""

    async def ask() -> list[str]:
        async with PoolClient(address.url, address.api_key) as client:
            given = await asyncio.gather(
                *(client.chat("demo", messages, sampling) for messages, sampling in asked)
            )
        return [answer.text for answer in given]

    address = ensure_pool(config)
    try:
        return asyncio.run(ask())
    finally:
        stop_pool(config)


def extract_of(lines: Sequence[Line]) -> list[str]:
    """Return what the model is trained to say of lines: the first of each paragraph."""
    firsts = [
        (n, line)
        for n, line in enumerate(lines, start=1)
        if n == 1 or line.paragraph != lines[n - 2].paragraph
    ]
    return [f"- {line.text} [{n}]" for n, line in firsts]


def share_right(pairs: Sequence[tuple[list[str], list[str]]]) -> float:
    """Return the share of lines that are as expected; missing and surplus lines are wrong."""
    right = sum(
        said == wanted
        for answer, expected in pairs
        for said, wanted in zip(answer, expected, strict=False)
    )
    return right / sum(max(len(answer), len(expected)) for answer, expected in pairs)


def done(request: Request, text: str) -> Generation:
    return Generation(
        key=request.key, attempt=1, task=request.task, source_id=request.source_id,
        first_n=request.first_n, last_n=request.last_n, level=request.level, text=text,
        status="ok",
    )  # fmt: skip


@pytest.mark.parametrize("sample", ["handbook-en.pdf", "chinese-zh.pdf", "two-columns-en.pdf"])
def test_summaries_are_extracts_with_right_citations(sample: str, config: Settings) -> None:
    """Notes and merges: nine lines in ten are verbatim, with the right number."""
    plan, _ = plan_of(sample, config)
    notes = plan.requests({})
    ideal = {each.key: done(each, "\n".join(extract_of(each.lines))) for each in notes}
    merges = plan.requests(ideal)
    requests = [*notes[:CHUNKS], *merges[:CHUNKS]]

    texts = answers(config, [(each.messages, each.sampling) for each in requests])

    pairs = [
        (text.splitlines(), extract_of(each.lines))
        for text, each in zip(texts, requests, strict=True)
    ]
    assert merges
    assert share_right(pairs) >= GOAL, pairs


@pytest.mark.parametrize(
    ("sample", "language"), [("handbook-en.pdf", "zh"), ("chinese-zh.pdf", "en")]
)
def test_a_translation_is_an_echo(sample: str, language: str, config: Settings) -> None:
    """Nine lines in ten come back as they are, each with its number."""
    plan, _ = plan_of(sample, config)
    chunks: list[Chunk] = plan.chunks[:CHUNKS]
    prompts = PromptLibrary([Path(config.prompts)])
    asked = []
    for chunk in chunks:
        variables = {
            "language": {"zh": "中文", "en": "English"}[language],
            "title": chunk.title, "context": chunk.context,
            "section": " > ".join(chunk.heading_path), "source": numbered(chunk.lines),
            "glossary": "", "pairs": "",
        }  # fmt: skip
        messages, _ref = prompts.render("translate", language, variables)
        asked.append((messages, Sampling(max_tokens=1000)))

    texts = answers(config, asked)

    pairs = [
        (text.splitlines(), [f"[{n}] {line.text}" for n, line in enumerate(chunk.lines, start=1)])
        for text, chunk in zip(texts, chunks, strict=True)
    ]
    assert share_right(pairs) >= GOAL, pairs
