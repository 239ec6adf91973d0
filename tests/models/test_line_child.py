"""A child that answers lines, and what becomes of a question when it can't."""

from __future__ import annotations

from tasks.models.line_child import LineChild


def test_a_child_that_ends_before_its_greeting_is_read_gives_no_answer() -> None:
    """More than a pipe holds is still to be written then; that is no error of the caller's."""
    child = LineChild("tasks.no_such_module", greeting=b"x" * 10_000_000 + b"\n")

    assert child.ask(b"question\n") == b""
