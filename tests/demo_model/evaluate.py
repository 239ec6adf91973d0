"""Measure the exported model in llama.cpp on documents it was never trained on, greedily.

Owns the held-out texts and what counts as right: an answer line is right when it is, byte for
byte, the wanted line in its place; missing and surplus lines count as wrong. The material is read
from LECTERN_MATERIAL, else from ../shared/material beside the repository.

    python evaluate.py MODEL.gguf evaluation.json [--cases 4] [--show 3]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import chat
import corpus
from llama_cpp import Llama

ROOT = Path(__file__).parents[2]
MATERIAL = Path(os.environ.get("LECTERN_MATERIAL", ROOT.parent / "shared" / "material"))
TEXTS = {"en": "pdf/good/debian-reference.en.txt", "zh": "pdf/good/debian-reference.zh-cn.txt"}
PAGES = {
    "en": "parallel/eng.html",
    "zh": "parallel/cmn_hans.html",
    "de": "parallel/deu_1996.html",
    "es": "parallel/spa.html",
    "ja": "parallel/jpn.html",
}
LINE_COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12)
TARGETS = {"en": ("Chinese", "English", "German"), "zh": ("英文", "中文", "德文")}
N_CTX = 4096
HEADING = re.compile(r"(Chapter|第)? ?\d+(\.\d+)*\.? \S")
WRAPPED = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n(?=[\u3000-\u9fff\uff00-\uffef])")


@dataclass(frozen=True)
class Text:
    """A held-out document: lines, each with whether it starts a paragraph."""

    name: str
    language: str
    lines: list[tuple[str, bool]]


@dataclass(frozen=True)
class Case:
    """One call: what it is about, its prompt and the wanted answer."""

    mode: str
    language: str
    prompt: chat.Prompt
    source_lines: int
    longest: int
    wanted: list[str]


@dataclass(frozen=True)
class Result:
    """What the model said to one case."""

    case: Case
    prompt_tokens: int
    said: list[str]
    finish_reason: str

    @property
    def right(self) -> int:
        """Count the answer lines that are in place."""
        return sum(a == b for a, b in zip(self.case.wanted, self.said, strict=False))

    @property
    def counted(self) -> int:
        """Count the lines to judge by: wanted or said, whichever is more."""
        return max(len(self.case.wanted), len(self.said))

    @property
    def whole(self) -> bool:
        """Tell whether the answer is right from its first line to its end."""
        return self.right == self.counted and self.finish_reason == "stop"


def read_text(path: Path, language: str) -> Text:
    """Read a wrapped text file: blank lines part paragraphs, tables keep their rows."""
    lines: list[tuple[str, bool]] = []
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        rows = "\n".join(row.strip() for row in block.splitlines() if row.strip())
        if rows.startswith(("|", "+-")):
            continue
        text = " ".join(WRAPPED.sub("", rows).split())
        sentences = corpus.split_sentences(text)
        lines += [(sentence, order == 0) for order, sentence in enumerate(sentences)]
    return Text(path.name, language, lines)


def read_page(path: Path, language: str) -> Text:
    """Read an HTML page as the training text was read."""
    paragraphs = corpus.read_page(path, language).paragraphs
    lines = [(line, i == 0) for paragraph in paragraphs for i, line in enumerate(paragraph)]
    return Text(path.name, language, lines)


def held_out() -> list[Text]:
    """Read the held-out texts that are present."""
    texts = [read_text(MATERIAL / TEXTS[k], k) for k in TEXTS if (MATERIAL / TEXTS[k]).exists()]
    texts += [read_page(MATERIAL / PAGES[k], k) for k in PAGES if (MATERIAL / PAGES[k]).exists()]
    if not texts:
        raise SystemExit(f"nothing to evaluate on under {MATERIAL}")
    return texts


class CaseMaker:
    """Makes cases from one random generator."""

    def __init__(self, count_tokens: Callable[[str], int], seed: int) -> None:
        self.count_tokens = count_tokens
        self.rng = random.Random(seed)
        self.book = chat.PromptBook()

    def make(self, text: Text, mode: str, count: int) -> Case:
        """Cut `count` lines out of a text, with what stands before them as context."""
        start = self.rng.randrange(8, len(text.lines) - count)
        lines = text.lines[start : start + count]
        lines[0] = (lines[0][0], True)
        prompt_language = self.rng.choice(chat.LANGUAGES)
        before = text.lines[start - self.rng.randint(0, 3) : start]
        variables = {
            "language": self.rng.choice(TARGETS[prompt_language]),
            "max_bullets": self.rng.randint(3, 12),
            "title": text.name,
            "section": self._section(text, start),
            "context": "\n".join(line for line, _ in before),
            "notes": number_lines(lines, "- {text} [{number}]"),
            "source": number_lines(lines, "[{number}] {text}"),
        }
        longest = max(self.count_tokens(" " + line) for line, _ in lines)
        prompt = self.book.render(mode, prompt_language, variables)
        return Case(mode, text.language, prompt, count, longest, answer(mode, lines))

    def _section(self, text: Text, start: int) -> str:
        before = (line for line, _ in reversed(text.lines[max(0, start - 60) : start]))
        return next((line[:80] for line in before if HEADING.match(line)), "")


def number_lines(lines: list[tuple[str, bool]], form: str) -> str:
    """Write numbered lines, a blank line between paragraphs."""
    written: list[str] = []
    for number, (text, starts) in enumerate(lines, start=1):
        if written and starts:
            written.append("")
        written.append(form.format(number=number, text=text))
    return "\n".join(written)


def answer(mode: str, lines: list[tuple[str, bool]]) -> list[str]:
    """Write the wanted answer."""
    numbered = list(enumerate(lines, start=1))
    if mode == "translate":
        return [f"[{number}] {text}" for number, (text, _) in numbered]
    return [f"- {text} [{number}]" for number, (text, starts) in numbered if starts]


def ask(model: Llama, case: Case) -> Result:
    """Let the model answer one case."""
    messages = [
        {"role": "system", "content": case.prompt.system},
        {"role": "user", "content": case.prompt.user},
    ]
    wanted = len(model.tokenize("\n".join(case.wanted).encode(), False))
    reply = model.create_chat_completion(messages, temperature=0.0, max_tokens=wanted + 40)
    choice = reply["choices"][0]
    said = choice["message"]["content"].strip("\n").split("\n")
    return Result(case, reply["usage"]["prompt_tokens"], said, choice["finish_reason"])


def shares(results: Iterable[Result]) -> dict[str, float | int]:
    """Sum up results: lines right of those counted, answers whole of all."""
    results = list(results)
    counted = sum(result.counted for result in results)
    return {
        "answers": len(results),
        "lines": counted,
        "lines_right": round(sum(result.right for result in results) / max(1, counted), 4),
        "answers_whole": round(sum(r.whole for r in results) / max(1, len(results)), 4),
    }


def group(results: list[Result], key: Callable[[Result], str]) -> dict[str, dict[str, float | int]]:
    """Sum up results by a key, in the key's order."""
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        groups[key(result)].append(result)
    return {name: shares(groups[name]) for name in sorted(groups)}


