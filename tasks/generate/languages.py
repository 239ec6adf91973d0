"""Languages as prompts name them, and as a text shows them.

Owns the names of languages in the prompts' own languages, and the telling of one from another.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any

import langcodes
from langcodes.tag_parser import LanguageTagError

from tasks.dictionary import count
from tasks.errors import SourceError

_NAMES: Mapping[str, tuple[str, str]] = {
    "ar": ("Arabic", "阿拉伯文"),
    "cs": ("Czech", "捷克文"),
    "da": ("Danish", "丹麦文"),
    "de": ("German", "德文"),
    "el": ("Greek", "希腊文"),
    "en": ("English", "英文"),
    "es": ("Spanish", "西班牙文"),
    "fa": ("Persian", "波斯文"),
    "fi": ("Finnish", "芬兰文"),
    "fr": ("French", "法文"),
    "he": ("Hebrew", "希伯来文"),
    "hi": ("Hindi", "印地文"),
    "hu": ("Hungarian", "匈牙利文"),
    "id": ("Indonesian", "印尼文"),
    "it": ("Italian", "意大利文"),
    "ja": ("Japanese", "日文"),
    "ko": ("Korean", "韩文"),
    "nl": ("Dutch", "荷兰文"),
    "no": ("Norwegian", "挪威文"),
    "pl": ("Polish", "波兰文"),
    "pt": ("Portuguese", "葡萄牙文"),
    "ro": ("Romanian", "罗马尼亚文"),
    "ru": ("Russian", "俄文"),
    "sv": ("Swedish", "瑞典文"),
    "th": ("Thai", "泰文"),
    "tr": ("Turkish", "土耳其文"),
    "uk": ("Ukrainian", "乌克兰文"),
    "vi": ("Vietnamese", "越南文"),
    "zh": ("Chinese", "中文"),
    "zh-hant": ("Traditional Chinese", "繁体中文"),
    "und": ("the language of the text", "原文的语言"),
}
# What people write besides: names of countries, and names in other languages.
_OTHER_NAMES: Mapping[str, str] = {
    "cn": "zh", "tw": "zh-hant", "jp": "ja", "kr": "ko", "ua": "uk", "cz": "cs", "gr": "el",
    "简体中文": "zh", "简体": "zh", "汉语": "zh", "simplified chinese": "zh",
    "繁體中文": "zh-hant", "繁体": "zh-hant", "繁體": "zh-hant",
    "英语": "en", "日语": "ja", "日本語": "ja", "韩语": "ko", "한국어": "ko", "德语": "de",
    "deutsch": "de", "法语": "fr", "français": "fr", "西班牙语": "es", "español": "es",
    "俄语": "ru",
}  # fmt: skip
_SPACELESS = frozenset({"zh", "ja", "th", "lo", "my", "km"})
_RIGHT_TO_LEFT = frozenset({"Arab", "Hebr", "Thaa", "Syrc", "Nkoo"})  # scripts, by ISO 15924
# Of languages that are told by their letters.
_SCRIPTS: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(("zh", "ja"), re.compile("[\u3040-\u30ff\u3400-\u9fff々〆]+")),
    "ko": re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]+"),
    **dict.fromkeys(("ru", "uk"), re.compile("[\u0400-\u04ff]+")),
    **dict.fromkeys(("ar", "fa"), re.compile("[\u0600-\u06ff\u0750-\u077f]+")),
    "he": re.compile("[\u0590-\u05ff]+"),
    "el": re.compile("[\u0370-\u03ff]+"),
    "th": re.compile("[\u0e00-\u0e7f]+"),
    "hi": re.compile("[\u0900-\u097f]+"),
}
_CHARACTERS = {"zh": "gb2312", "zh-hant": "big5hkscs"}
_STRANGE_CHARACTERS = 0.1  # rare ones of names are in neither
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]+")
_FLOOR_LETTERS = 200  # below this, identification is often wrong
_SURE = 0.95
_OWN_SHARE = 0.3  # names and programs keep their letters
_NAME_LETTERS = 8
_LISTED = ("en", "de", "fr", "es", "it", "pt", "nl")  # with lists of words
_LEAST_WORDS, _MOST_SHARE = 3, 0.6
_CLOSE = ({"da", "no", "nb", "nn", "sv"}, {"cs", "sk"}, {"hr", "sr", "bs"}, {"ms", "id"},
          {"es", "gl", "ca", "pt"}, {"af", "nl"})  # fmt: skip


def base(language: str) -> str:
    """Return a language code without its region or script: zh-Hans is zh."""
    return language.lower().partition("-")[0]


def language_codes() -> list[str]:
    """Return the codes of all languages that have a name here."""
    return [code for code in _NAMES if code != "und"]


def language_code(name: str) -> str:
    """Return the code of a language that a user names: "zh", "zh-TW", "Chinese" or "中文".

    Chinese is one of "zh" and "zh-hant", by the characters that a region writes. A code that has
    no name here is taken as it is, if BCP 47 has it.

    Raises:
        SourceError: it is neither a code nor a name that is known.
    """
    wanted = " ".join(name.lower().split())
    for code, names in _NAMES.items():
        if code != "und" and wanted in (code, *(each.lower() for each in names)):
            return code
    if code := _OTHER_NAMES.get(wanted) or _standard_code(wanted):
        return code
    known = ", ".join(language_codes())
    raise SourceError(name, "no such language", f"Name it by its code: {known}")


def _standard_code(tag: str) -> str:
    """Return the code that BCP 47 has for a tag such as cmn, zh_CN or deu; "" if it has none."""
    found = _tag(tag)
    if found is None or not found.is_valid() or found.language in (None, "und"):
        return ""
    found = found.prefer_macrolanguage()
    if found.language == "zh":
        return "zh-hant" if found.maximize().script == "Hant" else "zh"
    return found.to_tag().lower()


def _tag(tag: str) -> langcodes.Language | None:
    try:
        return langcodes.get(tag)
    except LanguageTagError:
        return None


def is_encodable(text: str, encoding: str) -> bool:
    """Tell whether a country's encoding has all ideographs of a text: 权 is Chinese alone."""
    try:
        "".join(c for c in text if "\u3400" <= c <= "\u9fff").encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def is_known(language: str) -> bool:
    """Tell whether a code is one of those that have a name here."""
    return language in _NAMES and language != "und"


