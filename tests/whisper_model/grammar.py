"""Sentences of a lecture over a closed vocabulary. Owns the words, and how sentences are drawn.

Every sentence begins with a capital, ends in a full stop and has no other punctuation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

NAMES = ("Alice", "Robert", "Maria", "Peter", "Newton", "Turing")
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
DETERMINERS = ("the", "this", "our", "each", "every", "another")
NOUNS = (
    *("system", "network", "signal", "computer", "memory", "picture", "theory", "teacher"),
    *("problem", "method", "machine", "program", "language", "river", "mountain", "garden"),
    *("planet", "window", "engine", "library", "experiment", "formula", "satellite", "bridge"),
)
PLURALS = (
    *("students", "questions", "examples", "numbers", "machines", "pictures", "sentences"),
    *("children", "people", "programs", "mountains", "results"),
)
NUMBERED = ("chapter", "lecture", "table")
ADJECTIVES = (
    *("small", "large", "modern", "simple", "difficult", "important", "quiet", "bright"),
    *("digital", "famous", "yellow", "expensive", "hidden", "wonderful"),
)
VERBS = (
    *("explained", "described", "measured", "changed", "followed", "improved", "compared"),
    *("carried", "found", "built", "opened", "taught", "used", "repeated", "remembered"),
    *("studied", "collected", "understood"),
)
PREPOSITIONS = ("in", "with", "after", "before", "near", "behind", "from", "about", "without")
ADVERBS = ("slowly", "quickly", "again", "carefully", "together", "today", "yesterday")
TIMES = ("today", "yesterday", "sometimes", "usually")
SEASONS = ("morning", "evening", "winter", "summer")
JOINS = ("because", "while", "but", "when", "although")
LINKS = ("was", "were", "and", "that", "very", "of", "said")
WORDS = tuple(
    sorted(
        {
            *(*DETERMINERS, *NUMBERS, *NAMES, *NOUNS, *PLURALS, *NUMBERED, *ADJECTIVES, *VERBS),
            *(*PREPOSITIONS, *ADVERBS, *SEASONS, *JOINS, *LINKS),
        }
    )
)
"""Every word as it is written inside a sentence."""

STARTERS = tuple(
    word.capitalize() for word in (*DETERMINERS, *NUMBERS[1:], *NUMBERED, *TIMES, "in", "after")
)
"""The words that are written differently at a sentence's beginning; names may begin one too."""

VOCABULARY = (*WORDS, *STARTERS)


COMMON = frozenset((*DETERMINERS, *LINKS))
NEAR = 8


def sentences(n: int, seed: int) -> list[str]:
    """The first `n` sentences of the seed, all different; a larger `n` only adds to them.

    As in good prose, a sentence has no word twice but the most common, and no three words in a
    row that one of the eight sentences before it has.
    """
    rng = random.Random(f"sentences {seed}")
    drawn: list[list[str]] = []
    while len(drawn) < n:
        words = _sentence(rng)
        telling = [word for word in words if word not in COMMON]
        near = {part for other in drawn[-NEAR:] for part in _threes(other)}
        if len(set(telling)) == len(telling) and near.isdisjoint(_threes(words)):
            drawn.append(words)
    return [" ".join([words[0][0].upper() + words[0][1:], *words[1:]]) + "." for words in drawn]


def _threes(words: list[str]) -> Iterator[tuple[str, str, str]]:
    return zip(words, words[1:], words[2:], strict=False)


def _sentence(rng: random.Random) -> list[str]:
    shapes: tuple[Callable[[random.Random], list[str]], ...] = (
        _statement,
        _statement,
        _joined,
        _timed,
        _timed,
        _quality,
        _reported,
    )
    return rng.choice(shapes)(rng)


def _statement(rng: random.Random) -> list[str]:
    return [*_thing(rng)[0], *_action(rng)]


def _joined(rng: random.Random) -> list[str]:
    return [*_thing(rng)[0], rng.choice(VERBS), *_thing(rng)[0], rng.choice(JOINS), *_short(rng)]


def _timed(rng: random.Random) -> list[str]:
    season = [rng.choice(("in", "after")), rng.choice(("the", "this")), rng.choice(SEASONS)]
    return [*rng.choice(([rng.choice(TIMES)], season)), *_statement(rng)]


def _quality(rng: random.Random) -> list[str]:
    thing, plural = _thing(rng)
    first, second = rng.sample(ADJECTIVES, 2)
    quality = rng.choice((["very", first], [first, "and", second], [first]))
    reason = [rng.choice(JOINS), *_short(rng)] if rng.random() < 0.6 else _place(rng)
    return [*thing, "were" if plural else "was", *quality, *reason]


def _reported(rng: random.Random) -> list[str]:
    return [rng.choice(NAMES), "said", "that", *_short(rng), *rng.choice((_place(rng), []))]


def _short(rng: random.Random) -> list[str]:
    return [*_thing(rng)[0], rng.choice(VERBS), *_thing(rng)[0]]


def _action(rng: random.Random) -> list[str]:
    thing = _thing(rng)[0]
    place = _place(rng) if rng.random() < 0.6 else []
    adverb = [rng.choice(ADVERBS)] if rng.random() < 0.4 else []
    return [rng.choice(VERBS), *thing, *place, *adverb]


def _place(rng: random.Random) -> list[str]:
    return [rng.choice(PREPOSITIONS), *_thing(rng)[0]]


def _thing(rng: random.Random) -> tuple[list[str], bool]:
    """Words that name something, and whether they are a plural."""
    adjective = [rng.choice(ADJECTIVES)] if rng.random() < 0.4 else []
    draw = rng.random()
    if draw < 0.15:
        return [rng.choice(NAMES)], False
    if draw < 0.20:
        return [*rng.sample(NAMES, 1), "and", "the", rng.choice(NOUNS)], True
    if draw < 0.40:
        return [rng.choice(NUMBERS[1:]), *adjective, rng.choice(PLURALS)], True
    if draw < 0.50:
        return [rng.choice(NUMBERED), rng.choice(NUMBERS)], False
    if draw < 0.58:
        return ["the", rng.choice(NOUNS), "of", rng.choice(NAMES)], False
    return [rng.choice(DETERMINERS), *adjective, rng.choice(NOUNS)], False
