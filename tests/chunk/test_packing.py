"""Chunks: complete, in order, within the budget, and independent of other sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.generating import CharacterTokenizer, document, fake_spec, library, sentences

from tasks.chunk import chunk_segments
from tasks.errors import PromptError
from tasks.generate.budget import Budget
from tasks.generate.requests import RequestMaker
from tasks.generate.summary_requests import SummaryRequests
from tasks.records import Chunk, Segment, Source
from tasks.settings import Settings

tokens = CharacterTokenizer().count


def maker(source: Source, budget: int) -> SummaryRequests:
    settings = Settings(max_prompt_tokens=max(256, budget))
    spec = fake_spec()
    return SummaryRequests(
        RequestMaker(
            source, spec, library(), Budget.of(spec, settings), source.language, source.title, ""
        )
    )


def chunks_of(
    source: Source,
    segments: Sequence[Segment],
    budget: int = 600,
    max_lines: int | None = None,
    max_line_tokens: int | None = None,
) -> list[Chunk]:
    return chunk_segments(
        source,
        [segment for segment in segments if segment.kind == "sentence"],
        maker(source, budget).chunk_tokens,
        max_prompt_tokens=budget,
        max_lines=max_lines,
        line_tokens=tokens,
        max_line_tokens=max_line_tokens,
    )


def shown(chunks: Sequence[Chunk]) -> list[int]:
    return [line.n for chunk in chunks for line in chunk.lines]


def texts(chunk: Chunk) -> list[str]:
    return [line.text for line in chunk.lines]


sentence = st.text(
    alphabet=st.sampled_from("abc 字句。；,.<>/source|end[1]\n"), min_size=1, max_size=120
).map(lambda text: "x" + text)
paragraphs = st.lists(st.lists(sentence, min_size=1, max_size=5), max_size=5)
parts = st.lists(
    st.tuples(st.lists(st.sampled_from(["One", "Two", "三"]), max_size=2).map(tuple), paragraphs),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(parts, st.integers(420, 700), st.sampled_from([None, 1, 6]), st.sampled_from([None, 20]))
def test_no_prompt_is_over_budget_and_no_sentence_lost(
    sections: list[tuple[tuple[str, ...], list[list[str]]]],
    budget: int,
    max_lines: int | None,
    max_line_tokens: int | None,
) -> None:
    """Whatever the document: every prompt keeps every limit, every sentence is shown once."""
    source, segments = document(sections)
    count = maker(source, budget).chunk_tokens

    chunks = chunks_of(source, segments, budget, max_lines, max_line_tokens)

    wanted = [s.n for s in segments if s.kind == "sentence"]
    assert list(dict.fromkeys(shown(chunks))) == wanted
    assert shown(chunks) == sorted(shown(chunks))
    for chunk in chunks:
        assert chunk.prompt_tokens == count(chunk) <= budget
        assert max_lines is None or len(chunk.lines) <= max_lines
        assert max_line_tokens is None or all(tokens(t) <= max_line_tokens for t in texts(chunk))
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))


def test_a_chunk_never_crosses_a_heading() -> None:
    source, segments = document([(("A",), [["One."], ["Two."]]), (("B",), [["Three."]])])

    chunks = chunks_of(source, segments)

    assert [(chunk.heading_path, texts(chunk)) for chunk in chunks] == [
        (("A",), ["One.", "Two."]),
        (("B",), ["Three."]),
    ]


def test_chunks_end_with_paragraphs_where_they_can() -> None:
    source, segments = document([((), [sentences(5, t) for t in ("saw", "vice", "plane", "rule")])])

    chunks = chunks_of(source, segments, max_lines=7)

    assert [len(chunk.lines) for chunk in chunks] == [5, 5, 5, 5]


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    source, segments = document([((), [sentences(20)])])

    chunks = chunks_of(source, segments, max_lines=8)

    assert shown(chunks) == list(range(1, 21))
    assert max(len(chunk.lines) for chunk in chunks) <= 8


def test_the_last_chunk_is_not_a_crumb() -> None:
    """Nine lines where eight fit are not eight and one."""
    source, segments = document([((), [sentences(9)])])

    chunks = chunks_of(source, segments, max_lines=8)

    assert sorted(len(chunk.lines) for chunk in chunks) == [4, 5]


def test_context_is_the_last_three_sentences_of_the_same_section() -> None:
    source, segments = document([(("A",), [sentences(8)]), (("B",), [sentences(3, "saw")])])

    chunks = chunks_of(source, segments, budget=2000, max_lines=6)

    start = len(chunks[0].lines)
    assert [chunk.context for chunk in chunks] == [
        "",
        "\n".join(sentences(8)[start - 3 : start]),
        "",
    ]


def test_an_edit_changes_the_chunks_of_its_section_only() -> None:
    def build(word: str) -> list[Chunk]:
        middle = [*sentences(10, "vice"), f"A {word} sentence."]
        source, segments = document(
            [(("A",), [sentences(12)]), (("B",), [middle]), (("C",), [sentences(12, "saw")])]
        )
        return chunks_of(source, segments, max_lines=5)

    old, new = build("short"), build("very much longer and different")

    changed = [a.heading_path for a, b in zip(old, new, strict=True) if texts(a) != texts(b)]
    assert set(changed) == {("B",)}
    assert [c.context for c in old if c.heading_path != ("B",)] == [
        c.context for c in new if c.heading_path != ("B",)
    ]


def test_a_source_without_text_has_no_chunks() -> None:
    source, _ = document([])

    assert chunks_of(source, []) == []


def test_a_long_title_and_long_headings_are_shortened() -> None:
    """They never take the room of the text."""
    source, segments = document(
        [(tuple(f"Heading {i} " * 40 for i in range(5)), [sentences(4)])], title="Title " * 500
    )

    chunks = chunks_of(source, segments, budget=700)

    assert all(chunk.prompt_tokens <= 700 for chunk in chunks)
    assert tokens(chunks[0].title) <= 700 // 16
    assert len(chunks[0].heading_path) == 1


def test_a_budget_without_room_for_text_is_an_error() -> None:
    source, segments = document([((), [["One."]])])

    with pytest.raises(PromptError, match="LECTERN_MAX_PROMPT_TOKENS"):
        chunks_of(source, segments, budget=300)


def test_a_book_is_packed_with_few_counts_of_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting a prompt is what packing costs: fewer of it than the book has sentences."""
    counts = 0
    count = SummaryRequests.chunk_tokens

    def counting(*arguments: Any) -> int:
        nonlocal counts
        counts += 1
        return count(*arguments)

    monkeypatch.setattr(SummaryRequests, "chunk_tokens", counting)
    source, segments = document(
        [((f"Chapter {i}",), [sentences(25), sentences(25)]) for i in range(200)]
    )

    chunks = chunks_of(source, segments, budget=2500)

    assert len(shown(chunks)) == 10_000
    assert 0 < counts < 10_000
