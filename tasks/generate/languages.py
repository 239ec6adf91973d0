"""Languages as prompts name them, and as a text shows them.

Owns the names of languages in the prompts' own languages, and the telling of one from another.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any

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
    "zh-tw": ("Traditional Chinese", "繁体中文"),
    "und": ("the language of the text", "原文的语言"),
}
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
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]+")
_FLOOR_LETTERS = 200  # below this, identification is often wrong
_SURE = 0.95
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

    Raises:
        SourceError: it is neither a code nor a name that is known.
    """
    wanted = name.strip().lower()
    for code, names in _NAMES.items():
        if code != "und" and wanted in (code, *(each.lower() for each in names)):
            return code
    if re.fullmatch(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", wanted):
        return wanted
    known = ", ".join(language_codes())
    raise SourceError(name, "no such language", f"Name it by its code: {known}")


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


def has_own_script(language: str) -> bool:
    """Tell whether a language is told by its letters."""
    return base(language) in _SCRIPTS


def is_same(source: str, target: str) -> bool:
    """Tell whether two codes are of one language; Chinese in other characters is another."""
    if base(source) == "zh":
        return source.lower() == target.lower()
    return base(source) == base(target)


def is_already_in(text: str, source: str, target: str) -> bool:
    """Tell whether a text needs no translation: it has letters, and all are of the target's script
    and none of the source's. Latin letters alone are taken for English, as names of programs are.
    """
    here, there = base(source), base(target)
    letters = "".join(c for c in text if c.isalpha())
    if not letters or (here in _SCRIPTS and _SCRIPTS[here] is _SCRIPTS.get(there)):
        return False  # their letters do not tell them apart
    if there in _SCRIPTS:
        return _SCRIPTS[there].fullmatch(letters) is not None
    return there == "en" and here in _SCRIPTS and _LATIN.fullmatch(letters) is not None


def is_in(text: str, language: str) -> bool:
    """Tell whether a text may be in a language; False only where it surely is not.

    The share of Chinese characters decides for and against Chinese and Japanese; a library
    tells languages in Latin script apart, if there is enough text.
    """
    letters = [c for c in text if c.isalpha()]
    if len(letters) < 10:
        return True
    han = sum("\u3400" <= c <= "\u9fff" for c in letters) / len(letters)
    kana = sum("\u3040" <= c <= "\u30ff" for c in letters) / len(letters)
    wanted = base(language)
    if wanted == "zh":
        return han >= 0.1 and kana < 0.1  # a name in Latin letters takes many
    if wanted == "ja":
        return kana >= 0.05 or han >= 0.5
    if han + kana > 0.4:
        return wanted not in _NAMES or wanted in ("ko", "und")
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
