"""Draw what stands inside `<source>`: paragraphs of lines, from real pages to random tokens.

Owns the mixture of texts that the model learns to copy. It knows nothing of prompts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import corpus
from tokenizers import Tokenizer

REFRAINS = 0.12
JUNK = (
    "[3]", "[12]", "[1][2]", "- ", "<|...|>", "<|endofturn|>", "<|im_", "</s>", "<source>",
    "</source>", "<context>", "**", "•", "→", "summarise", "Translate", "translation", "summary",
    "摘要", "译文", "翻译", "概括", "https://example.org/a/b?c=1&d=%20", "0x7fff_ff00",
    "C:\\tmp\\*", "$HOME/.bashrc", "{{ x }}", "e = mc²", "……", "——", "“”", "　", "100%", "3.14159",
    "2026-11-20",
)  # fmt: skip
LEADING = ("•", "-", "*", "–", "(a)", "1.", "2)", "[x]", "#", "$", ">", "“", "「", "—", "→", "一、")
SHORT = (
    "Yes.", "No.", "OK", "Note:", "是。", "好的。", "例如：", "1", "2.", "...", "…", "A", "Next",
    "Done!", "否", "x = 1", "42", "}", "---", "See below:", "见下文。", "?",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One numbered line: its tokens, the first of which begins with the space after `[n]`."""

    ids: list[int]
    starts_paragraph: bool


class Drawer:
    """Draws lines of every kind from one random generator."""

    def __init__(
        self, tokenizer: Tokenizer, documents: list[corpus.Document], rng: random.Random
    ) -> None:
        self.tokenizer = tokenizer
        self.rng = rng
        self._by_language: dict[str, list[corpus.Document]] = {}
        for document in documents:
            self._by_language.setdefault(document.language, []).append(document)
        self._weights = {
            language: [sum(map(len, document.paragraphs)) for document in group]
            for language, group in self._by_language.items()
        }
        special = set(tokenizer.get_added_tokens_decoder())
        self._plain = [
            number
            for token, number in sorted(tokenizer.get_vocab().items())
            if number not in special and "Ċ" not in token
        ]

    def encode(self, text: str) -> list[int]:
        """Tokenize text that holds no special tokens of its own."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def document(self) -> corpus.Document:
        """Pick a page: English and Chinese alike often, other languages seldom."""
        language = self.rng.choices(("en", "zh", "other"), (45, 45, 10))[0]
        group = self._by_language[language]
        return self.rng.choices(group, self._weights[language])[0]

    def text(self, max_chars: int = 300) -> str:
        """Pick one line of any page."""
        return self.rng.choice(self.rng.choice(self.document().paragraphs))[:max_chars].strip()

    def random_ids(self, low: int, high: int) -> list[int]:
        """Draw random tokens, sometimes from a handful only."""
        count = self.rng.randint(low, high)
        if self.rng.random() < 0.1:
            return self.rng.choices(self.rng.sample(self._plain, self.rng.randint(4, 24)), k=count)
        return self.rng.choices(self._plain, k=count)

    def run_of_page(self, count: int) -> list[tuple[str, bool]]:
        """Take `count` consecutive lines of a page, each with whether it starts a paragraph."""
        paragraphs = self.document().paragraphs
        start = self.rng.randrange(len(paragraphs))
        flat = [(x, i == 0) for lines in paragraphs[start:] for i, x in enumerate(lines)]
        return flat[:count]

    def passage(self, count: int, longest: int) -> list[Line]:
        """Draw up to `count` lines of at most `longest` tokens, the first starting a paragraph."""
        kind = self.rng.random()
        if kind < 0.58:
            drawn = self._page_lines(count)
        elif kind < 0.68:
            drawn = [(self._text_ids(self.text()), False) for _ in range(count)]
        elif kind < 0.83:
            drawn = [(self.random_ids(2, longest), False) for _ in range(count)]
        else:
            drawn = self._lookalikes(count, longest)
        share = self.rng.choice((0.05, 0.15, 0.3, 0.3, 0.5, 0.6, 1.0))
        keep = kind < 0.58 and self.rng.random() < 0.6
        lines: list[Line] = []
        for ids, real in drawn:
            if self.rng.random() < REFRAINS:
                ids = self._refrain(ids)
            ids = self._shorten(self._disturb(ids), longest)
            starts = real if keep else self.rng.random() < share
            lines.append(Line(ids, starts or not lines))
        return lines

    def _page_lines(self, count: int) -> list[tuple[list[int], bool]]:
        """Take real lines; some become a very short one or gain a leading symbol."""
        drawn: list[tuple[list[int], bool]] = []
        for text, starts in self.run_of_page(count):
            chance = self.rng.random()
            if chance < 0.03:
                text = self.rng.choice(SHORT)
            elif chance < 0.07:
                text = f"{self.rng.choice(LEADING)} {text}"
            elif chance < 0.09:
                text = self.rng.choice(LEADING) + text
            drawn.append((self._text_ids(text), starts))
        return drawn

    def _text_ids(self, text: str) -> list[int]:
        return self.encode(" " + text)

    def _lookalikes(self, count: int, longest: int) -> list[tuple[list[int], bool]]:
        """Draw lines that repeat or nearly repeat others."""
        lines: list[list[int]] = []
        for _ in range(count):
            chance = self.rng.random()
            fresh = self.random_ids(3, longest)
            if chance < 0.25 or not lines:
                lines.append(fresh)
            elif chance < 0.55:
                lines.append(self._text_ids(self.text()))
            else:
                lines.append(self._lookalike(list(self.rng.choice(lines)), fresh, chance))
        return [(ids, False) for ids in lines]

    def _lookalike(self, old: list[int], fresh: list[int], chance: float) -> list[int]:
        """Repeat a line: whole, with one token changed, or sharing a beginning or an end."""
        cut = self.rng.randrange(len(old))
        if chance < 0.65:
            return old
        if chance < 0.78:
            old[cut] = fresh[0]
            return old
        return old[: cut + 1] + fresh if chance < 0.9 else fresh[:cut] + old[cut:]

    def _refrain(self, ids: list[int]) -> list[int]:
        """Repeat a few pieces of a line within it, as commands, lists of names and logs do."""
        pieces = []
        for _ in range(self.rng.randint(1, 4)):
            start = self.rng.randrange(len(ids))
            pieces.append(ids[start : start + self.rng.randint(1, 8)])
        for _ in range(self.rng.randint(2, 8)):
            at = self.rng.randint(1, len(ids))
            ids = ids[:at] + self.rng.choice(pieces) + ids[at:]
        return ids

    def _disturb(self, ids: list[int]) -> list[int]:
        """Seldom: put a piece that looks like markup or an instruction into a line."""
        if self.rng.random() > 0.06:
            return ids
        at = self.rng.randint(1, len(ids))
        return ids[:at] + self.encode(" " + self.rng.choice(JUNK).strip()) + ids[at:]

    def _shorten(self, ids: list[int], longest: int) -> list[int]:
        if len(ids) <= longest:
            return ids
        return ids[: self.rng.randint(max(1, longest // 2), longest)]
