"""Names of languages, and telling them apart."""

from __future__ import annotations

import pytest

from tasks.generate.languages import is_already_in, is_in, language_name

ENGLISH = "The committee met in the town hall and decided that the bridge should be repaired. " * 4
GERMAN = "Der Ausschuss traf sich im Rathaus und beschloss, die Brücke zu reparieren und mehr. " * 4
CHINESE = "委员会在市政厅开会，决定维修这座桥。"
JAPANESE = "委員会は市役所で会議を開き、橋を修理することに決めた。"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("en", "English"),
        ("de", "German"),
        ("zh", "中文"),
        ("zh-CN", "中文"),
        ("zh-Hant", "繁体中文"),
        ("und", "the language of the text"),
        ("Klingon", "Klingon"),
    ],
)
def test_a_language_is_named_as_prompts_have_it(code: str, name: str) -> None:
    assert language_name(code) == name


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (ENGLISH, "en", True),
        (ENGLISH, "de", False),
        (GERMAN, "de", True),
        (GERMAN, "en", False),
        (CHINESE, "zh", True),
        (CHINESE, "en", False),
        (ENGLISH, "zh", False),
        (JAPANESE, "ja", True),
        (JAPANESE, "zh", False),
        (CHINESE + "使用 Debian 和 systemd。", "zh", True),
        ("OK", "zh", True),  # too short to tell
        ("int main(void)", "en", True),
        (GERMAN[:80], "en", True),
        (ENGLISH, "und", True),
        (CHINESE, "und", True),
        (ENGLISH, "Klingon", True),
    ],
)
def test_a_text_is_foreign_only_where_that_is_sure(
    text: str, language: str, expected: bool
) -> None:
    assert is_in(text, language) is expected


@pytest.mark.parametrize(
    ("text", "source", "target", "expected"),
    [
        ("Debian GNU/Linux 12", "zh", "en", True),
        ("apt-get 的用法", "zh", "en", False),
        ("Debian", "zh", "de", False),
        ("Debian", "de", "en", False),
        ("第三章", "en", "zh", True),
        ("第三章", "ja", "zh", False),
        ("Привет", "ru", "uk", False),
        ("English all", "en", "en", False),
        ("Привет", "zh", "en", False),
        ("12.5", "zh", "en", False),
    ],
)
def test_what_is_in_the_target_language_already(
    text: str, source: str, target: str, expected: bool
) -> None:
    assert is_already_in(text, source, target) == expected
