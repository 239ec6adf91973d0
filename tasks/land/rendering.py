"""Pages made from the templates beside this file: HTML that loads nothing, and Markdown.

Owns escaping, and the policy that lets a page have its own style sheet and nothing else. Does
not know what the pages are about.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Path(__file__).with_name("templates")
# What Markdown could take for markup. Not escaped: what is harmless once these are.
_INLINE = re.compile(r"[\\`*_\[\]<~$]|&(?=[#\w])")
_LEADING = re.compile(r"^(?:[-+=>#|:](?=\s|[-+=>#|:]|$)|>|#+(?=\s|$)|(\d{1,9})(?=[.)](?:\s|$)))")


def render(template: str, *styles: str, **values: Any) -> bytes:
    """Return a page.

    Args:
        styles: names of style sheets; the template gets them as `css`, with their hash.
    """
    css, css_hash = _style(styles)
    page = _environment().get_template(template)
    return page.render(css=css, css_hash=css_hash, **values).encode(errors="backslashreplace")


def markdown(text: str) -> str:
    """Return text so that Markdown shows it as it is, on one line, at a line's start or within."""
    line = _INLINE.sub(r"\\\g<0>", " ".join(text.split()))
    number = _LEADING.match(line)
    if number is None:
        return line
    at = number.end(1) if number[1] else 0
    return f"{line[:at]}\\{line[at:]}"


def _fenced(code: str) -> str:
    """Return a listing so that Markdown shows it as it is, whatever fences it holds."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    return f"{fence}\n{code}\n{fence}"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _clock(seconds: float | None) -> str:
    return "–" if seconds is None else str(timedelta(seconds=round(seconds)))


def css_of(*styles: str) -> str:
    """Return style sheets, by their names, as one."""
    return _style(styles)[0]


@cache
def _style(names: tuple[str, ...]) -> tuple[str, str]:
    css = "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return css, f"sha256-{digest}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "md": markdown, "fenced": _fenced, "number": _number, "clock": _clock,
    }  # fmt: skip
    return environment
