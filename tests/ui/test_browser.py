"""What a user sees, in a real browser: a run while it lasts and after, and the pages it leaves.

The screenshots in docs/ are taken here, with LECTERN_SCREENSHOTS=1; else they go to a temporary
folder. Nothing may be fetched from anywhere but Lectern's own server.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pypdf
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from support.pdfs import set_by_typst
from support.project import Project, Up, copy_project
from support.scripted_server import Rule, ScriptedServer
from support.tiny_model import write_tiny_model

from flows.run_tables import as_markdown
from flows.server import RunningServer
from tasks.land.translations import land_translation
from tasks.records import Coverage, Document, Segment, Source, TranslatedLine
from tasks.settings import PROJECT_ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SHOTS = PROJECT_ROOT / "docs" / "screenshots"
LONG_NAME = "用小望远镜看星空：给没有赤道仪的爱好者的入门指南（第二版，修订）.pdf"
# The chunk with this sentence gets no good answer.
BAD = Rule(do="garbage", match="A tool that fails two steps is usually not worth the bench.")
PATIENCE_S = 90
WIDE: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 390, "height": 844}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@dataclass(frozen=True)
class Site:
    """`lectern up` in a project, with a slow model."""

    project: Project
    up: Up
    model: ScriptedServer

    @property
    def results(self) -> Path:
        return self.project.root / "data" / "results"

    @property
    def auth(self) -> str:
        return (self.project.root / ".lectern" / "prefect" / "auth").read_text().strip()

    def run(self, run_id: str) -> dict[str, Any]:
        user, _, password = self.auth.partition(":")
        url = f"{self.up.url}/api/flow_runs/{run_id}"
        answer: dict[str, Any] = httpx.get(url, auth=(user, password), timeout=60).json()
        return answer

    def page_of(self, run_id: str) -> str:
        return f"{self.up.url}/runs/flow-run/{run_id}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, prefect_server: RunningServer) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("watched")
    model = write_tiny_model(root / "tiny.gguf")
    with ScriptedServer(rules=[BAD, Rule(delay_s=3.0)]) as server:
        project = copy_project(
            root, prefect_server, LECTERN_MODEL=model, LECTERN_POOL_URL=server.url,
            LECTERN_POOL_N_SEQ_MAX=2, LANG="en_US.UTF-8", LC_ALL="",
        )  # fmt: skip
        papers = root / "papers"
        shutil.copytree(root / "data" / "samples", papers)
        (papers / "chinese-zh.pdf").rename(papers / LONG_NAME)
        (papers / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing that could be read")
        up = project.up()
        try:
            yield Site(project, up, server)
        finally:
            up.stop()


@pytest.fixture(scope="module")
def started(site: Site) -> str:
    """The id of a run that asks the model, slowly."""
    code, said = site.project.run(
        "prefect", "deployment", "run", "summarize-pdf", "-p", 'sources=["papers"]'
    )
    assert code == 0, said
    run_id = re.findall(r"[0-9a-f-]{36}", said)[0]
    until(lambda: re.match(r"Asking [1-9]", site.run(run_id)["state_name"]) is not None)
    return run_id


@pytest.fixture(scope="module")
def finished(site: Site, started: str) -> str:
    """The id of the run, when it is over."""
    site.model.script(BAD)
    until(lambda: site.run(started)["state_type"] == "COMPLETED")
    return started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium: make debian")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def window(browser: Browser) -> Iterator[Page]:
    """A window in which nothing may be fetched from elsewhere."""
    fetched: list[str] = []
    page = browser.new_page(viewport=WIDE, locale="en-GB")
    page.set_default_timeout(1000 * PATIENCE_S)
    page.on("request", lambda request: fetched.append(request.url))
    yield page
    page.close()
    ours = re.compile(r"http://127\.0\.0\.1:|file:|blob:|data:")
    assert [url for url in fetched if not ours.match(url)] == []


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with window(browser) as page:
        yield page


@pytest.fixture(scope="module")
def ui(browser: Browser, site: Site) -> Iterator[Page]:
    """Prefect's UI, after logging in as a user does."""
    with window(browser) as page:
        page.goto(f"{site.up.url}/login")
        page.get_by_placeholder("admin:pass").fill(site.auth)
        page.get_by_role("button", name="Login").click()
        page.wait_for_url("**/dashboard")
        yield page


@pytest.fixture
def shot(tmp_path: Path) -> Callable[[Page, str], None]:
    folder = SHOTS if os.environ.get("LECTERN_SCREENSHOTS") else tmp_path

    def take(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png", animations="disabled")
        assert (folder / f"{name}.png").stat().st_size < 200_000

    return take


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.3)


def sees(page: Page, *texts: str | re.Pattern[str]) -> None:
    for text in texts:
        expect(page.get_by_text(text).first).to_be_visible(timeout=1000 * PATIENCE_S)


def open_tab(page: Page, name: str) -> None:
    page.locator(".p-tab").get_by_text(name, exact=True).click()


