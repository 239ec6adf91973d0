"""Compose training samples: a prompt, the wanted answer, and where each head should look.

Owns what the model is to do (`summarize` and `merge` copy the first line of each paragraph as a
bullet, `translate` copies every line) and the mixture of real and disturbed prompts.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

import chat
import corpus
from passages import Drawer, Line
from tokenizer import TURN_END, TURN_START
from tokenizers import Tokenizer

NOTES_MARK, SOURCE_MARK = "\ue000", "\ue001"
SPLIT = re.compile(f"[{NOTES_MARK}{SOURCE_MARK}]")
NAMES = {
    "en": ("English", "Chinese", "German", "French", "Japanese", "Spanish"),
    "zh": ("中文", "英文", "德文", "法文", "日文", "西班牙文"),
}
LAST_LINES = {
    "summary": (
        "Write the summary now.", "Now write your summary:", "Summarise it.", "Your summary:",
        "Summarize now.", "Please write the summary now.", "现在写出摘要。", "请写出摘要。",
        "现在概括。", "请开始概括：", "摘要：", "Write the summary.", "SUMMARY:", "现在写摘要",
    ),
    "translation": (
        "Write the translation now.", "Now write your translation:", "Translate it.",
        "Your translation:", "Translate now.", "Please write the translation now.",
        "现在写出译文。", "请写出译文。", "现在翻译。", "请开始翻译：", "译文：", "翻译如下：",
        "Write the translation.", "TRANSLATION:",
    ),
}  # fmt: skip
ORDERS = {
    "summary": (
        "Summarise the numbered lines.", "One bullet a paragraph, with the line's number.",
        "请概括下面的各行。", "Summarize the text below in English.", "Write notes.", "做笔记。",
    ),
    "translation": (
        "Translate every line.", "Keep the numbers; one line for each line.", "请逐行翻译。",
        "Translate the text below into Chinese.", "Put the source into German.", "译成英文。",
    ),
}  # fmt: skip
KEYWORD = re.compile(r"summar\w*|translat\w*|摘要|概括|译文|翻译", re.IGNORECASE)
SUFFIXES = ("", "", ".pdf", ".txt", " (final)", " v2", ".PDF")


@dataclass
class Sample:
    """Token ids and lessons; every lesson maps a position to the position to look at.

    `answer` is where the answer begins, `ending` where the source's closing tag does. `copies` is
    for the heads that copy, `lines` leads to the number that the current line goes by,
    `paragraphs` to the current paragraph's number, `openers` to the bracket that opens the line,
    `keyword` is the word that tells the mode.
    """

    ids: list[int]
    answer: int = 0
    keyword: int = 0
    ending: int = 0
    copies: dict[int, int] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)
    paragraphs: dict[int, int] = field(default_factory=dict)
    openers: dict[int, int] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Where a line stands in the prompt: `[`, `]` and the newline after its text."""

    line: Line
    opening: int
    closing: int
    newline: int


