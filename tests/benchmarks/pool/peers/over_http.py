"""Ask a server for completions of tokens, many at a time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from ..work import Request
from .measured import PeerError, check


@dataclass(frozen=True)
class Server:
    """Where it is, and how it is asked.

    Attributes:
        n_clients: requests under way at once; 0: all, so that waiting is the server's business.
        streamed: have each token sent as it comes.
    """

    name: str
    url: str
    model: str
    key: str = ""
    n_clients: int = 0
    streamed: bool = False

    def answer(self, requests: Sequence[Request]) -> float:
        """Have all answered, and return the seconds.

        Raises:
            PeerError: an answer is wrong.
        """
        texts, seconds = asyncio.run(self._ask_all(requests))
        for request, text in zip(requests, texts, strict=True):
            check(self.name, request, text)
        return seconds

    async def _ask_all(self, requests: Sequence[Request]) -> tuple[list[str], float]:
        n_clients = self.n_clients or len(requests)
        limits = httpx.Limits(max_connections=n_clients)
        async with httpx.AsyncClient(timeout=None, limits=limits, trust_env=False) as client:
            start = time.perf_counter()
            texts = await asyncio.gather(*(self._ask(client, each) for each in requests))
            return texts, time.perf_counter() - start

    async def _ask(self, client: httpx.AsyncClient, request: Request) -> str:
        body = {
            "model": self.model,
            "prompt": request.prompt,
            "max_tokens": request.max_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": self.streamed,
        }
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        answer = await client.post(f"{self.url}/v1/completions", json=body, headers=headers)
        if not answer.is_success:
            raise PeerError(f"{self.name} answered {answer.status_code}: {answer.text[:300]}")
        if not self.streamed:
            return _text(answer.json())
        lines = (line.removeprefix("data: ") for line in answer.text.splitlines() if line)
        return "".join(_text(json.loads(line)) for line in lines if line != "[DONE]")


def _text(answer: Any) -> str:
    return str(answer["choices"][0]["text"]) if answer["choices"] else ""
