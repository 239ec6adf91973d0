"""Text from token bytes: UTF-8 over token borders, stop strings, reasoning left out.

Small and pure. Knows neither tokens nor HTTP.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

# How families open and close their reasoning, as their chat templates have it: most; Command A
# and R7B; Magistral and Ministral; Seed-OSS; MiniMax M3; Hunyuan; Gemma 4; gpt-oss; Apriel.
REASONING_MARKS = (
    ("<think>", "</think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>"),
    ("<think:opensource>", "</think:opensource>"),
    ("<|channel>", "<channel|>"),
    ("<|channel|>analysis", "<|channel|>final<|message|>"),
    ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
)


class StopText:
    """Assemble an answer, and end it before the first stop string to be complete.

    Of those that end at the same place, the longest one counts: where the text is cut into tokens
    makes no difference. Text that may be the beginning of a stop string is held back until that
    is decided.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = [s for s in stop if s]
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.stopped = False

    def push(self, piece: bytes) -> str:
        """Take one token's bytes; return the text that is certain now."""
        return self._release(self._decoder.decode(piece))

    def flush(self) -> str:
        """Return what is still held back; the answer ends here."""
        released = self._release(self._decoder.decode(b"", final=True))
        released, self._held = released + self._held, ""
        return released

    def _release(self, text: str) -> str:
        if self.stopped or not (text or self._held):
            return ""
        self._held += text
        found = [(at + len(s), at) for s in self._stop if (at := self._held.find(s)) >= 0]
        if found:
            self.stopped = True
            _, begins = min(found)
            released, self._held = self._held[:begins], ""
            return released
        keep = max((overlap(self._held, s) for s in self._stop), default=0)
        cut = len(self._held) - keep
        released, self._held = self._held[:cut], self._held[cut:]
        return released


def overlap(text: str, start: str) -> int:
    """Return the length of the longest end of text that is a proper beginning of start."""
    for n in range(min(len(text), len(start) - 1), 0, -1):
        if text.endswith(start[:n]):
            return n
    return 0


class ReasoningFilter:
    """Leave out leading reasoning, <think>…</think> and its like, of text that comes in parts."""

    def __init__(self) -> None:
        self._held = ""
        self._close = ""
        self._state = "start"  # then "thinking" or "blank", then "answer"

    def push(self, text: str) -> str:
        """Take more text; return what belongs to the answer."""
        if self._state == "answer":
            return text
        self._held += text
        if self._state == "start":
            head = self._held.lstrip()
            self._close = next((c for o, c in REASONING_MARKS if head.startswith(o)), "")
            if self._close:
                self._state = "thinking"
            elif not any(opening.startswith(head) for opening, _ in REASONING_MARKS):
                return self._answer(self._held)
        if self._state == "thinking" and self._close in self._held:
            self._state = "blank"
            self._held = self._held.split(self._close, 1)[1]
        if self._state == "blank" and self._held.strip():
            return self._answer(self._held.lstrip())
        return ""

    def flush(self) -> str:
        """Return what was held back and turned out not to be reasoning."""
        return self._answer(self._held) if self._state == "start" else ""

    def _answer(self, text: str) -> str:
        self._state, self._held = "answer", ""
        return text


def strip_reasoning(text: str) -> str:
    """Return a whole answer without its reasoning.

    That is leading reasoning between its marks; reasoning that never closes, which is all of the
    text; and where the template itself opened it, everything up to a closing mark that was not
    opened, and has a line's beginning or end, or a space behind it: others are quoted.
    """
    for opening, closing in REASONING_MARKS:
        opened, closed = text.find(opening), text.find(closing)
        if closed >= 0 and not 0 <= opened < closed:
            before, after = text[:closed], text[closed + len(closing) :]
            if before[-1:] in ("", "\n") or after[:1].strip() == "":
                return after.lstrip()
    reasoning = ReasoningFilter()
    return reasoning.push(text) + reasoning.flush()
