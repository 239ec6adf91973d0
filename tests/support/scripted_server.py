"""A real OpenAI-compatible server on loopback that answers by rule, and misbehaves on request.

A summary is the first line of each paragraph with its number, as the demo model has it; a
translation follows a rule (support.rule_translation) and the glossary that it is told; renderings
of terms it knows none; chapters begin at every fifth of the lines. Same request, same answer, same
usage and timings. Every request goes to a log before it is answered. As a Foreign server it is
like vLLM, Ollama or LM Studio: it streams when asked to, and tells no times.

In a test:

    with ScriptedServer(rules=[Rule("status", status=500, match="Chapter 2", times=1)]) as server:
        PoolClient(server.url, server.api_key)
        server.log  # one Entry a request

For tests that kill: `python -m support.scripted_server --port 0 --log FILE` prints its URL as the
first line; `--rules` takes what POST /script takes, a JSON list of rules.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Literal, Self

from support.rule_translation import answer, mistaken

Json = dict[str, Any]
Action = Literal[
    "answer",
    "status",
    "drop",
    "die",
    "empty",
    "garbage",
    "not_json",
    "truncated",
    "loop",
    "wrong_numbers",
    "no_citations",
    "leak",
    "think",
    "say",
    "mistake",
]
_LINE = re.compile(r"^\[(\d+)\] (.*)$")
_TRANSLATION = re.compile("translation|译文|訳文|Übersetzung|traduction|traducción")
_CHAPTERS = re.compile("Write the chapters now|现在写出章节")
_TITLES = (
    ("The beginning", "A first topic", "Another topic", "Something else", "The end"),
    ("开场白", "第一个话题", "另一个话题", "别的内容", "结束语"),
)
_RENDERINGS = re.compile("renderings|译法")
_GLOSSARY = re.compile(r"<glossary>\n(.*?)\n</glossary>", re.DOTALL)
_SOURCE = re.compile(r"<source>\n(.*?)\n</source>(.*)", re.DOTALL)


@dataclass
class Rule:
    """What to do with the requests that match; of several rules the first counts.

    Attributes:
        match: a piece of the messages; empty matches all.
        nth: only the nth request that the server gets, from 1.
        times: so often, then no more; None: always.
        greedy: only requests with temperature 0 (True), or with more (False).
        seed: only requests with this one: 0 for first attempts, 1 for second ones, and so on.
        delay_s: wait before doing it.
        status, code: for "status"; a code such as "model_not_found" goes into the error object.
        text: for "say": the answer; for "mistake": which, of support.rule_translation.MISTAKES.
    """

    do: Action = "answer"
    match: str = ""
    nth: int | None = None
    times: int | None = None
    greedy: bool | None = None
    seed: int | None = None
    delay_s: float = 0.0
    status: int = 500
    code: str = "scripted"
    text: str = ""

    def takes(self, entry: Entry) -> bool:
        """Tell whether this rule is for a request; count it if so."""
        if self.times == 0 or self.nth not in (None, entry.n):
            return False
        if self.greedy is not None and self.greedy != (entry.temperature == 0):
            return False
        if self.seed not in (None, entry.seed):
            return False
        if self.match not in entry.prompt:
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(frozen=True)
class Entry:
    """A request as the log keeps it.

    Attributes:
        key: hash of model, messages and sampling: two equal ones are one request asked twice.
        open: how many requests were being answered when it came, itself included.
    """

    n: int
    key: str
    model: str
    prompt: str
    temperature: float
    frequency_penalty: float
    seed: int
    max_tokens: int
    run: str
    did: str
    open: int


@dataclass(frozen=True)
class Foreign:
    """What a server that is not ours does otherwise.

    Attributes:
        refuses: parameters that it answers with status 400.
        models: rows of /v1/models; it knows these names alone.
        tells_usage: at the end of a stream that asks for it, and of whole answers.
    """

    refuses: tuple[str, ...] = ()
    models: tuple[Json, ...] = ({"id": "scripted", "object": "model"},)
    tells_usage: bool = True

    def refusal(self, body: Json) -> tuple[int, Json] | None:
        """Return how a request is refused; None if it is not."""
        for name in self.refuses:
            if name in body:
                return 400, _error(f"`{name}` is not supported", "invalid_value")
        if body["model"] not in [each["id"] for each in self.models]:
            return 404, _error(f"model {body['model']} not found", "not_found_error")
        return None


@dataclass
class _State:
    """What the handlers share."""

    api_key: str | None
    log_file: Path | None
    rules: list[Rule]
    delay_s: float
    may_die: bool
    foreign: Foreign | None = None
    workers: Sequence[str] = ("scripted",)
    log: list[Entry] = field(default_factory=list)
    open: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, body: Json, run: str) -> tuple[Entry, Rule]:
        """Log a request and choose what to do with it."""
        prompt = "\n".join(str(message["content"]) for message in body["messages"])
        with self.lock:
            self.open += 1
            entry = Entry(
                n=len(self.log) + 1,
                key=hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest(),
                model=body["model"],
                prompt=prompt,
                temperature=body.get("temperature", 1.0),
                frequency_penalty=body.get("frequency_penalty", 0.0),
                seed=body.get("seed", 0),
                max_tokens=body.get("max_tokens", 0),
                run=run,
                did="",
                open=self.open,
            )
            rule = next((rule for rule in self.rules if rule.takes(entry)), Rule())
            entry = Entry(**{**asdict(entry), "did": rule.do})
            self.log.append(entry)
            if self.log_file is not None:
                with self.log_file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
        return entry, rule

    def leave(self) -> None:
        with self.lock:
            self.open -= 1


class ScriptedServer:
    """The server in threads of this process.

    Args:
        rules: how to misbehave; see `script`.
        log_file: a JSON line for each request, beside `log`.
        delay_s: before every answer.
        may_die: the rule "die" ends the process (kill -9); else it drops the connection.
        foreign: be another server than ours.
        workers: those that answer in turn, by what the answers say.
    """

    def __init__(
        self,
        *,
        rules: Sequence[Rule] = (),
        api_key: str | None = None,
        port: int = 0,
        log_file: Path | None = None,
        delay_s: float = 0.0,
        may_die: bool = False,
        foreign: Foreign | None = None,
        workers: Sequence[str] = ("scripted",),
    ) -> None:
        self.api_key = api_key
        self._state = _State(api_key, log_file, list(rules), delay_s, may_die, foreign, workers)
        handler = type("Handler", (_Handler,), {"state": self._state})
        self._server = _Server(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def log(self) -> list[Entry]:
        with self._state.lock:
            return list(self._state.log)

    def script(self, *rules: Rule) -> None:
        """Put these rules in place of those before."""
        with self._state.lock:
            self._state.rules = list(rules)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.hang_up()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def hang_up(self) -> None:
        """End the connections too, as the end of a process would."""
        for connection in self._connections:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    state: _State
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body leave together
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/health":
            self._send(200, {"status": "ok"})
        elif self._may_enter():
            with self.state.lock:
                log = [asdict(entry) for entry in self.state.log]
            models = {"object": "list", "data": (self.state.foreign or Foreign()).models}
            known = {"/v1/models": models, "/log": log}
            self._send(200 if self.path in known else 404, known.get(self.path, _error("no route")))

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if len(body) < length or not self._may_enter():  # a killed client sends half a request
            return
        if self.path == "/script":
            with self.state.lock:
                self.state.rules = [Rule(**rule) for rule in json.loads(body)]
            self._send(200, {})
        elif self.path == "/v1/chat/completions":
            entry, rule = self.state.enter(json.loads(body), self.headers.get("x-lectern-run", ""))
            try:
                self._act(entry, rule, json.loads(body))
            finally:
                self.state.leave()
        else:
            self._send(404, _error("no route"))

    def _may_enter(self) -> bool:
        key = self.state.api_key
        if key is None or self.headers.get("authorization") == f"Bearer {key}":
            return True
        self._send(401, _error("wrong key", "invalid_api_key"))
        return False

    def _act(self, entry: Entry, rule: Rule, body: Json) -> None:
        time.sleep(rule.delay_s or self.state.delay_s)
        if rule.do == "die" and self.state.may_die:
            os._exit(9)
        if rule.do in ("drop", "die"):
            self.close_connection = True
        elif rule.do == "status":
            self._send(rule.status, _error("told to", rule.code))
        elif rule.do == "not_json":
            self._send(200, None)
        elif self.state.foreign and (refused := self.state.foreign.refusal(body)):
            self._send(*refused)
        else:
            text, reason = answer_with(rule, entry.prompt)
            whole = _completion(entry, text, reason, bool(body.get("logprobs")))
            whole["worker"] = self.state.workers[entry.n % len(self.state.workers)]
            if self.state.foreign:
                self._send_as(self.state.foreign, whole, body)
            else:
                self._send(200, whole)

    def _send_as(self, foreign: Foreign, whole: Json, body: Json) -> None:
        """Send what another server would: no times, and a stream if asked for."""
        del whole["timings"], whole["worker"]
        if not foreign.tells_usage:
            del whole["usage"]
        if not body.get("stream"):
            self._send(200, whole)
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for event in _events(whole, bool(body.get("stream_options"))):
            self.wfile.write(f"data: {event}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True

    def _send(self, status: int, content: Any) -> None:
        data = b"<html>" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _error(message: str, code: str = "scripted") -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code}}


def answer_with(rule: Rule, prompt: str) -> tuple[str, str]:
    """Return the text that a rule asks for, and the finish reason."""
    good = answer_by_rule(prompt)
    if rule.do == "mistake":
        dice = Random(hashlib.sha256(prompt.encode()).digest())
        return mistaken(rule.text, prompt, shown_lines(prompt), dice, shown_glossary(prompt))
    bullets = good.splitlines()
    wrong: dict[str, str] = {
        "empty": "",
        "garbage": "%$ \x01 nothing that anyone asked for",
        "loop": "\n".join(bullets[:1] * 40),
        "wrong_numbers": re.sub(r"\[\d+\]", "[999]", good),
        "no_citations": re.sub(r" ?\[\d+\]", "", good),
        "leak": "\n".join([*prompt.strip().splitlines()[:3], *bullets]),
        "think": f"<think>Well, the user wants bullets.\n{good}",
        "say": rule.text,
    }
    if rule.do == "truncated":
        return good[: max(1, len(good) - 6)], "length"
    return wrong.get(rule.do, good), "stop"


def answer_by_rule(prompt: str) -> str:
    """Return the right answer to a prompt."""
    found = _SOURCE.search(prompt)
    if found is None:
        return ""
    if _RENDERINGS.search(found[2]):
        return "\n".join(f"[{n}] –" for n, _ in enumerate(shown_lines(prompt), start=1))
    if _CHAPTERS.search(found[2]):
        return _chapters(prompt, len(shown_lines(prompt)))
    if _TRANSLATION.search(found[2]):
        return answer(shown_lines(prompt), shown_glossary(prompt))
    paragraphs = [p.splitlines() for p in found[1].split("\n\n")]
    heads = [match for lines in paragraphs if lines and (match := _LINE.match(lines[0]))]
    return "\n".join(f"- {head[2]} [{head[1]}]" for head in heads)


def _chapters(prompt: str, n_lines: int) -> str:
    """Return chapters in the language of the instructions."""
    titles = _TITLES["现在写出章节" in prompt]
    starts = range(1, n_lines + 1, max(1, n_lines // len(titles)))
    return "\n".join(f"[{n}] {title}" for n, title in zip(starts, titles, strict=False))


def shown_lines(prompt: str) -> list[str]:
    """Return the texts of the numbered lines that a prompt shows."""
    found = _SOURCE.search(prompt)
    rows = found[1].splitlines() if found else []
    return [match[2] for row in rows if (match := _LINE.match(row))]


def shown_glossary(prompt: str) -> list[tuple[str, str]]:
    """Return the terms and renderings that a prompt shows."""
    found = _GLOSSARY.search(prompt)
    rows = (row.partition(" = ") for row in found[1].splitlines()) if found else ()
    return [(source, target) for source, _, target in rows]


def count(text: str) -> int:
    """Return the tokens that this server counts: words, and Chinese characters."""
    return len(re.findall(r"[\u3040-\u9fff]|[^\s\u3040-\u9fff]+", text))


def _events(whole: Json, with_usage: bool) -> Iterator[str]:
    """Yield a stream's events: a word each, the reason to finish, the usage, the end."""
    [choice] = whole["choices"]
    head = {"id": whole["id"], "object": "chat.completion.chunk", "model": whole["model"]}
    logprobs = choice.get("logprobs", {}).get("content", [])
    for n, word in enumerate(re.findall(r"\S+\s*|\s+", choice["message"]["content"])):
        piece: Json = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        if n < len(logprobs):
            piece["logprobs"] = {"content": [logprobs[n]]}
        yield json.dumps({**head, "choices": [piece]}, ensure_ascii=False)
    last = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    yield json.dumps({**head, "choices": [last]})
    if with_usage and "usage" in whole:
        yield json.dumps({**head, "choices": [], "usage": whole["usage"]})
    yield "[DONE]"


def _completion(entry: Entry, text: str, reason: str, logprobs: bool) -> Json:
    prompt_tokens, completion_tokens = count(entry.prompt), count(text)
    prefill_s, decode_s = prompt_tokens / 1000, completion_tokens / 100
    choice: Json = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": reason,
    }
    if logprobs:
        choice["logprobs"] = {"content": [{"token": "", "logprob": -0.25}] * completion_tokens}
    return {
        "id": f"scripted-{entry.n}",
        "object": "chat.completion",
        "created": 0,
        "model": entry.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
        "timings": {
            "queue_s": 0.0,
            "prefill_s": prefill_s,
            "decode_s": decode_s,
            "ttft_s": prefill_s,
            "tpot_s": decode_s / (completion_tokens - 1) if completion_tokens > 1 else None,
            "e2e_s": prefill_s + decode_s,
        },
    }


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--api-key")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--rules", default="[]", help="a JSON list of rules")
    options = parser.parse_args()
    server = ScriptedServer(
        rules=[Rule(**rule) for rule in json.loads(options.rules)],
        api_key=options.api_key,
        port=options.port,
        log_file=options.log,
        delay_s=options.delay,
        may_die=True,
    )
    with server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
