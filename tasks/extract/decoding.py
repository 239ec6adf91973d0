"""Bytes to text: by the mark at their start, by what they declare, else by what they look like.

Knows nothing of formats but where HTML declares its encoding.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter

from charset_normalizer import from_bytes

from tasks.extract.sentences import detect_language

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# As browsers do: a page that declares the older encoding is written in the newer one.
_WIDER = {
    "gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "shift_jis": "cp932",
    "euc_kr": "cp949", "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254",
}  # fmt: skip
# What text in the wild is written in; those that share bytes in the order of how common they are.
_LIKELY = [
    "gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1252", "cp1250", "cp1251", "koi8_r",
    "cp1253", "cp1254", "cp1255", "cp1256", "cp874", "iso8859_2", "cp1258",
]  # fmt: skip
_DECLARED = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:+-]{1,40})""", re.I)
_XML_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:+-]{1,40})""")
_PARAMETER = re.compile(r"""charset\s*=\s*["']?\s*([\w.:+-]{1,40})""", re.I)
_MARKS = re.compile("[\n \u3000\u3001\u3002\uff0c]")
_LATIN = {"cp1250", "cp1252", "cp1254", "cp1258", "iso8859_2"}  # alike, but for a few letters
_LATIN_OF = {
    **dict.fromkeys(("pl", "cs", "sk", "hu", "ro", "hr", "sl", "bs"), "cp1250"),
    "tr": "cp1254",
}
_SAMPLE, _SAMPLES = 1 << 9, 32  # bytes: large enough to tell, small enough that most are whole
_BAD_SHARE = 0.05  # of the characters beyond ASCII: a few damaged bytes change no encoding
_BINARY_SHARE = 0.02


def looks_like_text(data: bytes) -> bool:
    """Say whether bytes can be text in some encoding: hardly any control characters."""
    head = data[: 1 << 16]
    if data.startswith(tuple(bom for bom, _ in _BOMS)) or _is_utf_16(head):
        return True
    controls = sum(
        n for byte, n in Counter(head).items() if byte < 32 and byte not in b"\t\n\f\r\x1b"
    )
    return controls <= _BINARY_SHARE * len(head) and head.count(0) == 0


def decode(data: bytes, declared: str = "") -> str:
    """Return bytes as text; what can't be read becomes U+FFFD.

    Args:
        declared: the encoding that a server or the document itself names.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, "replace")
    if utf_16 := _is_utf_16(data[: 1 << 16]):
        return data.decode(utf_16, "replace")
    escaped = "iso2022_jp" if b"\x1b$" in data else ""
    for encoding in (_certain(data), escaped, known(declared), "utf-8"):
        if encoding and _fits(data, encoding):
            return data.decode(encoding, "replace")
    return data.decode(_detected(data), "replace")


def declared_by_html(data: bytes, media_type: str = "") -> str:
    """Return the encoding that a page declares: its server's word, else its own; or ""."""
    if parameter := _PARAMETER.search(media_type):
        return parameter[1]
    found = _XML_DECLARED.match(data) or _DECLARED.search(data[: 1 << 13])
    return found[1].decode("ascii") if found else ""


def known(name: str) -> str:
    """Return Python's name of an encoding of text; "" for one that is none."""
    try:
        info = codecs.lookup(name)
        b"text".decode(name)  # fails for codecs that are no encodings of text, such as zip
    except (LookupError, ValueError, TypeError):
        return ""
    if info.name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "idna", "punycode"):
        return ""  # what can name itself in ASCII is not written in these
    if "escape" in info.name:
        return ""
    return _WIDER.get(info.name, info.name)


def _certain(data: bytes) -> str:
    """Return "utf-8" for what can hardly be anything else, whatever it is declared to be."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return "" if data.isascii() else "utf-8"


def _fits(data: bytes, encoding: str) -> bool:
    """Say whether hardly anything in the data is wrong in this encoding."""
    text = data.decode(encoding, "replace")
    beyond = len(text) - sum(map(len, re.findall(r"[\x00-\x7f]+", text)))
    return text.count("\ufffd") <= _BAD_SHARE * beyond


def _is_utf_16(head: bytes) -> str:
    """Return the name of the UTF-16 that text without a mark is in, or ""."""
    if 0 not in head:  # text in other encodings has no zero bytes
        return ""
    even = head[: len(head) // 2 * 2]
    # Line ends, spaces and full stops stand in text of any script.
    marks = {
        encoding: len(_MARKS.findall(even.decode(encoding, "replace")))
        for encoding in ("utf-16-le", "utf-16-be")
    }
    encoding, found = max(marks.items(), key=lambda item: item[1])
    return encoding if found > 0.005 * len(even) else ""


def _detected(data: bytes) -> str:
    """Return the encoding that most samples seem to be in: a damaged one has no say."""
    lines = [line for line in data.splitlines(keepends=True) if not line.isascii()]
    samples = [b""]
    for line in lines:
        if len(samples[-1]) >= _SAMPLE:
            samples.append(b"")
        samples[-1] += line[:_SAMPLE]
    step = max(1, len(samples) // _SAMPLES)
    votes: Counter[str] = Counter()
    for sample in samples[::step]:
        best = from_bytes(sample, cp_isolation=_LIKELY).best()
        if best:
            votes[best.encoding] += 1
    if not votes:  # damage in every sample
        return min(_LIKELY, key=lambda encoding: data.decode(encoding, "replace").count("\ufffd"))
    encoding = votes.most_common(1)[0][0]
    if encoding in _LATIN:  # what tells them apart is the language, and that shows in any of them
        text = b"".join(samples[::step]).decode("cp1252", "replace")
        return _LATIN_OF.get(detect_language(text), "cp1252")
    return encoding
