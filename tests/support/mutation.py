"""Mutated files: what becomes of good ones when bytes are flipped, cut, swapped and repeated.

Pure: the same numbers give the same bytes, so that a case is made again from its seed alone.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from random import Random

from support.gguf_header import ARRAY, I32, Header, f32, text, texts, u32

# What a PDF's structure hangs on; one in the place of another is worse than noise.
_WORDS = (
    b"/Type", b"/Page", b"/Pages", b"/Catalog", b"/Kids", b"/Count", b"/Parent", b"/Contents",
    b"/Length", b"/Filter", b"/FlateDecode", b"/LZWDecode", b"/ASCII85Decode", b"/DCTDecode",
    b"/JBIG2Decode", b"/JPXDecode", b"/CCITTFaxDecode", b"/RunLengthDecode", b"/Crypt",
    b"/Predictor", b"/Columns", b"/XObject", b"/Form", b"/Image", b"/Font", b"/Type0", b"/Type3",
    b"/TrueType", b"/ToUnicode", b"/Encoding", b"/Identity-H", b"/DescendantFonts", b"/MediaBox",
    b"/Rotate", b"/Resources", b"/Outlines", b"/First", b"/Next", b"/Prev", b"/Title", b"/Dest",
    b"/PageLabels", b"/Nums", b"/ObjStm", b"/XRef", b"/Index", b"/W", b"/Root", b"/Size", b"/Info",
    b"/Encrypt", b"/V", b"/R", b"/O", b"/U", b"/P", b"/CF", b"/StmF", b"/Names", b"/Metadata",
    b"obj", b"endobj", b"stream", b"endstream", b"xref", b"trailer", b"startxref", b"null", b"R",
    b"BT", b"ET", b"Tj", b"TJ", b"Tf", b"Td", b"Tm", b"cm", b"Do", b"q", b"Q", b"BI", b"ID", b"EI",
)  # fmt: skip
_WORD = re.compile(b"|".join(rb"%s\b" % re.escape(word) for word in sorted(_WORDS, key=len)[::-1]))
_NUMBER = re.compile(rb"(?<![\w.])-?\d+(?![\w.])")
_OBJECT = re.compile(rb"\d+ \d+ obj\b.{0,4000}?endobj", re.DOTALL)
_NUMBERS = (
    b"0", b"-1", b"1", b"2", b"255", b"256", b"65535", b"65536", b"2147483647", b"-2147483648",
    b"4294967295", b"4294967296", b"9223372036854775807", b"99999999999999999999", b"1e38", b"nan",
)  # fmt: skip
_INTEGERS = (
    0, 1, 2, 7, 0x7F, 0xFF, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1,
)  # fmt: skip
_VALUES = (
    *(u32(number % 2**32) for number in _INTEGERS), f32(float("nan")), text(""), text("x" * 10**5),
    text(b"\xff\xfe"), text("{{ 9 ** 9 ** 9 }}"), text("{% for x in messages %}"), text("llama"),
    texts([]), texts([b""] * 999), texts([b"\xff \xe4"] * 9), struct.pack("<IIQ", ARRAY, I32, 0),
)  # fmt: skip

Mutation = Callable[[bytearray, Random, Sequence[bytes]], None]


def mutated(seeds: Sequence[bytes], dice: Random, mutations: Sequence[Mutation]) -> bytes:
    """Return one of the seeds (a large one rarely), mutated once to six times."""
    seed = dice.choices(seeds, weights=[1 / (20_000 + len(each)) for each in seeds])[0]
    data = bytearray(seed)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):  # after many, most can't even be opened
        dice.choice(mutations)(data, dice, seeds)
    return bytes(data)


def flip_bytes(data: bytearray, dice: Random, seeds: Sequence[bytes]) -> None:
    for _ in range(dice.choice((1, 3, 20, 200)) if data else 0):
        data[dice.randrange(len(data))] = dice.randrange(256)


def truncate(data: bytearray, dice: Random, seeds: Sequence[bytes]) -> None:
    del data[dice.randint(len(data) // 4, len(data)) :]


def cut_out(data: bytearray, dice: Random, seeds: Sequence[bytes]) -> None:
    start, end = _span(data, dice)
    del data[start:end]


def repeat(data: bytearray, dice: Random, seeds: Sequence[bytes]) -> None:
    start, end = _span(data, dice)
    data[end:end] = data[start:end] * dice.choice((1, 2, 50))


def splice(data: bytearray, dice: Random, seeds: Sequence[bytes]) -> None:
    """Put a piece of another file in the place of one of this."""
    other = dice.choice(seeds)
    start, end = _span(data, dice)
    first, last = _span(other, dice)
    data[start:end] = other[first:last]


def swap_words(data: bytearray, dice: Random, seeds: Sequence[bytes]) -> None:
    _replace(data, dice, _WORD, _WORDS)


def tweak_numbers(data: bytearray, dice: Random, seeds: Sequence[bytes]) -> None:
    _replace(data, dice, _NUMBER, _NUMBERS)


def point_elsewhere(data: bytearray, dice: Random, seeds: Sequence[bytes]) -> None:
    """Make references name other objects: loops, and things of the wrong type."""
    numbers = [b"%d 0 R" % dice.randrange(1, 60) for _ in range(8)]
    _replace(data, dice, re.compile(rb"\d+ 0 R"), numbers)


def repeat_object(data: bytearray, dice: Random, seeds: Sequence[bytes]) -> None:
    """Say an object twice, the second time under another one's number."""
    found = list(_OBJECT.finditer(data))
    if found:
        one = bytes(dice.choice(found)[0])
        number = dice.choice(found)[0].split(b" ", 1)[0]
        at = dice.choice(found).start()
        data[at:at] = number + b" " + one.split(b" ", 1)[1] + b"\n"


