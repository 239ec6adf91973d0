"""Models as a terminal shows them, and as JSON. Only shows; looks for nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from flows.doctor.findings import size
from flows.terminal import out
from tasks.models.description import Description
from tasks.models.files import ModelFiles
from tasks.models.inventory import Listed
from tasks.models.known_sizes import N_CTX
from tasks.pool.room import Room

# Characters of a line: in so many everything is shown, and in so many all columns are.
_WIDE, _USUAL = 104, 80
_LANGUAGES, _LANGUAGES_USUAL = 3, 2  # in a column
_LICENCE_USUAL = 12  # characters
_COLUMNS = ("name", "size", "memory", "context", "languages", "licence", "here")
_NUMBERS, _SPARE = _COLUMNS[1:4], _COLUMNS[4:6]


def print_models(named: Sequence[Listed], others: Sequence[Listed], room: Room) -> None:
    """Print the models with names, and below them those that only lie here.

    Args:
        room: what a model may take here.
    """
    shown = [each for each in _COLUMNS if out.width >= _USUAL or each not in _SPARE]
    table = _table(*shown)
    for each in named:
        too_large = bool(each.size and each.size.memory_1 > room.total)
        row = _row(each, too_large=too_large)
        table.add_row(*(escape(row[name]) for name in shown), style="dim" if too_large else None)
    out.print(table)
    if others:
        out.print()
        table = _table("also on this disk", "size", "where")
        for each in others:
            table.add_row(*map(escape, (_called(each), size(each.n_bytes), each.place)))
        out.print(table)
    out.print()
    out.print("\n".join(_legend(room)))


def _legend(room: Room) -> Iterator[str]:
    gpus = f" ({size(room.gpus)} of it on GPUs)" if room.gpus else ""
    yield "* the one to take of its size. To fetch one: lectern models pull NAME"
    yield f"memory: with one sequence of {N_CTX:,} tokens. For others: lectern models fit NAME"
    yield f"! more than the {size(room.total)}{gpus} that are free here"


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for title in titles:
        table.add_column(
            title,
            no_wrap=title != "where",
            justify="right" if title in _NUMBERS else "left",
            max_width=_LICENCE_USUAL if title == "licence" and out.width < _WIDE else None,
        )
    return table


def _row(model: Listed, *, too_large: bool) -> dict[str, str]:
    known, takes = model.known, model.size
    assert known is not None  # it has its name from there
    n_bytes = model.n_bytes or (takes.file if takes else 0)
    n_languages = _LANGUAGES if out.width >= _WIDE else _LANGUAGES_USUAL
    return {
        "name": f"{model.name}{' *' if known.recommended else ''}",
        "size": size(n_bytes) if n_bytes else "",
        "memory": f"{size(takes.memory_1)}{'!' if too_large else ' '}" if takes else "",
        "context": _tokens(known.n_ctx),
        "languages": _languages(known.languages, n_languages),
        "licence": known.licence,
        "here": "yes" if model.is_here else "-",
    }


def _tokens(n: int) -> str:
    """Return a context's length as people say it: 128K."""
    if not n:
        return ""
    return f"{n // 1024}K" if n % 1024 == 0 else f"{n / 1000:.4g}k"


def _languages(languages: Sequence[str], n: int) -> str:
    """Return the first n languages, and how many more: "en, zh +27"."""
    codes = [each for each in languages if " " not in each]
    counts = re.findall(r"\d+", " ".join(each for each in languages if " " in each))
    more = max(0, len(codes) - n) + sum(map(int, counts))
    unknown = not counts and len(codes) < len(languages)  # "and others"
    return ", ".join(codes[:n]) + (f" +{more}" if more else " +" if unknown else "")


def _called(model: Listed) -> str:
    return f"+{model.name} (an adapter)" if model.is_adapter else model.name


def as_dict(model: Listed) -> dict[str, Any]:
    """Return what `lectern models list --json` writes of a model."""
    fields: dict[str, Any] = {
        "name": model.name,
        "place": model.place,
        "here": model.is_here,
        "is_adapter": model.is_adapter,
        "bytes": model.n_bytes,
        "paths": list(map(str, model.paths)),
    }
    if known := model.known:
        fields |= known.model_dump(
            mode="json", include={"size_class", "recommended", "parameters", "n_ctx", "languages",
                                  "licence", "quantizations", "note"}
        )  # fmt: skip
        fields["source"] = known.source or known.file
        fields["sizes"] = {name: each.model_dump() for name, each in model.sizes.items()}
    return fields


def lies(files: ModelFiles) -> Iterator[str]:
    """Yield where a model's files are."""
    total = sum(part.stat().st_size for part in files.parts)
    parts = f" in {len(files.parts)} parts" if len(files.parts) > 1 else ""
    yield f"{files.name}: {size(total)}{parts}, {files.parts[0]}"
    for adapter in files.adapters:
        yield f"adapter: {size(adapter.path.stat().st_size)}, {adapter.path}"


