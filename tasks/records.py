"""The nouns of the pipeline: Source, Segment, Chunk, Request, Generation, Document.

Frozen, typed, and without behaviour beyond what follows from their own fields. How they
are stored is the business of `tasks.land`.

The way of the data:
    source -> segments -> chunks -> requests -> generations -> documents
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

SourceKind = Literal[
    "pdf", "text", "markdown", "html", "docx", "epub", "video", "audio", "subtitles", "unknown"
]
CaptionsMode = Literal["prefer", "ignore", "only"]
Transcription = Literal["", "speech", "captions"]
OcrMode = Literal["auto", "always", "never"]
RopeScaling = Literal["auto", "none", "linear", "ntk", "yarn"]
SourceStatus = Literal["ok", "partial", "failed"]
SegmentKind = Literal["heading", "sentence", "code", "contents", "reference"]
GenerationTask = Literal["summarize", "merge", "translate", "glossary", "chapters"]
GenerationStatus = Literal["ok", "failed"]
SummaryLength = Literal["short", "medium", "long", "outline"]
LineStatus = Literal["ok", "repaired", "kept", "failed"]
TermOrigin = Literal["user", "found", "settled"]
TranslationMode = Literal["parallel", "sequential"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A part of what is played; it lasts until the next one begins.

    Attributes:
        n: the first segment in it; None where none is known yet.
    """

    start_s: float
    title: str
    n: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One document as it was given, and how reading it went.

    Attributes:
        source_id: hex sha256 of the content and of how it was read: the extractor's version,
            the format where it is no PDF, and the pages whose text was recognised, by which
            program and for which languages. For a source that can't be had at all, of its uri.
        uri: the absolute path, a file: URL where the path is no UTF-8, or an http(s) URL.
        kind: its format as the content says; "unknown" where no format was found.
        language: ISO 639-1 code found in the text ("en", "zh"), or "und".
        n_pages: 0 where the file could not be opened, or has no pages.
        pages_without_text: page indices, from 1, on which no text was found.
        duration_s: of what is played; null for what is read.
        chapters: as its maker has them; the model's own are the summary's.
        transcription: where the words are from: recognised in its speech, or captions; "" for what
            is read.
        speech_model: the model that recognised them; "" for captions.
        error: one line: what is wrong and what to do. With status "ok" it is why nothing could be
            made of it at last: it is in the language to translate into, for one.
        remedy: what to do, alone: the end of `error`; may be empty.
        read_at: UTC; when it was read last.
    """

    source_id: str
    uri: str
    kind: SourceKind = "pdf"
    title: str = ""
    language: str = "und"
    n_pages: int = 0
    n_segments: int = 0
    status: SourceStatus = "ok"
    error: str = ""
    remedy: str = ""
    pages_without_text: tuple[int, ...] = ()
    duration_s: float | None = None
    chapters: tuple[Chapter, ...] = ()
    transcription: Transcription = ""
    speech_model: str = ""
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A numbered piece of a source's text: a sentence, a heading, a line of a listing.

    Attributes:
        n: its number within the source, from 1, without gaps.
        page: index of the page on which it begins, from 1; None: the document has no pages.
        page_label: the label printed on that page ("iv", "12"), or str(page); "" without pages.
        paragraph: ordinal of its paragraph within the source, from 1; a heading has its own.
        heading_path: the headings it stands under, outermost first. A heading's own text is
            the last item of its own path. Of what is played: its chapter.
        start_s, end_s: of what is played: when its first word begins and its last one ends.
        speaker: where captions name one.
        marks: why its words may not be what was said, or not all of it: no_speech, over_silence,
            gap, repetition, compression (see tasks.media.guards).
    """

    source_id: str
    n: int
    text: str
    kind: SegmentKind
    page: int | None
    page_label: str
    paragraph: int
    heading_path: tuple[str, ...] = ()
    start_s: float | None = None
    end_s: float | None = None
    speaker: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """What a subtitle shows at once: a row of the table `cues`.

    Attributes:
        cue: its number within the source, from 1.
        start_ms, end_ms: milliseconds; of captions their own.
        text: its lines, without styling.
        speaker: where captions name one.
    """

    source_id: str
    cue: int
    start_ms: int
    end_ms: int
    text: str
    speaker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A spoken word: a row of the table `words`.

    Attributes:
        n: the segment it is in.
        cue: the cue that shows it.
        word: with the punctuation that is written to it; of Chinese or Japanese it may be a
            character.
        is_spaced: whether a space stands before it.
        probability: as the model that recognised it has it; null for captions, whose words share
            their cue's time by their lengths.
    """

    source_id: str
    n: int
    cue: int
    word: str
    start_s: float
    end_s: float
    is_spaced: bool = True
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One numbered line of a prompt, and the segment it shows (whole, or a part of it).

    Attributes:
        n: the segment's number in the source. The number shown to the model is the line's
            position in the prompt, from 1.
        text: what the model sees, on one line.
        paragraph: lines of one paragraph stand together; a blank line parts paragraphs.
    """

    n: int
    text: str
    paragraph: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Consecutive segments of one section that fit a prompt, with their context.

    Attributes:
        index: position among the source's chunks, from 0.
        context: the last sentences before the chunk, as one text; marked in the prompt as
            not to be summarised. Empty at the start of a source.
        prompt_tokens: exact size of the rendered prompt, chat template included.
    """

    source_id: str
    index: int
    title: str
    heading_path: tuple[str, ...]
    lines: tuple[Line, ...]
    context: str
    prompt_tokens: int = 0

    @property
    def first_n(self) -> int:
        return self.lines[0].n

    @property
    def last_n(self) -> int:
        return self.lines[-1].n


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message, in OpenAI's terms."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How an answer is sampled; names and meanings are OpenAI's and llama.cpp's."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRef:
    """Which prompt file a request was rendered from."""

    name: str
    version: int
    language: str
    hash: str


@dataclass(frozen=True, slots=True)
class Term:
    """How a name or a term is rendered.

    Attributes:
        note: the user's own; kept, and told to nobody.
        exact: it occurs only as it is written, capitals included: a name.
    """

    source: str
    target: str
    note: str = ""
    exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GlossaryEntry:
    """A term as a document's translation had it: a row of the table `glossary`.

    Attributes:
        language, to: codes of the source's language and of the translation's.
        rendering: "" where the model proposed none that is fit: each passage has its own.
        origin: user: from the user's file; found: proposed by the model for this translation;
            settled: taken over from another one of the same source, or of an earlier state of it.
        count: segments of the source in which it occurs.
        made_by: hex sha256 of the model and the prompt that proposed what is found.
        settled_at: UTC; when the translation was landed.
    """

    document_id: str
    source_id: str
    uri: str
    language: str
    to: str
    term: str
    rendering: str
    note: str
    origin: TermOrigin
    count: int
    made_by: str
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call of the model, planned. Same key, same work: it is never asked twice.

    Attributes:
        key: hex sha256 of everything that determines the answer: the model's identity, the
            messages as rendered, the sampling parameters.
        level: 0 for notes on chunks, 1 and up for merges; of translations the rung.
        earlier: the attempts at it that are on record. A later attempt differs in its sampling,
            yet keeps the key: the row of `generations` is (key, attempt).
        lines: the numbered lines shown inside <source>.
        language: the one asked for; empty: any. source_language: the document's.
        marks: checks that already failed when this was planned; the row's checks hold them.
        glossary: the entries that a translation was told.
    """

    key: str
    task: GenerationTask
    source_id: str
    level: int
    messages: tuple[Message, ...]
    sampling: Sampling
    prompt: PromptRef
    prompt_tokens: int
    lines: tuple[Line, ...]
    earlier: tuple[Generation, ...] = ()
    language: str = ""
    source_language: str = "und"
    marks: tuple[str, ...] = ()
    glossary: tuple[Term, ...] = ()

    @property
    def first_n(self) -> int:
        return min(line.n for line in self.lines)

    @property
    def last_n(self) -> int:
        return max(line.n for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One finished call of the model: a row of the `generations` table.

    Attributes:
        attempt: from 1.
        checks: names of the checks that the answer failed; empty when all passed, and where
            there was no answer.
        error: one line, for status "failed"; else empty.
        queue_s, prefill_s, decode_s, ttft_s, tpot_s, e2e_s: seconds, as the pool measured
            them. ttft_s counts from submission; tpot_s is decode_s / (completion_tokens - 1),
            null below two tokens. Null where a foreign server does not tell.
    """

    key: str
    attempt: int
    task: GenerationTask
    source_id: str
    first_n: int
    last_n: int
    level: int
    text: str
    status: GenerationStatus
    checks: tuple[str, ...] = ()
    error: str = ""
    finish_reason: str = ""
    model: str = ""
    quantization: str = ""
    prompt_name: str = ""
    prompt_version: int = 0
    prompt_hash: str = ""
    max_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    seed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    mean_logprob: float | None = None
    queue_s: float | None = None
    prefill_s: float | None = None
    decode_s: float | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    worker: str = ""
    started_at: datetime | None = None
    flow_run_id: str = ""
    task_run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A segment that a bullet rests on, with the page that code found for it.

    Attributes:
        page, page_label, start_s: as the segment's.
    """

    n: int
    page: int | None
    page_label: str
    start_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bullet:
    """One statement of a summary.

    Attributes:
        text: without its citations.
        citations: the segments it rests on, in the order the model named them. Empty is
            possible; such a bullet is marked in the output.
        unsupported: figures and names in the text that stand in none of the cited segments.
    """

    text: str
    citations: tuple[Citation, ...] = ()
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SummarySection:
    """The bullets under one heading; a plain summary is one section without a heading.

    Attributes:
        start_s: of what is played: when its chapter begins.
    """

    heading: str
    bullets: tuple[Bullet, ...]
    start_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many of a source's segments reached the model, and what became of the others.

    Of a summary: ok: shown to the model in a call that succeeded. kept: left out by rule (headings,
    tables of contents, reference lists). failed: in a chunk whose every attempt failed. repaired is
    for segments that needed a further attempt. Of a translation: as TranslatedLine has it. Their
    sum is the source's n_segments.
    """

    ok: int = 0
    repaired: int = 0
    kept: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.ok + self.repaired + self.kept + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslatedLine:
    """A segment of a translated document: a row of the table `lines`.

    Attributes:
        n: the segment's number.
        text: the translation; of a segment that is kept, the source.
        status: ok: accepted at once; repaired: when asked again; failed: translated, but it fails a
            check; kept: not translated, by rule or since no answer could be shown.
        reason: the checks that failed, or the rule; "" for ok and repaired.
        key: of the answer; "" where none was asked for.
        mean_logprob: of all tokens of that answer, natural logarithm; null without an answer.
    """

    document_id: str
    source_id: str
    n: int
    text: str
    status: LineStatus
    reason: str = ""
    key: str = ""
    mean_logprob: float | None = None

    @property
    def is_doubtful(self) -> bool:
        """Whether it is marked: it failed a check, or is kept though not by rule."""
        return self.status == "failed" or (self.status == "kept" and bool(self.key))


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxEntry:
    """What became of a file of the inbox: a row of the table `inbox`.

    Attributes:
        content: hex sha256 of the file.
        made_by: hex sha256 of what it was translated with: the model, the prompts, the options.
            What failed is new with another of these, and where it is read in another way.
        language: of the translation; with another, every file is new.
        document_id: of the translation; once that is gone, the file is new. May be empty.
        status: as of a source; partial: with warnings.
        final: whether it is done with; not where what went wrong may be gone by the next run.
        ended_at: UTC.
    """

    content: str
    made_by: str
    language: str
    uri: str
    status: SourceStatus
    error: str = ""
    final: bool = True
    document_id: str = ""
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A finished summary, translation or transcript: a row of the `documents` table and the files
    beside it.

    Attributes:
        document_id: hex sha256 of source_id, kind, language, options, and what made it: the model,
            the prompts, the budget of a call.
        failed_pages: labels of the pages whose notes failed and that a summary lacks, or on which
            lines of a translation are untranslated or doubtful; of a document without pages its
            paragraphs, as "¶ 12" or "¶ 12–20"; of what is played times, as "1:02:03".
        model: the model's name as the user gave it; of a transcript the one that recognised speech.
        paths: the files written beside the tables (summary.md, summary.html), set by landing.
        created_at: UTC; when it was landed last. flow_run_id: the run that did it.
        calls, prompt_tokens, completion_tokens, busy_s: of all calls that its answers took,
            whenever and by which run; busy_s are the seconds with one or more of them under way.
    """

    document_id: str
    source_id: str
    kind: Literal["summary", "translation", "transcript"]
    language: str
    length: Literal["short", "medium", "long", "outline", ""]
    model: str
    title: str
    sections: tuple[SummarySection, ...]
    coverage: Coverage
    failed_pages: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    created_at: datetime | None = None
    flow_run_id: str = ""
    calls: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    busy_s: float | None = None
