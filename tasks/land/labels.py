"""The words of a landed document that are Lectern's own, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.records import Coverage


@dataclass(frozen=True)
class Labels:
    """Texts of one language; those with braces are completed by `str.format`."""

    source: str
    about: str
    about_translation: str
    about_transcript: str
    contents: str
    chapters: str
    page: str
    paragraph: str
    segment: str
    path: str
    passages: str
    pages: str
    duration: str
    transcription: str
    speech: str
    captions: str
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
    failed_times: str
    marked_pages: str
    marked_paragraphs: str
    marked_times: str
    doubtful_times: str
    by_time: str
    hard_to_hear: str
    incomplete: str
    empty: str
    doubtful: str
    untranslated: str
    comma: str
    semicolon: str
    colon: str
    lengths: dict[str, str]
    languages: dict[str, str]
    statuses: dict[str, str]
    checks: dict[str, str]
    marks: dict[str, str]

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

    def heard(self, marks: Iterable[str]) -> str:
        """Return what is to be said of speech that has these marks; "" of none."""
        names = [self.marks.get(mark, mark) for mark in dict.fromkeys(marks)]
        return self.hard_to_hear.format(self.join(names)) if names else ""


_ENGLISH = Labels(
    source="Source",
    about="About this summary",
    about_translation="About this translation",
    about_transcript="About this transcript",
    contents="Contents",
    chapters="Chapters",
    page="p. {}",
    paragraph="¶ {}",
    segment="[{}]",
    path=" › ",
    passages="Source text",
    pages="Pages",
    duration="Duration",
    transcription="Words from",
    speech="recognised speech ({})",
    captions="captions",
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
    failed_times="The model gave no usable notes on what is said at these times, "
    "so the summary lacks it: {}.",
    marked_pages="Lines that are untranslated or doubtful are marked ⚠, on these pages: {}.",
    marked_paragraphs="Lines that are untranslated or doubtful are marked ⚠, "
    "in these paragraphs: {}.",
    marked_times="Lines that are untranslated or doubtful are marked ⚠, at these times: {}.",
    doubtful_times="What may not have been said so is marked ⚠, at these times: {}.",
    by_time="Where a heading is a time, the part is cut by time alone: neither the recording nor "
    "the model gave it a title.",
    hard_to_hear="the speech was hard to make out here ({})",
    incomplete="The source could be read in part only: {}",
    empty="There is nothing to show: no part of the source could be summarised.",
    doubtful="doubtful: {}",
    untranslated="not translated: {}",
    comma=", ",
    semicolon="; ",
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
    marks={
        "no_speech": "there may be none",
        "over_silence": "words where it is silent",
        "gap": "something may be missing",
        "repetition": "the same words over and over",
        "compression": "too repetitive for speech",
    },
)
_CHINESE = Labels(
    source="来源",
    about="关于本摘要",
    about_translation="关于本译文",
    about_transcript="关于本文字稿",
    contents="目录",
    chapters="章节",
    page="第 {} 页",
    paragraph="¶ {}",
    segment="[{}]",
    path=" › ",
    passages="原文",
    pages="页数",
    duration="时长",
    transcription="文字来自",
    speech="语音识别（{}）",
    captions="字幕",
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
    failed_times="模型未能为以下时间的内容给出可用的笔记，摘要不含这些内容：{}。",
    marked_pages="未译或存疑的句子以 ⚠ 标出，见以下各页：{}。",
    marked_paragraphs="未译或存疑的句子以 ⚠ 标出，见以下各段：{}。",
    marked_times="未译或存疑的句子以 ⚠ 标出，见以下时间：{}。",
    doubtful_times="可能与实际所说不符的内容以 ⚠ 标出，见以下时间：{}。",
    by_time="标题为时间的部分只按时间划分：录音本身和模型都没有给出标题。",
    hard_to_hear="此处语音难以辨认（{}）",
    incomplete="来源只读出了一部分：{}",
    empty="没有可显示的内容：来源的任何部分都未能概括。",
    doubtful="存疑：{}",
    untranslated="未翻译：{}",
    comma="、",
    semicolon="；",
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
    marks={
        "no_speech": "可能没有人在说话",
        "over_silence": "静音处出现文字",
        "gap": "可能漏了话",
        "repetition": "同样的话反复出现",
        "compression": "文字过于重复，不像讲话",
    },
)


def labels(language: str) -> Labels:
    """Return the labels for a document in `language`: Chinese for Chinese, else English."""
    return _CHINESE if language.split("-")[0] == "zh" else _ENGLISH