def print_description(model: Description, *, prompt: bool) -> None:
    """Print what there is to know, a line each, and perhaps the sample prompt."""
    lines = [(name, text) for name, text in _lines(model) if text]
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        out.print(f"{name:{width}}  {escape(text)}")
    if prompt and model.form:
        out.print(f"\nA sample prompt:\n{escape(model.prompt)}")


def _lines(model: Description) -> Iterator[tuple[str, str]]:
    files, known, vocabulary, facts = model.files, model.known, model.vocabulary, model.facts
    where = "on the hub; its header alone was fetched" if files.header_only else str(files.parts[0])
    parts = f", {len(files.parts)} parts" if len(files.parts) > 1 else ""
    yield "model", f"{files.name}{f' ({facts.name})' if facts and facts.name else ''}"
    yield "file", f"{size(model.n_bytes)}{parts}, {where}"
    if model.load_problem:
        yield "can't be loaded", model.load_problem.problem
    yield "architecture", vocabulary.rope.architecture
    if facts:
        yield "parameters", f"{facts.n_params:,}"
    yield "quantization", _quantization(model)
    if facts:
        heads = f"{facts.n_head} heads, {facts.n_head_kv} of keys and values"
        yield "layers", f"{facts.n_layer} of {facts.n_embd}, {heads}"
    yield "context", _context(model)
    exact = "tiktoken counts exactly" if vocabulary.tiktoken_exact else "llama.cpp counts"
    kind = f"{vocabulary.kind} {vocabulary.pre}".strip()
    yield "vocabulary", f"{len(vocabulary.tokens):,} tokens, {kind}; {exact}"
    yield "chat format", _chat_format(model)
    yield "answers end with", ", ".join(map(repr, model.ends))
    for path, scale, sha256 in model.adapters:
        yield "adapter", f"{path}, scale {scale:g}, {sha256}"
    if known:
        yield "languages", ", ".join(known.languages)
        yield "licence", known.licence
        yield "note", known.note
    yield "identity", model.identity


def _quantization(model: Description) -> str:
    if not model.facts or not model.facts.n_params:
        return model.vocabulary.quantization
    bits = 8 * model.facts.n_bytes / model.facts.n_params
    told = (model.vocabulary.quantization, f"{bits:.1f} bits a parameter")
    return ", ".join(filter(None, told))


def _context(model: Description) -> str:
    """Return the tokens it was trained on, and how its positions are scaled."""
    rope, facts = model.vocabulary.rope, model.facts
    text = f"{rope.n_ctx_train:,} tokens" if rope.n_ctx_train else "not told"
    if rope.scaling not in ("", "none"):
        text += f", positions scaled by the file ({rope.scaling} {rope.factor:g}"
        text += f", trained on {rope.n_ctx_orig:,})" if rope.n_ctx_orig else ")"
    if model.n_ctx_max != rope.n_ctx_train:
        text += f", {model.n_ctx_max:,} as it is used"
    return f"{text}; rope base {facts.rope_freq_base:,.0f}" if facts else text


def _chat_format(model: Description) -> str:
    if problem := model.form_problem:
        return f"none: {problem.problem}. {problem.remedy}"
    if model.form and model.form.family:
        return f"that of its family, {model.form.family}"
    return "its own template"


def description_as_dict(model: Description) -> dict[str, Any]:
    """Return what `lectern models inspect --json` writes."""
    files, vocabulary = model.files, model.vocabulary
    return {
        "name": files.name,
        "identity": model.identity,
        "header_only": files.header_only,
        "paths": [] if files.header_only else list(map(str, files.parts)),
        "bytes": model.n_bytes,
        "quantization": vocabulary.quantization,
        "load_problem": model.load_problem.problem if model.load_problem else "",
        "shape": asdict(model.facts) if model.facts else None,
        "rope": asdict(vocabulary.rope),
        "n_ctx_max": model.n_ctx_max,
        "vocabulary": {
            "kind": vocabulary.kind, "pre": vocabulary.pre, "tokens": len(vocabulary.tokens),
            "tiktoken_exact": vocabulary.tiktoken_exact,
        },
        "chat": {
            "own_template": bool(model.form and not model.form.family),
            "family": model.form.family if model.form else "",
            "problem": model.form_problem.problem if model.form_problem else "",
            "ends": model.ends,
            "sample_prompt": model.prompt,
        },
        "adapters": [
            {"path": path, "scale": scale, "sha256": sha256}
            for path, scale, sha256 in model.adapters
        ],
        "languages": model.known.languages if model.known else (),
        "licence": model.known.licence if model.known else "",
        "note": model.known.note if model.known else "",
    }  # fmt: skip
