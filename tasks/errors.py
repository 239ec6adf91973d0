"""The error tree. Every error names the thing it is about and what the user can do.

Messages are one line, fit for a terminal, a table's `error` column and the Prefect UI.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Base of all errors that Lectern raises on purpose.

    Args:
        subject: the file, page, model, prompt or request that the error is about.
        problem: what is wrong with it, in a clause.
        remedy: what the user can do, as a sentence without a full stop; may be empty.
    """

    def __init__(self, subject: str, problem: str, remedy: str = "") -> None:
        self.subject = subject
        self.problem = problem
        self.remedy = remedy
        super().__init__(subject, problem, remedy)

    def __str__(self) -> str:
        line = f"{one_line(self.subject)}: {one_line(self.problem)}"
        return f"{line}. {one_line(self.remedy)}." if self.remedy else line


class SourceError(PipelineError):
    """A source can't be read: missing, encrypted, damaged, empty, too large."""


class PromptError(PipelineError):
    """A prompt file is missing or wrong, or a prompt can't be made to fit its budget."""


class ModelError(PipelineError):
    """A model can't be found, fetched, read or loaded."""


class AdapterError(ModelError):
    """A LoRA adapter is not there, is none, or is another model's."""


class InferenceError(PipelineError):
    """The pool or another model server refused or failed a request."""


class RefusedError(InferenceError):
    """The server refused or failed this one request; it may well answer others.

    Args:
        code: the server's own name of the reason (OpenAI's `error.code`), where it gave one.
    """

    def __init__(self, subject: str, problem: str, remedy: str = "", *, code: str = "") -> None:
        super().__init__(subject, problem, remedy)
        self.code = code


class StorageError(PipelineError):
    """Results can't be written or read back."""


def one_line(text: str) -> str:
    """Escape what would break a line or a terminal (control characters), and nothing else."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