class Composer:
    """Composes samples from one random generator."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        documents: list[corpus.Document],
        seed: int = 0,
        real_share: float = 0.75,
    ) -> None:
        self.real_share = real_share
        self.rng = random.Random(seed)
        self.drawer = Drawer(tokenizer, documents, self.rng)
        self.tokenizer = tokenizer
        self.book = chat.PromptBook()
        self.newline, self.bracket, self.close, self.dash = (
            self.drawer.encode(text)[0] for text in ("\n", "[", "]", "-")
        )
        self.cite = self.drawer.encode("x [")[1]
        self.end = tokenizer.token_to_id(TURN_END)
        self.start = tokenizer.token_to_id(TURN_START)
        self.number = [self.drawer.encode(str(number))[0] for number in range(100)]
        self.structure = {self.newline, self.end, self.cite}
        self.before_choice = {self.bracket, self.dash, self.cite, self.newline}

    def sample(self, limit: int) -> Sample:
        """Compose one sample of at most `limit` tokens."""
        while True:
            mode = self.rng.choices(chat.MODES, (38, 24, 38))[0]
            composed = self._compose(mode, limit)
            if composed is not None:
                return composed

    def _compose(self, mode: str, limit: int) -> Sample | None:
        lines = self._lines()
        before, between, after = self._prompt(mode)
        head, middle, tail = (self.drawer.encode(text) for text in (before, between, after))
        room = limit - len(head) - len(middle) - len(tail) - 8
        lines = self._fitting(lines, mode, room)
        if not lines:
            return None
        if mode == "merge":
            head += self._notes(lines) + middle
        sample = Sample(head, breaks=[len(head)])
        places = self._source(sample, lines, len(after) - len(after.lstrip("\n")))
        sample.keyword = len(sample.ids) + self._keyword(after)
        sample.ids += tail
        sample.answer = len(sample.ids)
        if mode == "translate":
            self._translation(sample, places)
        else:
            self._summary(sample, places)
        sample.breaks.append(sample.answer)
        return sample if len(sample.ids) <= limit else None

    def _lines(self) -> list[Line]:
        """Draw between one and forty lines; many lines only where they are short."""
        longest = self.rng.choice((16, 30, 45, 60, 90, 120, 160))
        most = self.rng.choice((3, 6, 8, 8, 12, 16, 40 if longest < 50 else 20))
        return self.drawer.passage(self.rng.randint(1, most), longest)

    def _fitting(self, lines: list[Line], mode: str, room: int) -> list[Line]:
        """Keep as many lines as fit, counting what the notes and the answer will take."""
        kept: list[Line] = []
        for line in lines:
            times = {"translate": 2, "merge": 2, "summarize": 1}[mode]
            if mode != "translate" and line.starts_paragraph:
                times += 1
            room -= times * (len(line.ids) + 6)
            if room < 0:
                break
            kept.append(line)
        return kept

    # --- the prompt around the source

    def _prompt(self, mode: str) -> tuple[str, str, str]:
        """Write the text before the notes, between notes and source, and after the source.

        Where there are no notes the first part runs up to the source, the second is empty.
        """
        language = self.rng.choice(chat.LANGUAGES)
        prompt = self.book.render(mode, language, self._variables(language))
        if self.rng.random() > self.real_share:
            prompt = self._disturbed(prompt, mode)
        parts = SPLIT.split(prompt.chat())
        if mode == "merge":
            return parts[0], parts[1], parts[2]
        return parts[0], "", parts[1]

    def _variables(self, language: str) -> dict[str, object]:
        rng = self.rng
        page = self.drawer.document()
        count = rng.choice((0, 0, 1, 2, 3))
        context = "\n".join(line for line, _ in self.drawer.run_of_page(count))
        depth = rng.choice((0, 0, 1, 2, 3))
        return {
            "language": rng.choice(NAMES[language]),
            "max_bullets": rng.randint(1, 30),
            "title": rng.choice((page.title, page.title, self.drawer.text(60)))
            + rng.choice(SUFFIXES),
            "section": " > ".join(self._heading(page) for _ in range(depth)),
            "context": context,
            "notes": NOTES_MARK,
            "source": SOURCE_MARK + "\n" if rng.random() < 0.02 else SOURCE_MARK,
        }

    def _heading(self, page: corpus.Document) -> str:
        heading = self.rng.choice(page.headings or [page.title])
        return f"{self.rng.randint(1, 30)}.{self.rng.randint(1, 9)} {heading[:60]}"

    def _disturbed(self, prompt: chat.Prompt, mode: str) -> chat.Prompt:
        """Edit a prompt: other orders, lines left out, another last line, no system message."""
        rng = self.rng
        wanted = "translation" if mode == "translate" else "summary"
        frame = prompt.user.partition("\n<source>\n")[0]
        notes = f"\n<notes>\n{NOTES_MARK}\n</notes>" if mode == "merge" else ""
        if rng.random() < 0.5:
            frame = rng.choice(ORDERS[wanted]) if rng.random() < 0.7 else self.drawer.text(120)
        else:
            frame = frame.partition("\n<notes>\n")[0]
            frame = "\n".join(line for line in frame.split("\n") if rng.random() < 0.7)
        chance = rng.random()
        system = prompt.system
        if chance < 0.4:
            system = ""
        elif chance < 0.8:
            system = self.drawer.text(120)
        last = rng.choice(LAST_LINES[wanted])
        return chat.Prompt(
            system, f"{frame}{notes}\n<source>\n{SOURCE_MARK}\n</source>\n{last}".strip()
        )

    def _keyword(self, after: str) -> int:
        """Find the last word that tells the mode, in tokens from the end of the source."""
        encoded = self.tokenizer.encode(after, add_special_tokens=False)
        last = max(match.end() for match in KEYWORD.finditer(after)) - 1
        return next(i for i, (a, b) in enumerate(encoded.offsets) if a <= last < b)

    def _notes(self, lines: list[Line]) -> list[int]:
        """Write the notes of a merge: mostly the lines themselves, a group for each paragraph."""
        ids: list[int] = []
        same = self.rng.random() < 0.8
        for order, line in enumerate(lines, start=1):
            if ids and self.rng.random() < 0.1 and not line.starts_paragraph:
                ids[-1:] = [self.bracket, self.number[order], self.close, self.newline]
                continue
            if ids and line.starts_paragraph:
                ids.append(self.newline)
            text = line.ids if same or self.rng.random() < 0.5 else self._other_text(line)
            ids += [self.dash, *text, self.cite, self.number[order], self.close, self.newline]
        return ids[:-1]

    def _other_text(self, line: Line) -> list[int]:
        """Write a note that is not the line: a part of it, or something else of its length."""
        if self.rng.random() < 0.5:
            return line.ids[: max(1, len(line.ids) // 2)]
        return self.drawer.encode(" " + self.drawer.text(60))[: len(line.ids) + 4]

    # --- source and answers, with where the heads should look

    def _source(self, sample: Sample, lines: list[Line], newlines: int) -> list[Place]:
        """Append the numbered lines; after them come `newlines` newlines and `</source>`."""
        ids = sample.ids
        for position in range(1, len(ids), 3):
            sample.lines[position] = sample.paragraphs[position] = 0
        number = paragraph = len(ids) - 1
        places: list[Place] = []
        for order, line in enumerate(lines, start=1):
            if places and line.starts_paragraph:
                sample.lines[len(ids)] = number
                ids.append(self.newline)
            opening, closing = len(ids), len(ids) + 2
            ids += [self.bracket, self.number[order], self.close, *line.ids]
            newline = len(ids)
            for position in (opening, opening + 1):
                sample.lines[position], sample.paragraphs[position] = number, paragraph
            number, paragraph = closing, closing if line.starts_paragraph else paragraph
            for position in range(closing, newline + 1):
                sample.lines[position], sample.paragraphs[position] = number, paragraph
            for position in range(opening, newline + 1):
                sample.openers[position] = opening
            if order < len(lines):
                ids.append(self.newline)
            places.append(Place(line, opening, closing, newline))
            if self.rng.random() < 0.5:
                sample.breaks.append(opening)
        ending = sample.ending = len(ids) + newlines
        sample.lines[ending], sample.paragraphs[ending] = number, paragraph
        sample.openers[ending] = ending
        return places

    def _say(self, sample: Sample, token: int, source: int) -> int:
        """Append one token of the answer, to be copied from `source`; return its position."""
        sample.copies[len(sample.ids) - 1] = source
        sample.ids.append(token)
        return len(sample.ids) - 1

    def _translation(self, sample: Sample, places: list[Place]) -> None:
        """Answer with every line under its number."""
        ids = sample.ids
        number = sample.lines[len(ids) - 1] = self._turn_start(ids)
        for place in places:
            for position in range(place.opening, place.newline):
                said = self._say(sample, ids[position], position)
                number = said if position == place.closing else number
                sample.lines[said] = number
            sample.lines[self._say(sample, self.newline, place.newline)] = number
        self._say(sample, self.end, sample.ending)

    def _summary(self, sample: Sample, places: list[Place]) -> None:
        """Answer with a bullet for the first line of each paragraph."""
        ids = sample.ids
        sample.lines[len(ids) - 1] = self._turn_start(ids)
        for place in places:
            if not place.line.starts_paragraph:
                continue
            first = self._say(sample, self.dash, place.opening)
            for position in range(place.closing + 1, place.newline):
                self._say(sample, ids[position], position)
            self._say(sample, self.cite, place.newline)
            self._say(sample, ids[place.opening + 1], place.opening + 1)
            self._say(sample, self.close, place.closing)
            last = self._say(sample, self.newline, place.newline)
            for position in range(first, last + 1):
                sample.lines[position] = first
        self._say(sample, self.end, sample.ending)

    def _turn_start(self, ids: list[int]) -> int:
        return len(ids) - 1 - ids[::-1].index(self.start)
