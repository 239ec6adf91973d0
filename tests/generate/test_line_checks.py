"""The checks of a line: real translations pass, in five languages; what goes wrong does not."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from support.parallel import FILES, articles

from tasks.generate.line_checks import Pair, check_line, is_rendered
from tasks.records import Message, Term

EN_ZH = Pair("en", "zh")
MESSAGES = (Message("user", "Skip nothing, join nothing, explain nothing at all here."),)


@pytest.fixture(scope="module")
def by_language(material: Path) -> dict[str, list[list[str]]]:
    return {language: articles(material, language) for language in FILES}


@pytest.mark.parametrize(("source", "target"), list(permutations(FILES, 2)))
def test_real_translations_pass_and_echoes_do_not(
    source: str, target: str, by_language: dict[str, list[list[str]]]
) -> None:
    """The Declaration of Human Rights, in every direction."""
    pair = Pair(source, target)
    n = 0
    for here, there in zip(by_language[source], by_language[target], strict=True):
        parts = (
            zip(here, there, strict=True)
            if len(here) == len(there)
            else [(" ".join(here), " ".join(there))]
        )
        for text, translation in parts:
            n += 1
            assert check_line(text, translation, pair) == (), (text, translation)
            assert "untranslated" in check_line(text, text, pair)

    assert n >= 30


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("The lathe stands in room 12.", "车床在12号房间。", ()),
        ("The lathe stands in room 12.", "车床在房间里。", ("figures",)),
        ("Three lathes stand in the room.", "房间里有三台车床。", ()),
        ("It costs 1,234.5 euros.", "价格为1234.5欧元。", ()),
        ("See https://example.org/a for more.", "详见 https://example.org/a 。", ()),
        ("See https://example.org/a for more.", "详见网站。", ("protected",)),
        ("Write to a.b@example.org soon.", "请尽快写信。", ("protected",)),
        ("Hello {name}, welcome to the house.", "你好，欢迎来到这里。", ("protected",)),
        ("Call `close()` at the end of it.", "最后调用 close()。", ()),
        ("The lathe stands here.", "The lathe stands here.", ("untranslated",)),
        ("First, we turn it.", "首先，我们转动它。", ()),
        ("Use TensorFlow and scikit-learn.", "使用 TensorFlow 和 scikit-learn。", ()),
        ("Ashish Vaswani, Noam Shazeer", "Ashish Vaswani, Noam Shazeer", ()),
        ("Getting started", "Getting started 入门", ("untranslated",)),
        ("Why Newspapers Have Columns", "Why Newspapers Have Columns", ("untranslated",)),
        ("Conclusion", "Conclusion", ("untranslated",)),
        ("Debian", "Debian", ()),
        ("See https://x.org/a for more.", "详见https://x.org/a获取更多信息。", ()),
        ("It began in the 1980s.", "始于20世纪80年代。", ()),
        ("It costs $1.5M.", "它要150万美元。", ()),
        ("It was found in [1–3].", "见于[1-3]。", ()),
        ("The lathe stands in the room.", "", ("empty",)),
        ("The lathe stands here.", "Okay, the user wants this. 车床在这里。", ("reasoning",)),
        ("Yes.", "是的。" * 100, ("length", "repetition")),
        ("A long sentence about the history of the library of tools and of all who use it, and "
         "of what it cost them over the years.", "好。", ("length",)),
        ("IBM", "IBM", ()),
        ("Debian GNU/Linux", "Debian GNU/Linux", ()),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(source: str, text: str, found: tuple[str, ...]) -> None:
    assert set(check_line(source, text, EN_ZH)) >= set(found)
    if not found:
        assert check_line(source, text, EN_ZH) == ()


def test_instructions_in_a_line_are_found() -> None:
    said = "车床 skip nothing, join nothing, explain nothing at all here"

    assert "prompt_leak" in check_line("The lathe runs well.", said, EN_ZH, messages=MESSAGES)


def test_terms_may_be_inflected_and_not_replaced() -> None:
    assert is_rendered(Term("lathe", "车床"), "这台车床很好。")
    assert not is_rendered(Term("lathe", "车床"), "这台机床很好。")
    assert is_rendered(Term("kernel module", "Kernelmodul"), "Die Kernelmodule sind geladen.")
    assert not is_rendered(Term("kernel module", "Kernelmodul"), "Die Bausteine sind geladen.")


def test_what_is_written_alike_in_chinese_and_japanese_is_no_echo() -> None:
    chinese = "这台车床已经很旧了，自从把旧长凳卖给邻居以后就再也没有人清点过它们。"

    assert check_line("第三章", "第三章", Pair("zh", "ja")) == ()
    assert "untranslated" in check_line(chinese, chinese, Pair("zh", "ja"))


@pytest.mark.parametrize(
    ("languages", "source", "text"),
    [
        ("en zh", "Machine Learning", "机器学习（Machine Learning）"),
        ("en zh", "Abstract", "摘要（Abstract）"),
        ("en zh", "Large language models (LLM)", "大语言模型（Large Language Models，LLM）"),
        ("en ja", "deep learning", "深層学習 (deep learning)"),
        ("en ru", "machine learning", "машинное обучение (machine learning)"),
        ("zh en", "人工智能", "Artificial intelligence (人工智能)"),
        ("zh en", "中华人民共和国", "People's Republic of China (中华人民共和国)"),
        ("en zh", "iPhone 15 Pro Max", "iPhone 15 Pro Max"),
        ("en de", "Homo sapiens", "Homo sapiens"),
        ("en zh", "It says “the quick brown fox jumps” in the first row.",
         "第一行写着“the quick brown fox jumps”。"),
        ("en de", "See `a()` at https://x.org/a.", "Siehe a() unter https://x.org/a."),
        ("en ja", "He said “https://x.org/a”.", "彼は「https://x.org/a」と言った。"),
        ("en zh", "US$1 = HK$7.8", "1美元 = 7.8港元"),
        ("zh en", "“$LANG”会被“$LC_TIME”或“$LC_ALL”覆盖。",
         "“$LANG” is overridden by “$LC_TIME” or “$LC_ALL”."),
        ("en zh", "Run apt-get install python3 pip pandoc now.",
         "现在运行 apt-get install python3 pip pandoc。"),
        ("ko ja", "모든 인간은 태어날 때부터 자유롭다.",
         "すべての人間は、生まれながらにして自由である。"),
        ("zh zh-hant", "这台机器", "這臺機器"),
        ("en zh", "Keywords are if, else, for, while and return.",
         "关键字包括 if、else、for、while 和 return。"),
        ("en zh", "Run docker run hello world to see.", "运行 docker run hello world 检查。"),
        ("en zh", "Attention is all you need was published in 2017.",
         "Attention is all you need 一文于 2017 年发表。"),
        ("en ja", "Graduate School of the University",
         "東京大学大学院情報理工学系研究科電子情報学専攻"),
        ("en de", "The term 社会主义核心价值观 (core socialist values) was coined in 2006.",
         "Der Begriff 社会主义核心价值观 (sozialistische Grundwerte) wurde 2006 geprägt."),
        ("en zh", "The AES-128, AES-192 and AES-256 ciphers work.", "支持 AES-128/192/256 算法。"),
    ],
)  # fmt: skip
def test_good_lines_are_let_through(languages: str, source: str, text: str) -> None:
    assert check_line(source, text, Pair(*languages.split())) == ()


@pytest.mark.parametrize(
    ("languages", "source", "text", "found"),
    [
        ("en ja", "The lathe stands in the old room of the house.",
         "车床放在这座房子的旧房间里。", "wrong_language"),
        ("en ko", "The lathe stands in the old room.", "车床放在这座房子的旧房间里。",
         "wrong_language"),
        ("de ru", "Die Drehbank steht im alten Raum.", "The lathe stands in the old room.",
         "wrong_language"),
        ("en ar", "The lathe stands in the old room.", "El torno está en la sala vieja.",
         "wrong_language"),
        ("en zh", "The minister said that he would go.", "部长说，" * 12, "repetition"),
        ("zh en", "部长说他要走。", "the minister said that " * 6, "repetition"),
        ("zh en", "委员会今天在市政厅开会讨论。", "the " * 18, "repetition"),
        ("zh en", "这是今天最重要的问题之一。", "It is one of the 最重要的问题 today.",
         "untranslated"),
        ("en zh", "It is one of the most important problems.",
         "这是 one of the most important problems 之一。", "untranslated"),
        ("en zh", "See https://x.org/v1 for more.", "详见 https://x.org/v10 。", "protected"),
        ("en zh", "Write to a@b.com at once.", "请立即写信给 a@b.com.cn 。", "protected"),
        ("en zh", "“I have never seen anything like this in my whole life,” he said.",
         "“I have never seen anything like this in my whole life,”他说。", "untranslated"),
        ("en de", "“I have never seen anything like this in my whole life,” he said.",
         "„I have never seen anything like this in my whole life,“ sagte er.", "untranslated"),
        ("zh en", "“我从来没有见过这样的事情，”他说。", "“我从来没有见过这样的事情，” he said.",
         "untranslated"),
        ("en zh", "The cat sat on the mat near the door.",
         "猫坐在门边的垫子上（The cat sat on the mat near the door）。", "untranslated"),
        ("en zh", "The sum was set at exactly 1000000000 dollars, as he said at last, and then he "
         "went away from the house of the judge without a word to his friends.",
         "他说总金额最后被认定为整整1000000000美元" + "，然后离开" * 12, "repetition"),
        ("en zh", "We asked GPT-4 about it.", "我们问了GPT-3。", "figures"),
        ("en zh", "The committee rejected all of the proposals that were put forward.", "是。",
         "length"),
        ("en zh-hant", "The machine is for speaking.", "这台机器是用来说话的。", "wrong_language"),
        ("zh zh-hant", "这台机器是用来说话的。", "这台机器是用来说话的。", "untranslated"),
        ("zh-hant zh", "這台機器是用來說話的。", "這台機器是用來說話的。", "untranslated"),
    ],
)  # fmt: skip
def test_bad_lines_are_not_let_through(languages: str, source: str, text: str, found: str) -> None:
    assert found in check_line(source, text, Pair(*languages.split()))
