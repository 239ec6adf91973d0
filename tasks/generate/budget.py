"""How much a call may hold: prompt, lines, answer; and the key that names it.

Owns the arithmetic between the settings, the model's own limits and the window. Knows nothing
of what the prompts say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from tasks.models.spec import ModelSpec
from tasks.records import Message, Sampling
from tasks.settings import Settings

_ANSWER_TOKENS = 1024  # left free of the window beside a prompt, or a third of a small window
_BULLET_TOKENS = 96  # generous: only an answer out of hand reaches the end
_LEAST_ANSWER = 768
# Tokens of a translation for one of its source: Chinese to English takes 1.2, English to German
# 1.5, into scripts that a vocabulary hardly knows 3.
_TRANSLATION_RATIO, _LINE_RATIO = 2.0, 5.0  # a line alone has room in any window
_LINE_TOKENS, _LEAST_ROOM = 8, 64


@dataclass(frozen=True)
class Budget:
    """What a call may hold.

    Attributes:
        max_lines: None: as many as fit.
        max_line_tokens: likewise.
        n_ctx: what prompt and answer share.
    """

    max_prompt_tokens: int
    max_lines: int | None
    max_line_tokens: int | None
    n_ctx: int

    @classmethod
    def of(cls, spec: ModelSpec, settings: Settings) -> Budget:
        """Return the strictest of what the user, the model and the pool's window allow."""
        n_ctx = min(settings.pool_n_ctx, spec.n_ctx_max or settings.pool_n_ctx)
        beside_answer = n_ctx - min(_ANSWER_TOKENS, n_ctx // 3)
        own = spec.max_prompt_tokens or settings.max_prompt_tokens
        return cls(
            max_prompt_tokens=min(settings.max_prompt_tokens, own, beside_answer),
            max_lines=spec.max_lines,
            max_line_tokens=spec.max_line_tokens,
            n_ctx=n_ctx,
        )

    def for_translation(self) -> Budget:
        """Return the budget that leaves an answer as much room as its source may need."""
        most = int((self.n_ctx - _LEAST_ROOM) / (1 + _TRANSLATION_RATIO))
        return replace(self, max_prompt_tokens=min(self.max_prompt_tokens, most))

    def translation_tokens(
        self, prompt_tokens: int, source_tokens: int, n_lines: int, *, is_last: bool = False
    ) -> int:
        """Return how long a translation may become: only one out of hand reaches the end.

        Args:
            is_last: a line that is asked for alone, and for the last time.
        """
        ratio = _LINE_RATIO if is_last else _TRANSLATION_RATIO
        wanted = int(ratio * source_tokens) + _LINE_TOKENS * n_lines + _LEAST_ROOM
        return min(wanted, self.n_ctx - prompt_tokens)

    def sampling(self, prompt_tokens: int, max_bullets: int) -> Sampling:
        """Return the first attempt's sampling: greedy, and an end to an answer without one."""
        wanted = max(_LEAST_ANSWER, (max_bullets + 2) * _BULLET_TOKENS)
        return Sampling(max_tokens=min(wanted, self.n_ctx - prompt_tokens))


def model_identity(spec: ModelSpec, settings: Settings) -> str:
    """Return what tells apart who answers: the file and how it is used; and of another server its
    model's name.

    Not the server's address: it may move. Without a name nobody knows what it has loaded, but
    that it need not be the file.
    """
    if settings.pool_url is None:
        return spec.answers_by
    return f"{settings.pool_model or 'another server'}, {spec.identity}"


def request_key(identity: str, task: str, messages: Sequence[Message], sampling: Sampling) -> str:
    """Return the hash of all that determines an answer."""
    work = {
        "model": identity,
        "task": task,
        "messages": [[message.role, message.content] for message in messages],
        "sampling": asdict(sampling),
    }
    text = json.dumps(work, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
