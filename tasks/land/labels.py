"""The words of a landed document that are Lectern's own, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.records import Coverage


@dataclass(frozen=True)
class Labels:
    """Texts of one language; those with braces are completed by `str.format`."""

    source: str
    about: str
    about_translation: str
    contents: str
    page: str
    paragraph: str
    segment: str
    path: str
    passages: str
    pages: str
    language: str
    length: str
    model: str
    coverage: str
    coverage_line: str
    accounted_line: str
    unsupported: str
    no_citation: str
    no_text: str
    failed_pages: str
    failed_paragraphs: str
    marked_pages: str
    marked_paragraphs: str
    incomplete: str
    empty: str
    doubtful: str
    untranslated: str
    comma: str
    colon: str
    lengths: dict[str, str]
    languages: dict[str, str]
    statuses: dict[str, str]
    checks: dict[str, str]

    def accounted(self, coverage: Coverage, n_segments: int) -> str:
        """Return how the lines of a translation ended: those that there are, and how many."""
        counts = {
            "ok": coverage.ok,
            "repaired": coverage.repaired,
            "kept": coverage.kept,
            "failed": coverage.failed,
        }
        parts = [self.statuses[name].format(n) for name, n in counts.items() if n or name == "ok"]
        how = self.join(parts)
        return self.accounted_line.format(total=coverage.total, n_segments=n_segments, how=how)

    def coverage_text(self, coverage: Coverage, n_segments: int) -> str:
        return self.coverage_line.format(
            total=coverage.total,
            n_segments=n_segments,
            ok=coverage.ok,
            repaired=coverage.repaired,
            kept=coverage.kept,
            failed=coverage.failed,
        )

    def join(self, items: Sequence[str]) -> str:
        return self.comma.join(items)


_ENGLISH = Labels(
    source="Source",
    about="About this summary",
    about_translation="About this translation",
    contents="Contents",
    page="p. {}",
    paragraph="¶ {}",
    segment="[{}]",
    path=" › ",
    passages="Source text",
    pages="Pages",
    language="Language",
    length="Length",
    model="Model",
    coverage="Coverage",
    coverage_line="{total} of {n_segments} segments accounted for: {ok} ok, "
    "{repaired} repaired, {kept} kept by rule, {failed} failed",
    accounted_line="{total} of {n_segments} segments accounted for: {how}",
    unsupported="not found in the cited text: {}",
    no_citation="no source given",
    no_text="No text was found on these pages of the PDF, so they are missing here: {}. "
    "They may be scans or pictures.",
    failed_pages="The model gave no usable notes on these pages, so the summary lacks them: {}.",
    failed_paragraphs="The model gave no usable notes on these paragraphs, "
    "so the summary lacks them: {}.",
    marked_pages="Lines that are untranslated or doubtful are marked ⚠, on these pages: {}.",
    marked_paragraphs="Lines that are untranslated or doubtful are marked ⚠, "
    "in these paragraphs: {}.",
    incomplete="The source could be read in part only: {}",
    empty="There is nothing to show: no part of the source could be summarised.",
    doubtful="doubtful: {}",
    untranslated="not translated: {}",
    comma=", ",
    colon=": ",
    lengths={"short": "short", "medium": "medium", "long": "long", "outline": "outline"},
    languages={
        "en": "English",
        "zh": "Chinese",
        "ja": "Japanese",
        "de": "German",
        "fr": "French",
        "es": "Spanish",
    },
    statuses={"ok": "{} ok", "repaired": "{} repaired", "kept": "{} kept", "failed": "{} failed"},
    checks={
        "no_answer": "the model gave no answer",
        "missing": "the line was left out",
        "repeated": "its number came twice",
        "misplaced": "its number came out of order",
        "merged": "it was drawn together with another line",
        "empty": "the line was empty",
        "untranslated": "the source's words came back",
        "wrong_language": "it is in another language",
        "length": "its length does not fit the source's",
        "repetition": "it repeats itself",
        "reasoning": "the model thought aloud",
        "prompt_leak": "the model repeated its instructions",
        "figures": "a figure is missing",
        "units": "a figure has another unit",
        "protected": "an address or a piece of code is missing",
        "glossary": "a term is rendered otherwise than in the glossary",
    },
)
_CHINESE = Labels(
    source="来源",
    about="关于本摘要",
    about_translation="关于本译文",
    contents="目录",
    page="第 {} 页",
    paragraph="¶ {}",
    segment="[{}]",
    path=" › ",
    passages="原文",
    pages="页数",
    language="语言",
    length="篇幅",
    model="模型",
    coverage="覆盖",
    coverage_line="{n_segments} 段中已核对 {total} 段：正常 {ok}，修复 {repaired}，"
    "按规则略过 {kept}，失败 {failed}",
    accounted_line="{n_segments} 段中已核对 {total} 段：{how}",
    unsupported="所引原文中没有：{}",
    no_citation="未注明出处",
    no_text="PDF 的以下各页没有文字（可能是扫描件或图片），此处不含这些页：{}。",
    failed_pages="模型未能为以下各页给出可用的笔记，摘要不含这些页：{}。",
    failed_paragraphs="模型未能为以下各段给出可用的笔记，摘要不含这些段落：{}。",
    marked_pages="未译或存疑的句子以 ⚠ 标出，见以下各页：{}。",
    marked_paragraphs="未译或存疑的句子以 ⚠ 标出，见以下各段：{}。",
    incomplete="来源只读出了一部分：{}",
    empty="没有可显示的内容：来源的任何部分都未能概括。",
    doubtful="存疑：{}",
    untranslated="未翻译：{}",
    comma="、",
    colon="：",
    lengths={"short": "简短", "medium": "中等", "long": "详细", "outline": "大纲"},
    languages={
        "en": "英文",
        "zh": "中文",
        "ja": "日文",
        "de": "德文",
        "fr": "法文",
        "es": "西班牙文",
    },
    statuses={
        "ok": "正常 {}",
        "repaired": "修复 {}",
        "kept": "保留原文 {}",
        "failed": "有误 {}",
    },
    checks={
        "no_answer": "模型没有回答",
        "missing": "模型漏译此行",
        "repeated": "行号重复",
        "misplaced": "行号次序不对",
        "merged": "与相邻行合并",
        "empty": "译文为空",
        "untranslated": "模型照抄了原文",
        "wrong_language": "译成了别的语言",
        "length": "长度与原文不符",
        "repetition": "反复重复",
        "reasoning": "输出了思考过程",
        "prompt_leak": "重复了指令",
        "figures": "缺少数字",
        "units": "单位不符",
        "protected": "缺少网址、代码等",
        "glossary": "术语未按术语表翻译",
    },
)


def labels(language: str) -> Labels:
    """Return the labels for a document in `language`: Chinese for Chinese, else English."""
    return _CHINESE if language.split("-")[0] == "zh" else _ENGLISH