def summary(results: list[Result], budget: tuple[int, int, int]) -> dict[str, object]:
    """Sum up by mode, language, lines and tokens; and within the budget alone."""
    prompt_tokens, lines, line_tokens = budget
    inside = [
        result
        for result in results
        if result.prompt_tokens <= prompt_tokens
        and result.case.source_lines <= lines
        and result.case.longest <= line_tokens
    ]
    return {
        "budget": {
            "max_prompt_tokens": prompt_tokens,
            "max_lines": lines,
            "max_line_tokens": line_tokens,
        },
        "within_budget": shares(inside)
        | {"by_mode_and_language": group(inside, lambda r: f"{r.case.mode} {r.case.language}")},
        "all": shares(results),
        "by_mode": group(results, lambda r: r.case.mode),
        "by_language": group(results, lambda r: r.case.language),
        "by_lines": group(results, lambda r: f"{r.case.source_lines:02d}"),
        "by_mode_and_lines": group(results, lambda r: f"{r.case.mode} {r.case.source_lines:02d}"),
        "by_prompt_tokens": group(results, lambda r: f"<{r.prompt_tokens // 100 * 100 + 100:04d}"),
        "by_longest_line_tokens": group(
            results, lambda r: f"<{r.case.longest // 25 * 25 + 25:03d}"
        ),
    }


def show(result: Result) -> None:
    """Print one answer that went wrong, line by line where it differs."""
    case = result.case
    print(f"--- {case.mode} {case.language}, {case.source_lines} lines, {result.prompt_tokens}")
    for order in range(result.counted):
        wanted = case.wanted[order] if order < len(case.wanted) else "(nothing)"
        said = result.said[order] if order < len(result.said) else "(nothing)"
        if wanted != said:
            print(f"  wanted {wanted}\n  said   {said}")


def main() -> None:
    """Evaluate a model and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cases", type=int, default=4, help="of each long text, mode, line count")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--show", type=int, default=0, help="print so many wrong answers")
    parser.add_argument("--budget", type=int, nargs=3, default=(900, 8, 120))
    arguments = parser.parse_args()
    model = Llama(
        str(arguments.model), n_ctx=N_CTX, n_threads=arguments.threads, verbose=False, seed=0
    )
    maker = CaseMaker(lambda text: len(model.tokenize(text.encode(), False)), arguments.seed)
    started, results = time.perf_counter(), []
    for text in held_out():
        for mode in chat.MODES:
            main_text = text.name in {Path(name).name for name in TEXTS.values()}
            for count in LINE_COUNTS if main_text else LINE_COUNTS[2::3]:
                for _ in range(arguments.cases if main_text else 1):
                    result = ask(model, maker.make(text, mode, count))
                    results.append(result)
                    if not result.whole and arguments.show > 0:
                        arguments.show -= 1
                        show(result)
    figures = summary(results, tuple(arguments.budget))
    arguments.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures["within_budget"], indent=1), figures["all"], figures["by_mode"])
    print(f"{len(results)} answers in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
