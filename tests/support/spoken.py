"""Lectures for tests of chapters, plans and pages: what is said, when, and about what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.records import Chapter, Generation, Request, Segment, Source

SENTENCE_S, PAUSE_S = 9.5, 1.5
SENTENCES = 3  # of a paragraph: half a minute
TOPICS = {
    "en": ("sorting", "hashing", "graphs", "caching", "parsing"),
    "zh": ("排序算法", "哈希函数", "图的遍历", "缓存策略", "语法分析"),
}
_EVERY = [topic for topics in TOPICS.values() for topic in topics]
TITLES = {
    "en": {each: f"The idea of {each}" for each in _EVERY},
    "zh": {each: f"{each}的基本思路" for each in _EVERY},
}


def sentence(topic: str, i: int, language: str) -> str:
    if language == "zh":
        return f"{topic}的第{i}个例子说明了它在表格第{i * 7 % 50}行里起的作用。"
    return f"Example {i} of {topic} shows what it does in row {i * 7 % 50} of our table."


def lecture(
    topics: Sequence[str] = TOPICS["en"],
    *,
    minutes: float = 25.0,
    language: str = "en",
    uri: str = "/talks/day 1.mp4",
    title: str = "A Lecture",
) -> tuple[Source, list[Segment]]:
    """Return a lecture that is about one topic after the other, each for as long."""
    length = minutes * 60
    segments: list[Segment] = []
    at, paragraph = 0.0, 0
    while at + SENTENCES * SENTENCE_S <= length:
        paragraph += 1
        topic = topics[min(len(topics) - 1, int(at / length * len(topics)))]
        for _ in range(SENTENCES):
            n = len(segments) + 1
            segments.append(
                Segment(
                    source_id="s1",
                    n=n,
                    text=sentence(topic, n, language),
                    kind="sentence",
                    page=None,
                    page_label="",
                    paragraph=paragraph,
                    start_s=at,
                    end_s=at + SENTENCE_S,
                )
            )
            at += SENTENCE_S
        at += PAUSE_S
    source = Source(
        source_id="s1", uri=uri, kind="video", title=title, language=language,
        n_segments=len(segments), duration_s=length, transcription="speech", speech_model="small",
    )  # fmt: skip
    return source, segments


def with_chapters(
    source: Source, segments: Sequence[Segment], chapters: Sequence[tuple[int, str]]
) -> tuple[Source, list[Segment]]:
    """Return a lecture whose maker has given it chapters: first segments and titles."""
    begun = dict(chapters)
    known = {each.n: each for each in segments}
    title, said = "", []
    for each in segments:
        title = begun.get(each.n, title)
        said.append(replace(each, heading_path=(title,) if title else ()))
    own = tuple(Chapter(start_s=known[n].start_s or 0.0, title=text, n=n) for n, text in chapters)
    return replace(source, chapters=own), said


def topic_of(text: str) -> str:
    return next(each for each in _EVERY if each in text)


def good_chapters(request: Request, language: str = "en") -> str:
    """Return what a good model says: each topic once, at the line with which it begins."""
    topics = [topic_of(line.text) for line in request.lines]
    return "\n".join(
        f"[{i}] {TITLES[language][topic]}"
        for i, topic in enumerate(topics, start=1)
        if i == 1 or topic != topics[i - 2]
    )


def row_of(request: Request, text: str | None, **changes: object) -> Generation:
    """Return the row of an answer; of None, of one that never came."""
    values = {
        "key": request.key, "attempt": 1, "task": request.task, "source_id": request.source_id,
        "first_n": request.first_n, "last_n": request.last_n, "level": request.level,
        "text": text or "", "status": "failed" if text is None else "ok", "finish_reason": "stop",
    }  # fmt: skip
    return Generation(**{**values, **changes})  # type: ignore[arg-type]