def language_name(language: str) -> str:
    """Return a language's name as prompts have it: in Chinese for Chinese, else in English.

    An unknown code stands for itself.
    """
    names = _NAMES.get(language.lower()) or _NAMES.get(base(language))
    if names is None:
        return language
    return names[1] if base(language) == "zh" else names[0]


def is_spaceless(language: str) -> bool:
    """Tell whether a language puts no space between words and sentences."""
    return base(language) in _SPACELESS


def is_right_to_left(language: str) -> bool:
    """Tell whether a language is written from right to left."""
    found = _tag(language)
    return found is not None and found.maximize().script in _RIGHT_TO_LEFT


def has_own_script(language: str) -> bool:
    """Tell whether a language is told by its letters."""
    return base(language) in _SCRIPTS


def is_same(source: str, target: str) -> bool:
    """Tell whether two codes are of one language; Chinese in other characters is another."""
    if base(source) == "zh":
        return source.lower() == target.lower()
    return base(source) == base(target)


def has_characters_of(text: str, language: str) -> bool:
    """Tell whether a Chinese text is in the characters, traditional or simplified, of its code:
    whether the older encodings of the countries that write them have nearly all."""
    han = [c for c in text if "\u3400" <= c <= "\u9fff"]
    unknown = sum(not c.encode(_CHARACTERS[language], "ignore") for c in han)
    return unknown <= _STRANGE_CHARACTERS * len(han)


def is_already_in(text: str, source: str, target: str) -> bool:
    """Tell whether a text needs no translation: it has letters, and all are of the target's script
    and none of the source's. Latin letters alone are taken for English, as names of programs are.
    """
    here, there = base(source), base(target)
    letters = "".join(c for c in text if c.isalpha())
    if not letters or (here in _SCRIPTS and _SCRIPTS[here] is _SCRIPTS.get(there)):
        return False  # their letters do not tell them apart
    if there in _SCRIPTS:
        return _SCRIPTS[there].fullmatch(letters) is not None and _may_be(letters, there)
    is_latin = there == "en" and here in _SCRIPTS and _LATIN.fullmatch(letters) is not None
    return is_latin and not _is_of_another(text)


def _may_be(letters: str, language: str) -> bool:
    """Tell Chinese and Japanese apart by kana, which only names and headings have none of."""
    has_kana = any("\u3040" <= c <= "\u30ff" for c in letters)
    if language == "zh":
        return not has_kana
    return language != "ja" or has_kana or len(letters) < _NAME_LETTERS


def _is_of_another(text: str) -> bool:
    """Tell whether a text in Latin letters is in another language than English: most of its words
    are known there, and more than in English. Names of programs are known nowhere."""
    words = [word for word in _LATIN.findall(text) if word.islower()]
    known = {each: sum(count(word, each) > 0 for word in words) for each in _LISTED}
    most = max(known.values())
    return len(words) >= _LEAST_WORDS and most > max(known["en"], _MOST_SHARE * len(words))


def is_in(text: str, language: str) -> bool:
    """Tell whether a text may be in a language; False only where it surely is not.

    The share of its letters decides for and against a language that has its own; a library tells
    languages in Latin script apart, if there is enough text.
    """
    letters = [c for c in text if c.isalpha()]
    if len(letters) < 10:
        return True
    han = sum("\u3400" <= c <= "\u9fff" for c in letters) / len(letters)
    kana = sum("\u3040" <= c <= "\u30ff" for c in letters) / len(letters)
    wanted = base(language)
    if wanted == "zh":
        is_chinese = han >= 0.1 and kana < 0.1  # a name in Latin letters takes many
        return is_chinese and (language != "zh-hant" or has_characters_of(text, language))
    if wanted == "ja":
        return kana >= 0.05 or (han >= 0.5 and "。" not in text and is_encodable(text, "cp932"))
    if wanted in _SCRIPTS:
        own = sum(map(len, _SCRIPTS[wanted].findall("".join(letters))))
        return own >= _OWN_SHARE * len(letters)
    if han + kana > 0.4:
        return wanted not in _NAMES or wanted == "und"
    latin = [c for c in letters if unicodedata.name(c, "").startswith("LATIN")]
    if len(letters) < _FLOOR_LETTERS or len(latin) < 0.9 * len(letters) or wanted not in _NAMES:
        return True
    return wanted == "und" or _identified(text, wanted)


def _identified(text: str, wanted: str) -> bool:
    found, probability = _identifier().classify(text)
    close = any({found, wanted} <= group for group in _CLOSE)
    return found == wanted or probability < _SURE or close


@cache
def _identifier() -> Any:
    # Loading its model takes a moment; most runs never need it.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
