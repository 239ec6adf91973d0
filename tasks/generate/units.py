"""Units beside figures: 5 MB must not become 5 GB, and may become 5 兆字节.

Owns the units that are known, with their names in the languages that checks are made for. What is
found is an exchange within one dimension; a unit that is not known, or that stands apart from its
figure, is passed over.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

# By dimension, a unit a line: its symbol, then its names as regular expressions.
_TEXT = r"""
temperature
°C ℃ degrees?\sCelsius Grad\sCelsius degrés\sCelsius grados\sCelsius 摄氏度 攝氏度
°F ℉ degrees?\sFahrenheit Grad\sFahrenheit degrés\sFahrenheit 华氏度 華氏度
length
mm millimet(?:er|re)s? Millimetern? millimètres? milímetros? 毫米 ミリメートル
cm centimet(?:er|re)s? Zentimetern? centimètres? centímetros? 厘米 公分 センチメートル
m met(?:er|re)s? Metern? mètres? metros? 米 公尺 メートル
km kilomet(?:er|re)s? Kilometern? kilomètres? kilómetros? 公里 千米 キロメートル
mass
mg milligrams? Milligramm milligrammes? miligramos? 毫克 ミリグラム
g grams? Gramm grammes? gramos? 克 グラム
kg kilograms? Kilogramm kilogrammes? kilogramos? 千克 公斤 キログラム
t tonn?es? tons? Tonnen? toneladas? 吨 噸 トン
volume
ml mL millilit(?:er|re)s? Millilitern? mililitros? 毫升 ミリリットル
l L lit(?:er|re)s? Litern? litros? 升 リットル
time
ms milliseconds? Millisekunden? millisecondes? milisegundos? 毫秒 ミリ秒
s seconds? Sekunden? secondes? segundos? 秒
min minutes? Minuten? minutos? 分钟 分鐘 分間
h hours? Stunden? heures? horas? 小时 小時 個小時 个小时 時間
d days? Tagen? jours? días? 天 日間
power
W watts? Watt 瓦 瓦特 ワット
kW kilowatts? Kilowatt 千瓦 キロワット
MW megawatts? Megawatt 兆瓦 メガワット
GW gigawatts? Gigawatt 吉瓦 ギガワット
frequency
Hz hertz Hertz 赫兹 赫茲 ヘルツ
kHz kilohertz Kilohertz 千赫兹? キロヘルツ
MHz megahertz Megahertz 兆赫兹? メガヘルツ
GHz gigahertz Gigahertz 吉赫兹? ギガヘルツ
bytes
kB KB kilobytes? Kilobytes? kilo-octets? 千字节 キロバイト
MB megabytes? Megabytes? mégaoctets? Mo 兆字节 メガバイト
GB gigabytes? Gigabytes? gigaoctets? Go 吉字节 千兆字节 ギガバイト
TB terabytes? Terabytes? téraoctets? To 太字节 テラバイト
KiB kibibytes?
MiB mebibytes?
GiB gibibytes?
TiB tebibytes?
"""
_FIGURE = re.compile(r"\d[\d.,\u00a0\u202f]*")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")


def _parsed() -> tuple[Mapping[str, tuple[str, str]], re.Pattern[str]]:
    """Return what each name's group means, and the pattern of what stands behind a figure."""
    meanings: dict[str, tuple[str, str]] = {}
    names: list[tuple[str, str]] = []
    dimension = ""
    for number, row in enumerate(_TEXT.split("\n")):
        first, *others = row.split() or [""]
        if not others:
            dimension = first or dimension
            continue
        meanings[f"u{number}"] = (dimension, first)
        bounded = [
            f"{name}(?![A-Za-zÀ-ɏ])" if _LATIN.search(name[-2:]) else name
            for name in (re.escape(first), *others)
        ]
        names.append((f"u{number}", "|".join(sorted(bounded, key=len, reverse=True))))
    units = "|".join(f"(?P<{group}>{pattern})" for group, pattern in names)
    return meanings, re.compile(rf"[\s\u00a0\u202f-]?(?:{units})")


_MEANINGS, _UNIT = _parsed()


def has_other_units(source: str, text: str) -> bool:
    """Tell whether a figure has a unit in a translation, but not the one it has in the source."""
    there = _units(text)
    return any(there[place] and not units & there[place] for place, units in _units(source).items())


def _units(text: str) -> defaultdict[tuple[str, str], set[str]]:
    """Return by figure and dimension the units that stand behind it."""
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for figure in _FIGURE.finditer(text):
        match = _UNIT.match(text, figure.end())
        if match and match.lastgroup:
            dimension, unit = _MEANINGS[match.lastgroup]
            digits = "".join(c for c in figure.group() if c.isdigit())
            found[digits, dimension].add(unit)
    return found
