"""The languages that Whisper knows, and which of them a user means.

Their codes are kept here, since reading faster-whisper's takes a second; a test compares them.
"""

from __future__ import annotations

from difflib import get_close_matches

from tasks.errors import SourceError

_CODES = (
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he "
    "hi hr ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne "
    "nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk "
    "ur uz vi yi yo zh yue"
)
CODES = frozenset(_CODES.split())
# Written without spaces between words.
UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})
# As people write them otherwise: older and longer codes, and names.
_OTHER = {
    "nb": "no", "jv": "jw", "iw": "he", "in": "id", "fil": "tl", "cn": "zh", "cmn": "zh",
    "jp": "ja", "kr": "ko", "ua": "uk", "cz": "cs", "gr": "el", "mo": "ro", "arabic": "ar",
    "chinese": "zh", "mandarin": "zh", "cantonese": "yue", "czech": "cs", "danish": "da",
    "dutch": "nl", "english": "en", "finnish": "fi", "french": "fr", "german": "de",
    "greek": "el", "hebrew": "he", "hindi": "hi", "hungarian": "hu", "indonesian": "id",
    "italian": "it", "japanese": "ja", "korean": "ko", "norwegian": "no", "persian": "fa",
    "polish": "pl", "portuguese": "pt", "romanian": "ro", "russian": "ru", "spanish": "es",
    "swedish": "sv", "thai": "th", "turkish": "tr", "ukrainian": "uk", "vietnamese": "vi",
}  # fmt: skip


def whisper_code(language: str) -> str:
    """Return Whisper's code of a language as a user writes it: "en", "zh-CN", "eng", "German".

    Raises:
        SourceError: Whisper knows no such language.
    """
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    written = language.strip().lower()
    code = _OTHER.get(written, written)
    if code not in CODES:
        try:
            code = langcodes.standardize_tag(code).split("-")[0]
        except LanguageTagError:
            code = ""
        code = _OTHER.get(code, code)
    if code not in CODES:
        raise SourceError(language, "there is no such language of speech", _nearest(written))
    return code


def _nearest(written: str) -> str:
    close = get_close_matches(written, sorted(CODES | _OTHER.keys()), n=1, cutoff=0.5)
    if not close:
        return "Write a code such as en, zh or de"
    code = _OTHER.get(close[0], close[0])
    return f"Did you mean {close[0]} ({code})?" if code != close[0] else f"Did you mean {code}?"
