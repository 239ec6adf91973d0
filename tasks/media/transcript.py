"""What was said and when: the nouns that captions and recognised speech have in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word and when it is heard.

    Attributes:
        text: with the punctuation that is written to it, without spaces around it; of Chinese and
            the like it may be a character.
        is_spaced: whether a space stands before it.
        probability: None where the words are captions'.
        cue: the number of the cue that shows it, from 1; 0: none yet.
        marks: why it may not have been said; see tasks.media.guards.
        starts_turn: captions let another speaker begin with it.
    """

    text: str
    start_s: float
    end_s: float
    is_spaced: bool = True
    probability: float | None = None
    cue: int = 0
    speaker: str = ""
    marks: tuple[str, ...] = ()
    starts_turn: bool = False


@dataclass(frozen=True, slots=True)
class TimedCue:
    """What a subtitle shows at once.

    Attributes:
        number: from 1, in the order of time.
        start_ms, end_ms: milliseconds.
        text: its lines, parted by line breaks, without styling.
        speaker: "" where none is named.
        starts_turn: it begins with a sign of another speaker (">>", "- ", a name).
    """

    number: int
    start_ms: int
    end_ms: int
    text: str
    speaker: str = ""
    starts_turn: bool = False


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a transcript.

    Attributes:
        first, last: positions of its first and last word, from 0.
        paragraph: ordinal, from 1: a new one after a pause, with another speaker or chapter.
    """

    text: str
    first: int
    last: int
    start_s: float
    end_s: float
    paragraph: int
    speaker: str = ""
    marks: tuple[str, ...] = ()