def test_a_run_says_what_it_is_at(
    ui: Page, site: Site, started: str, shot: Callable[[Page, str], None]
) -> None:
    """In its state's name, and in a bar with the tokens a second and the time left."""
    ui.goto(site.page_of(started))
    sees(ui, re.compile(r"Asking \d+ of (about )?\d+"))
    open_tab(ui, "Artifacts")
    sees(ui, re.compile(r"about .* left, \d+ of about \d+ answers, \d+ tokens/s"))
    shot(ui, "run-running")


def test_the_list_shows_how_each_run_ended(
    ui: Page, site: Site, finished: str, shot: Callable[[Page, str], None]
) -> None:
    """A run whose state has a name of its own stands in the list like any other."""
    ui.goto(f"{site.up.url}/runs")
    sees(ui, "Completed with warnings", site.run(finished)["name"])
    shot(ui, "runs")


def test_task_runs_are_called_after_document_and_chunk(
    ui: Page, site: Site, finished: str, shot: Callable[[Page, str], None]
) -> None:
    """Also those of a long Chinese name."""
    ui.goto(site.page_of(finished))
    open_tab(ui, "Task Runs")
    sees(ui, re.compile(r"^summarize handbook-en\.pdf \d+(-\d+)?"), re.compile(LONG_NAME[:8]))
    shot(ui, "task-runs")


def test_warnings_are_warnings_in_the_log(ui: Page, site: Site, finished: str) -> None:
    """With the file, what is wrong and what to do."""
    ui.goto(site.page_of(finished))
    sees(ui, "WARNING", re.compile(r"^broken\.pdf: .*Get a fresh copy"))


@pytest.mark.parametrize(
    ("artifact", "texts"),
    [
        ("failures", ["broken.pdf", "What failed or was left out", "no usable notes on page"]),
        ("coverage", ["left out", "with warnings", "handbook-en.pdf"]),
        ("latencies", ["until the first token", "summarize, p95"]),
        ("tokens", ["answer/s"]),
        ("summary-keeping-a-tool-library", ["Keeping a Tool Library", "summary.html"]),
    ],
)
def test_the_run_leaves_tables_and_summaries(
    artifact: str, texts: list[str], ui: Page, site: Site, finished: str,
    shot: Callable[[Page, str], None],
) -> None:  # fmt: skip
    """A click away from the run's page, and none of it beyond the edge of a small window."""
    ui.goto(site.page_of(finished))
    open_tab(ui, "Artifacts")
    ui.get_by_text(re.compile(f"^{artifact}")).first.click()
    sees(ui, *texts)
    hidden = "[...document.querySelectorAll('.p-table')].map(t => t.scrollWidth - t.clientWidth)"
    assert all(beyond <= 0 for beyond in ui.evaluate(hidden))
    shot(ui, "summary-in-the-ui" if artifact.startswith("summary") else artifact)


def test_file_names_are_text_in_prefects_tables(ui: Page, site: Site, finished: str) -> None:
    """However they are called: a name comes from whoever made the file."""
    name = "<img src=none onerror=document.title='x'> *b* [c](javascript:d).pdf"
    rows = as_markdown([{"source": name}])
    user, _, password = site.auth.partition(":")
    artifact = {"key": "named", "type": "table", "data": json.dumps(rows), "flow_run_id": finished}
    with httpx.Client(base_url=f"{site.up.url}/api", auth=(user, password), timeout=60) as client:
        token = client.get("/csrf-token", params={"client": "names"}).json()["token"]
        headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "names"}
        made = client.post("/artifacts/", json=artifact, headers=headers).raise_for_status().json()
    ui.goto(f"{site.up.url}/artifacts/artifact/{made['id']}")

    sees(ui, name)
    assert ui.locator("img[src=none]").count() == 0


def test_the_index_leads_to_every_summary(
    page: Page, site: Site, finished: str, shot: Callable[[Page, str], None]
) -> None:
    """All documents with their results; a summary is a click away, its passages another."""
    page.goto((site.results / "index.html").as_uri())
    sees(page, "Keeping a Tool Library", "with warnings", "failed")
    expect(page.get_by_text("有警告", exact=True).first).to_be_hidden()
    shot(page, "index")
    page.get_by_role("link", name="Keeping a Tool Library").click()
    page.get_by_text("Source text").first.click()
    expect(page.locator("blockquote").first).to_be_visible()
    shot(page, "summary")


def test_the_index_speaks_chinese_on_a_telephone_in_the_dark(
    page: Page, site: Site, finished: str, shot: Callable[[Page, str], None]
) -> None:
    """One click chooses the language, without a script; nothing is wider than the screen."""
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(NARROW)
    page.goto((site.results / "index.html").as_uri())
    page.get_by_label("中文").check()
    expect(page.get_by_text("有警告", exact=True)).to_be_visible()
    expect(page.get_by_text("with warnings", exact=True).first).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    shot(page, "index-narrow")
    page.get_by_label("只看需要留意的").check()
    expect(page.get_by_text("Why Newspapers Have Columns")).to_be_hidden()