def set_integer(data: bytearray, dice: Random, seeds: Sequence[bytes]) -> None:
    """Write a telling number over four or eight bytes of a binary header."""
    for _ in range(dice.choice((1, 1, 3))):
        size, kind = dice.choice(((4, "<I"), (8, "<Q")))
        if len(data) > size:
            at = dice.randrange(min(len(data), dice.choice((64, 4096, 1 << 22))) - size + 1)
            value = dice.choice(_INTEGERS) % (1 << 8 * size)
            data[at : at + size] = struct.pack(kind, value)


def change_value(data: bytearray, dice: Random, seeds: Sequence[bytes]) -> None:
    """Give a value of a GGUF header another type, length or content, or take it out."""
    try:
        header = Header.parse(bytes(data))
    except (struct.error, KeyError, OverflowError, MemoryError):  # an earlier mutation broke it
        return
    if header.values:
        key, other = (dice.choice(list(header.values)) for _ in range(2))
        raw = header.values[key]
        kind = struct.pack("<I", dice.randrange(14))
        length = struct.pack("<Q", dice.choice(_INTEGERS))
        changed = (
            None, dice.choice(_VALUES), dice.choice(_VALUES), header.values[other], kind + raw[4:],
            raw[:4] + length + raw[12:], raw[:8] + length + raw[16:],
        )  # fmt: skip
        data[:] = header.with_values(
            **{key.decode(errors="replace"): dice.choice(changed)}
        ).encode()


PDF: Sequence[Mutation] = (
    flip_bytes, truncate, cut_out, repeat, splice, swap_words, swap_words, swap_words,
    tweak_numbers, tweak_numbers, tweak_numbers, point_elsewhere, point_elsewhere, repeat_object,
)  # fmt: skip
GGUF: Sequence[Mutation] = (
    change_value, change_value, change_value, change_value, flip_bytes, truncate, cut_out, repeat,
    splice, set_integer, set_integer,
)  # fmt: skip


def _span(data: bytes | bytearray, dice: Random) -> tuple[int, int]:
    """Return where a piece begins and ends; most are short."""
    start = dice.randint(0, len(data))
    return start, min(len(data), start + dice.randint(0, dice.choice((8, 100, 2000, 50_000))))


def _replace(
    data: bytearray, dice: Random, pattern: re.Pattern[bytes], new: Sequence[bytes]
) -> None:
    found = [match.span() for match in pattern.finditer(data)]
    for start, end in sorted(dice.sample(found, min(len(found), dice.choice((1, 2, 8)))))[::-1]:
        data[start:end] = dice.choice(new)
