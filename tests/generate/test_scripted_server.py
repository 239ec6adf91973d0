"""The server that other tests lean on: it answers by its rule and does as it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest
from support.generating import library
from support.rule_translation import answer
from support.scripted_server import Rule, ScriptedServer, answer_by_rule

from tasks.generate.prompts import VARIABLES
from tasks.settings import PROJECT_ROOT

SOURCE = "[1] One.\n[2] Two.\n\n[3] Three."
VALUES: dict[str, str | int] = {
    "language": "English",
    "title": "T",
    "section": "",
    "source": SOURCE,
}


def ask(
    url: str, text: str = f"<source>\n{SOURCE}\n</source>\nGo.", key: str = "any"
) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "temperature": 0}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{url}/chat/completions", json=body, headers=headers, trust_env=False)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("summarize", {"max_bullets": 5, "context": "Zero."}, "- One. [1]\n- Three. [3]"),
        ("merge", {"max_bullets": 5, "notes": "- One. [1]"}, "- One. [1]\n- Three. [3]"),
        (
            "translate",
            {"context": "", "glossary": "", "pairs": ""},
            answer(["One.", "Two.", "Three."]),
        ),
        ("glossary", {"context": ""}, "[1] –\n[2] –\n[3] –"),
    ],
)
def test_it_answers_by_its_rule(
    language: str, name: str, more: dict[str, str | int], expected: str
) -> None:
    values = {key: value for key, value in (VALUES | more).items() if key in VARIABLES[name]}
    messages, _ = library().render(name, language, values)

    assert answer_by_rule("\n".join(m.content for m in messages)) == expected


def test_the_same_request_gets_the_same_answer() -> None:
    with ScriptedServer() as server:
        first, second = (ask(server.url).json() for _ in range(2))
        log = server.log

    assert {**first, "id": ""} == {**second, "id": ""}
    assert log[0].key == log[1].key


def test_rules_are_used_in_order_and_up() -> None:
    rules = [Rule("status", status=500, nth=2), Rule("empty", match="One", times=1)]
    with ScriptedServer(rules=rules) as server:
        answers = [ask(server.url) for _ in range(3)]

        assert [a.status_code for a in answers] == [200, 500, 200]
        assert [entry.did for entry in server.log] == ["empty", "status", "answer"]
    assert answers[0].json()["choices"][0]["message"]["content"] == ""


def test_the_key_is_asked_for() -> None:
    with ScriptedServer(api_key="secret") as server:
        assert ask(server.url, key="guess").status_code == 401
        assert ask(server.url, key="secret").status_code == 200
        assert len(server.log) == 1


@pytest.fixture
def child(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    log = tmp_path / "log.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "support.scripted_server", "--log", str(log)],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT / "tests")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process, process.stdout.readline().strip(), log
    process.kill()
    process.wait()
    process.stdout.close()


def test_as_a_process_it_logs_to_a_file_and_can_die(
    child: tuple[subprocess.Popen[str], str, Path],
) -> None:
    process, url, log = child
    ask(url)
    rules = [asdict(Rule("die"))]
    httpx.post(f"{url.removesuffix('/v1')}/script", json=rules, trust_env=False)

    with pytest.raises(httpx.TransportError):
        ask(url)

    assert process.wait(10) == 9
    assert [json.loads(row)["did"] for row in log.read_text().splitlines()] == ["answer", "die"]
