"""Pages of lectures: places are times, every doubt is marked, nothing is markup that was said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import pytest
from support.spoken import lecture, with_chapters

from tasks.generate.citations import citations
from tasks.land.documents import land_summary
from tasks.land.labels import labels
from tasks.land.transcripts import land_transcript
from tasks.land.translations import FORMATS, land_translation
from tasks.naming import link_at
from tasks.records import (
    Bullet,
    Coverage,
    Cue,
    Document,
    Line,
    Segment,
    Source,
    SummarySection,
    TranslatedLine,
    Word,
)

HOSTILE = 'a <script>alert(1)</script> [x](javascript:alert(1)) `c` *b* "q"'
YOUTUBE = "https://www.youtube.com/watch?v=abc"
Talk = tuple[Source, list[Segment]]
Kind = Literal["summary", "translation", "transcript"]


def talk(**changes: Any) -> Talk:
    """A lecture of two chapters, with two speakers and a doubtful sentence."""
    source, segments = with_chapters(*lecture(minutes=4), [(1, "Welcome"), (13, HOSTILE)])
    for n, change in {
        2: {"marks": ("no_speech", "over_silence")},
        3: {"text": HOSTILE},
    }.items():
        segments[n - 1] = replace(segments[n - 1], **change)  # type: ignore[arg-type]
    segments = [replace(each, speaker="Ada" if each.n < 7 else "Bob") for each in segments]
    return replace(source, **{"uri": YOUTUBE, **changes}), segments


def document(
    kind: Kind, language: str = "en", sections: tuple[SummarySection, ...] = (), **changes: Any
) -> Document:
    plain = Document(
        document_id="d" * 64, source_id="s1", kind=kind, language=language,
        length="medium" if kind == "summary" else "", model="demo", title="A Lecture",
        sections=sections, coverage=Coverage(ok=21),
    )  # fmt: skip
    return replace(plain, **changes)


def section(
    heading: str, start_s: float, numbers: Sequence[int], segments: Sequence[Segment]
) -> SummarySection:
    known = {each.n: each for each in segments}
    cited = citations([Line(n, known[n].text, 1) for n in numbers], known)
    return SummarySection(
        heading=heading, start_s=start_s, bullets=(Bullet(text="It is so.", citations=cited),)
    )


def texts(landed: Document) -> dict[str, str]:
    return {Path(path).name: Path(path).read_text(encoding="utf-8") for path in landed.paths}


def summary(results: Path, of: Talk, *headings: str, **changes: Any) -> dict[str, str]:
    source, segments = of
    sections = tuple(
        section(heading, 120.0 * i, [1 + 12 * i, 2 + 12 * i], segments)
        for i, heading in enumerate(headings)
    )
    made = document("summary", sections=sections, **changes)
    return texts(land_summary(results, source, made, segments))


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        self.links += [values["href"] or ""] if "href" in values else []
        self.ids += [values["id"] or ""] if "id" in values else []


def test_a_summarys_citations_open_the_video_at_their_time(tmp_path: Path) -> None:
    found = summary(tmp_path, talk(), "Welcome", "Questions")

    assert f"- It is so. ([0:00]({YOUTUBE}&t=0s), [0:09]({YOUTUBE}&t=9s))" in found["summary.md"]
    assert f'<a class="page" href="{YOUTUBE}&amp;t=9s">0:09</a>' in found["summary.html"]


def test_a_video_is_named_by_its_address_and_a_file_by_its_name(tmp_path: Path) -> None:
    """Every video of a site may be called "watch"."""
    site = summary(tmp_path, talk(), "A", "B")["summary.md"]
    file = summary(tmp_path, talk(uri="/talks/day 1.mp4"), "A", "B")["summary.md"]

    assert f"Source: [www.youtube.com/watch?v=abc]({YOUTUBE})\n" in site
    assert "Source: [day 1.mp4](file:///talks/day%201.mp4)\n" in file
    assert "([0:00](file:///talks/day%201.mp4#t=0)" in file


def test_chapters_stand_at_the_top_with_links_to_their_times(tmp_path: Path) -> None:
    found = summary(tmp_path, talk(), "Welcome", HOSTILE)
    contents = found["summary.html"].partition("<nav")[2].partition("</nav>")[0]

    assert "<h2>Chapters</h2>" in contents
    assert f'<a href="#section-1">Welcome</a> <a class="page" href="{YOUTUBE}&amp;t=0s">0:00' in (
        contents
    )
    assert found["summary.md"].index(f"- [2:00]({YOUTUBE}&t=120s) a ") < (
        found["summary.md"].index("It is so.")
    )
    assert f"## Welcome ([0:00]({YOUTUBE}&t=0s))\n" in found["summary.md"]


def test_parts_by_time_are_said_to_be_no_more(tmp_path: Path) -> None:
    """Their heading is the link."""
    found = summary(tmp_path, talk(), "0:00–2:00", "2:00–4:00")

    assert f"## [2:00–4:00]({YOUTUBE}&t=120s)\n" in found["summary.md"]
    assert f'<h2><a href="{YOUTUBE}&amp;t=120s">2:00–4:00</a></h2>' in found["summary.html"]
    for text in found.values():
        assert text.count("cut by time alone") == 1
    assert "by time alone" not in summary(tmp_path, talk(), "Welcome", "On")["summary.md"]


def test_what_rests_on_doubtful_speech_says_so(tmp_path: Path) -> None:
    found = summary(tmp_path, talk(), "Welcome", "Questions")
    warning = (
        "the speech was hard to make out here (there may be none, words where it is silent)"
    )  # fmt: skip

    for text in found.values():
        assert text.replace("\\", "").count(warning) == 1


def test_the_facts_name_the_duration_and_where_the_words_are_from(tmp_path: Path) -> None:
    heard = summary(tmp_path, talk(duration_s=3722.0), "A", "B")["summary.md"]
    read = summary(tmp_path, talk(transcription="captions", speech_model=""), "A", "B")

    assert "- Duration: 1:02:02\n" in heard
    assert "- Words from: recognised speech (small)\n" in heard
    assert "Pages" not in heard
    assert "- Words from: captions\n" in read["summary.md"]


def test_what_a_summary_lacks_is_named_by_its_times(tmp_path: Path) -> None:
    found = summary(tmp_path, talk(), "A", "B", failed_pages=("1:02:03",))

    assert "said at these times, so the summary lacks it: 1:02:03." in found["summary.md"]


CUES = (
    Cue(source_id="s1", cue=1, start_ms=0, end_ms=9500, text="Example 1 of sorting."),
    Cue(source_id="s1", cue=2, start_ms=9500, end_ms=19000, text="Nothing."),
)


def transcript(results: Path, of: Talk, **more: Any) -> dict[str, str]:
    source, segments = of
    made = document("transcript", source.language, model="small", failed_pages=("0:09",))
    return texts(land_transcript(results, source, made, segments, CUES, **more))


def test_a_transcript_is_a_page_and_subtitles(tmp_path: Path) -> None:
    found = transcript(tmp_path, talk())

    assert list(found) == [
        "transcript.md", "transcript.html", "transcript.srt", "transcript.vtt",
    ]  # fmt: skip
    assert "00:00:09,500 --> 00:00:19,000" in found["transcript.srt"]
    assert found["transcript.vtt"].startswith("WEBVTT")


def test_each_paragraph_of_a_transcript_has_its_time_and_each_speaker_a_name(
    tmp_path: Path,
) -> None:
    of = talk()
    found = transcript(tmp_path, of)
    page = Tags(found["transcript.html"])
    firsts = [each for each in of[1] if each.n % 3 == 1]

    for each in firsts:
        assert f"segment-{each.n}" in page.ids
        assert link_at(YOUTUBE, each.start_s or 0.0) in page.links
        assert each.text in found["transcript.md"].replace("\\", "")
    assert found["transcript.html"].count("Ada:") == found["transcript.html"].count("Bob:") == 1
    assert f"[0:00]({YOUTUBE}&t=0s) **Ada:** Example 1 of sorting" in found["transcript.md"]
    assert "**Bob:** Example 7" in found["transcript.md"]


def test_a_transcripts_doubts_and_chapters_are_marked(tmp_path: Path) -> None:
    found = transcript(tmp_path, talk())

    for name in ("transcript.md", "transcript.html"):
        text = found[name].replace("&nbsp;", " ")
        assert "⚠" in text
        assert "there may be none, words where it is silent" in text
        assert "marked ⚠, at these times: 0:09." in text
    assert found["transcript.md"].index("## Welcome") < found["transcript.md"].index("Example 1 ")
    assert "<h2>Welcome</h2>" in found["transcript.html"]


def translate(results: Path, of: Talk, output: Any = "bilingual", **more: Any) -> dict[str, str]:
    source, segments = of
    lines = [
        TranslatedLine(
            document_id="d" * 64, source_id="s1", n=each.n, text=f"第{each.n}句。", status="ok"
        )
        for each in segments
    ]
    words = [
        Word(source_id="s1", n=cue.cue, cue=cue.cue, word=word, start_s=0, end_s=1)
        for cue in CUES
        for word in cue.text.split()
    ]
    landed = land_translation(
        results, source, document("translation", "zh"), segments, lines, [], output, cues=CUES,
        words=words, **more,
    )  # fmt: skip
    paths = [path for path in landed.paths if not path.endswith(".epub")]
    return texts(replace(landed, paths=tuple(paths)))


def test_each_paragraph_of_a_translation_has_its_time_and_its_speaker(tmp_path: Path) -> None:
    found = translate(tmp_path, talk())
    page = Tags(found["translation.html"])

    assert {f"segment-{n}" for n in range(1, 20, 3)} <= set(page.ids)
    assert f'href="{YOUTUBE}&amp;t=30s">0:30</a>' in found["translation.html"]
    assert '<h2 class="chapter" lang="en" dir="ltr">Welcome</h2>' in found["translation.html"]
    assert found["translation.md"].count("**Ada：** 第1句。") == 1
    assert found["translation.md"].count("Bob") == 2  # beside the source and the translation
    assert "此处语音难以辨认（可能没有人在说话、静音处出现文字）" in found["translation.html"]
    assert "可能与实际所说不符的内容以 ⚠ 标出，见以下时间：0:09。" in found["translation.html"]


def test_a_translations_subtitles_keep_the_times_of_the_cues(tmp_path: Path) -> None:
    both = translate(tmp_path / "a", talk())["bilingual.srt"]
    target = translate(tmp_path / "b", talk(), "target")["translation.srt"]

    times = re.findall(r".* --> .*", both)
    assert times == re.findall(r".* --> .*", target)
    assert times == ["00:00:00,000 --> 00:00:09,500", "00:00:09,500 --> 00:00:19,000"]
    assert "第1句。" in both
    assert "Example 1 of sorting." in both
    assert "Example" not in target
    assert translate(tmp_path / "a", talk())["translation.srt"] == target


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        (("srt",), ["translation.srt", "bilingual.srt"]),
        (("md", "vtt"), ["translation.md", "translation.vtt", "bilingual.vtt"]),
        (
            FORMATS,
            [
                "translation.md",
                "translation.html",
                "translation.srt",
                "translation.vtt",
                "bilingual.srt",
                "bilingual.vtt",
            ],
        ),
    ],
)
def test_a_translation_has_the_formats_that_are_asked_for(
    formats: Any, expected: list[str], tmp_path: Path
) -> None:
    assert list(translate(tmp_path, talk(), formats=formats)) == expected


def test_what_was_said_is_never_markup(tmp_path: Path) -> None:
    of = talk(title=HOSTILE)
    pages = [
        summary(tmp_path, of, HOSTILE, "B")["summary.html"],
        transcript(tmp_path, of, note=HOSTILE)["transcript.html"],
        translate(tmp_path, of)["translation.html"],
    ]

    for html in pages:
        page = Tags(html)
        assert "default-src 'none'" in html
        assert page.tags & {"script", "link", "img", "iframe", "video"} == set()
        assert not any(link.startswith("javascript") for link in page.links)
        assert len(page.ids) == len(set(page.ids))


def test_a_chinese_lectures_pages_speak_chinese(tmp_path: Path) -> None:
    source, segments = lecture(("排序算法",), minutes=3, language="zh")
    segments[1] = replace(segments[1], marks=("repetition",), speaker="")

    html = transcript(tmp_path, (source, segments))["transcript.html"]

    for expected in ("时长", "语音识别（small）", "同样的话反复出现", "关于本文字稿"):
        assert expected in html
    assert "。<span" in html.replace("</span>", "")  # no space between sentences


def test_both_languages_have_a_word_for_every_mark() -> None:
    """As they are named in tasks.media.guards."""
    guards = {"no_speech", "over_silence", "gap", "repetition", "compression"}

    assert labels("en").marks.keys() == labels("zh").marks.keys() == guards
    assert labels("en").heard(()) == ""
