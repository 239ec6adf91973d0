"""Prompt files: what may stand in them, and the errors for what may not."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from support.generating import library

from tasks.errors import PromptError
from tasks.generate.prompts import VARIABLES, PromptLibrary
from tasks.settings import PROJECT_ROOT

PROMPTS = PROJECT_ROOT / "prompts"
VALUES: dict[str, str | int] = {
    "language": "German",
    "max_bullets": 7,
    "title": "A Book",
    "section": "",
    "context": "",
    "source": "[1] One.\n\n[2] Two.",
    "glossary": "",
    "pairs": "",
    "max_chapters": 4,
}


def values_of(name: str) -> dict[str, str | int]:
    return {variable: VALUES[variable] for variable in VARIABLES[name]}


FILE = """
name = "summarize"
version = 3
[en]
system = "Be true."
user = '''{user}'''
[zh]
system = "如实。"
user = "{{{{ source }}}}"
"""


def own(folder: Path, user: str = "Say: {{ source }}", name: str = "summarize.toml") -> Path:
    """Write a user's prompt file; return its folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(FILE.format(user=user), encoding="utf-8")
    return folder


def test_a_prompt_is_rendered_into_two_messages() -> None:
    messages, ref = library().render("summarize", "en", values_of("summarize"))

    assert [message.role for message in messages] == ["system", "user"]
    assert "in German, in at most 7 bullets" in messages[1].content
    assert "<source>\n[1] One.\n\n[2] Two.\n</source>" in messages[1].content
    assert "<context>" not in messages[1].content
    assert "Section:" not in messages[1].content
    assert messages[1].content == messages[1].content.strip()
    data = (PROMPTS / "summarize.toml").read_bytes()
    assert (ref.name, ref.language, ref.hash) == (
        "summarize",
        "en",
        hashlib.sha256(data).hexdigest(),
    )


@pytest.mark.parametrize("name", sorted(VARIABLES))
@pytest.mark.parametrize("language", ["en", "zh", "ja", "de", "fr", "es"])
def test_every_variable_reaches_the_model(name: str, language: str) -> None:
    values = {variable: f"<<{variable}>>" for variable in VARIABLES[name]}

    messages, _ = library().render(name, language, values)

    text = messages[1].content
    named = values.keys() - ({"language"} if language not in ("en", "zh") else set())
    assert {variable for variable in values if f"<<{variable}>>" in text} >= named


def test_text_of_a_document_is_not_a_template() -> None:
    values = values_of("summarize")
    messages, _ = library().render("summarize", "en", {**values, "source": "{{ 1 + 1 }} {% if"})

    assert "{{ 1 + 1 }} {% if" in messages[1].content


def test_a_file_in_a_later_folder_stands_for_the_one_of_the_same_name(tmp_path: Path) -> None:
    prompts = library(own(tmp_path))

    messages, ref = prompts.render("summarize", "en", values_of("summarize"))

    assert messages[1].content == "Say: [1] One.\n\n[2] Two."
    assert ref.version == 3
    assert prompts.render("translate", "en", values_of("translate"))


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("{{ source }} {{ colour }}", "unknown variable colour. The variables of summarize are"),
        ("{{ source }} {% if notes %}x{% endif %}", "unknown variable notes"),
        ("Say something.", "does not show source"),
        ("{{ source", "not a template"),
        ("{{ source.__class__.__mro__ }}", "it fails"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}{{ source }}", ""),
    ],
)
def test_a_mistake_in_a_template_is_named(tmp_path: Path, user: str, expected: str) -> None:
    folder = own(tmp_path, user)

    if not expected:
        assert library(folder).render("summarize", "en", values_of("summarize"))
        return
    with pytest.raises(PromptError, match=r"summarize\.toml") as raised:
        library(folder).render("summarize", "en", values_of("summarize"))
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version = 3", "version = 3\ncolour = 1", "unknown field colour"),
        ('system = "Be true."', 'system = "Be true."\ntone = "x"', "unknown field en.tone"),
        ("version = 3", "", "version is missing"),
        ("version = 3", 'version = "three"', "version: "),
        ('system = "Be true."', "", "en.system is missing"),
        ("[zh]", "[de]\nsystem = ''\n[zh]", "de.user is missing"),
        ("[zh]", "[german]\nsystem = ''\nuser = '{{ source }}'\n[zh]", "language [german]"),
        ("[zh]", "[de]\nsystem = ''\nuser = 'x'\n[zh]", "[de] does not show source"),
        ('name = "summarize"', 'name = "summary"', "its name is 'summary'"),
        ("version = 3", "version =", "not TOML"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, old: str, new: str, expected: str) -> None:
    path = own(tmp_path) / "summarize.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    with pytest.raises(PromptError, match=r"summarize\.toml") as raised:
        library(tmp_path)

    assert expected in str(raised.value)


def test_a_missing_language_is_named(tmp_path: Path) -> None:
    path = own(tmp_path) / "summarize.toml"
    path.write_text(path.read_text(encoding="utf-8").partition("[zh]")[0], encoding="utf-8")

    with pytest.raises(PromptError, match=r"summarize\.toml: \[zh\] is missing"):
        library(tmp_path)


def test_a_file_that_is_no_prompt_is_an_error(tmp_path: Path) -> None:
    expected = r"summarise\.toml: no such prompt; there are chapters, glossary"
    with pytest.raises(PromptError, match=expected):
        library(own(tmp_path, name="summarise.toml"))


def test_a_missing_folder_or_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="no such folder"):
        library(tmp_path / "none")
    shutil.copy(PROMPTS / "merge.toml", tmp_path)
    with pytest.raises(PromptError, match=r"chapters\.toml is missing"):
        PromptLibrary([tmp_path])


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"source": None}, "no value was given for source"), ({"sauce": "x"}, "unknown variable sau")],
)
def test_values_that_do_not_match_are_an_error(change: dict[str, str], expected: str) -> None:
    values = {k: v for k, v in {**values_of("summarize"), **change}.items() if v is not None}

    with pytest.raises(PromptError, match=expected):
        library().render("summarize", "en", values)


@pytest.mark.parametrize(
    ("language", "section"),
    [("zh-tw", "zh"), ("de", "de"), ("de-AT", "de"), ("ko", "en"), ("und", "en")],
)
def test_answers_in_a_language_are_asked_for_in_it_where_there_is_a_text(
    language: str, section: str
) -> None:
    _, ref = library().render("translate", language, values_of("translate"))

    assert ref.language == section


def test_a_file_may_have_further_languages(tmp_path: Path) -> None:
    path = own(tmp_path) / "summarize.toml"
    more = "[ko]\nsystem = ''\nuser = '요약 {{ source }}'\n"
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")

    messages, ref = library(tmp_path).render("summarize", "ko", values_of("summarize"))

    assert (ref.language, messages[0].content[:2]) == ("ko", "요약")