LEAFLET = """
#set page(width: 12cm, height: 9cm)
= Borrowing tools
The library lends 412 tools to its 96 members. Most loans last 7 days. A tool that comes back late
costs 2 euros a day.
== Before you take a tool
Check the cable and the plug. Write the number of the tool into the book of loans at
https://tools.example.org/loans before you leave.
#pagebreak()
== When it breaks
Tell us at desk\\@tools.example.org. Nobody pays for wear.
"""
# Of the last line but one of the first part the figure is wrong, however often it is asked for.
SAID = {
    "The library lends": """[1] 借用工具
[2] 图书馆向 96 名会员出借 412 件工具。
[3] 借期大多为 7 天。
[4] 逾期归还的工具每天收费 3 欧元。""",
    "Check the cable": """[1] 取走工具之前
[2] 请检查电线和插头。
[3] 离开之前，请把工具的编号写进借用登记簿：https://tools.example.org/loans 。""",
    "Nobody pays": """[1] 工具坏了怎么办
[2] 请写信告诉我们：desk@tools.example.org 。
[3] 正常磨损无须赔偿。""",
}


@pytest.fixture(scope="module")
def translated(site: Site, finished: str) -> str:
    """The id of a run that has translated a leaflet, not without a mistake."""
    rules = [Rule("say", text=text, match=match) for match, text in SAID.items()]
    site.model.script(*rules)
    (site.project.root / "leaflet.pdf").write_bytes(set_by_typst(LEAFLET))
    code, said = site.project.run(
        "prefect", "deployment", "run", "translate-pdf", "-p", 'sources=["leaflet.pdf"]',
        "-p", "to=zh",
    )  # fmt: skip
    assert code == 0, said
    run_id = re.findall(r"[0-9a-f-]{36}", said)[0]
    until(lambda: site.run(run_id)["state_type"] == "COMPLETED")
    return run_id


def translation(site: Site) -> Path:
    [path] = (site.results / "documents").glob("*/translation.html")
    return path


def test_a_translation_stands_beside_its_source(
    page: Page, site: Site, translated: str, shot: Callable[[Page, str], None]
) -> None:
    page.goto(translation(site).as_uri())
    sees(page, "图书馆向 96 名会员出借 412 件工具。", "存疑：缺少数字")
    source = page.get_by_text("The library lends 412 tools").bounding_box()
    target = page.get_by_text("图书馆向 96 名会员出借 412 件工具。").bounding_box()
    assert source
    assert target
    assert source["x"] + source["width"] <= target["x"]
    assert abs(source["y"] - target["y"]) < 40
    shot(page, "translation")


def test_a_translation_is_read_on_a_telephone_and_printed(
    page: Page, site: Site, translated: str, shot: Callable[[Page, str], None], tmp_path: Path
) -> None:
    page.set_viewport_size(NARROW)
    page.goto(translation(site).as_uri())
    source = page.get_by_text("The library lends 412 tools").bounding_box()
    target = page.get_by_text("图书馆向 96 名会员出借 412 件工具。").bounding_box()
    assert source
    assert target
    assert source["y"] + source["height"] <= target["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    shot(page, "translation-narrow")
    printed = tmp_path / "translation.pdf"
    page.pdf(path=printed)
    text = "".join(each.extract_text() for each in pypdf.PdfReader(printed).pages)
    assert "The library lends" in text


def test_the_run_says_that_every_segment_is_accounted_for(
    ui: Page, site: Site, translated: str, shot: Callable[[Page, str], None]
) -> None:
    ui.goto(site.page_of(translated))
    sees(ui, re.compile("segments accounted for"))
    open_tab(ui, "Artifacts")
    ui.get_by_text(re.compile("^coverage")).first.click()
    ui.locator(".p-table").get_by_text("repaired").first.wait_for()
    sees(ui, re.compile("10 of 10 segments accounted for"))
    shot(ui, "coverage-of-a-translation")


def test_right_to_left_is_set_from_the_right(page: Page, tmp_path: Path) -> None:
    """The translation stands on the left of its source then, as a reader's eye moves."""
    segment = Segment(
        source_id="s", n=1, text="The library is open.", kind="sentence", page=None,
        page_label="", paragraph=1,
    )  # fmt: skip
    line = TranslatedLine(document_id="d", source_id="s", n=1, text="المكتبة مفتوحة.", status="ok")
    document = Document(
        document_id="d", source_id="s", kind="translation", language="ar", length="", model="m",
        title="Library", sections=(), coverage=Coverage(ok=1),
    )  # fmt: skip
    source = Source(source_id="s", uri="/a.txt", language="en", n_segments=1)
    landed = land_translation(tmp_path, source, document, [segment], [line], [], "bilingual")
    page.goto(next(Path(each).as_uri() for each in landed.paths if each.endswith(".html")))

    arabic, english = page.get_by_text("المكتبة مفتوحة."), page.get_by_text("The library is open.")
    there, here = arabic.bounding_box(), english.bounding_box()
    assert there
    assert here
    assert there["x"] < here["x"]
    direction = "element => getComputedStyle(element).direction"
    assert (arabic.evaluate(direction), english.evaluate(direction)) == ("rtl", "ltr")
