"""Names of languages, and telling them apart."""

from __future__ import annotations

import pytest

from tasks.errors import SourceError
from tasks.generate.languages import (
    is_already_in,
    is_in,
    is_right_to_left,
    is_same,
    language_code,
    language_name,
)

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


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("zh", "zh"), ("zh-CN", "zh"), ("zh_CN", "zh"), ("zh-Hans", "zh"), ("cn", "zh"),
        ("cmn", "zh"), ("简体中文", "zh"), ("Chinese", "zh"), ("zh-TW", "zh-hant"),
        ("zh-HK", "zh-hant"), ("繁體中文", "zh-hant"), ("jp", "ja"), ("deu", "de"),
        ("Deutsch", "de"), ("pt-BR", "pt-br"), ("sw", "sw"),
    ],
)  # fmt: skip
def test_a_language_is_known_by_what_people_call_it(name: str, code: str) -> None:
    assert language_code(name) == code


@pytest.mark.parametrize("name", ["xx", "klingon", "und", "", "zz-ZZ", "e" * 99])
def test_what_is_no_language_is_refused(name: str) -> None:
    with pytest.raises(SourceError, match="no such language"):
        language_code(name)


def test_chinese_in_other_characters_is_another_language() -> None:
    assert is_same("zh", language_code("zh-CN"))
    assert not is_same("zh", language_code("zh-TW"))


def test_scripts_have_their_direction() -> None:
    codes = ("ar", "he", "fa", "ur", "en", "zh", "und", "Klingon")

    assert [is_right_to_left(code) for code in codes] == [True] * 4 + [False] * 4


@pytest.mark.parametrize(
    ("text", "source", "target", "expected"),
    [
        ("これは日本語の文章です。", "en", "zh", False),
        ("这是一句很长的中文句子。", "en", "ja", False),
        ("東京大学", "en", "ja", True),
        ("Jean a dit bonjour à sa mère.", "zh", "en", False),
        ("See the section on the kernel.", "zh", "en", True),
        ("Debian GNU/Linux", "zh", "en", True),
        ("gnome-screenshot V:25, I:259 1134 Wayland", "zh", "en", True),
        ("telnet 23 telnets 992 flameshot zstdcat lzop", "zh", "en", True),
    ],
)
def test_another_language_in_the_same_letters_is_not_the_target(
    text: str, source: str, target: str, expected: bool
) -> None:
    assert is_already_in(text, source, target) is expected
