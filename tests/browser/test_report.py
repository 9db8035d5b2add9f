"""The report, opened from a file as anybody would: what it shows, what a click does, and what it must not do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.made_run import MadeRun
from playwright.sync_api import Page
from tests.browser.conftest import Heard, apart

from flowpool import Pool
from flowpool.report.page import write_report
from flowpool.report.reading import run_in_store

HOSTILE = {
    "script": "<script>document.title = 'taken'</script>",
    "end": "</script><script>document.title = 'taken'</script>",
    "image": "<img src=x onerror=\"document.title = 'taken'\">",
    "escape": "a\x1b[31mred\x1b[0m",
    "bidi": "user\u202egpj.exe\u2066\u2069",
    "nothing": "a\x00b",
    "lines": "one\u2028two\u2029three",
    "long": "x" * 1_000_000,
    "data": 'javascript:alert(1) {"a": [1]} ${1 + 1} {{ 1 }}',
}
SPELT = {
    "escape": r"a\x1b[31mred\x1b[0m",
    "bidi": r"user\u202egpj.exe\u2066\u2069",
    "nothing": r"a\x00b",
    "lines": r"one\u2028two\u2029three",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stores and their reports."""
    folder = tmp_path_factory.mktemp("reports")
    made = {"run": MadeRun(600, failing=0.05), "other": MadeRun(600, seed=9), "empty": MadeRun(0)}
    for name, run in made.items():
        run.write(folder / f"{name}.db", upset=0.1 if name == "other" else 0.0)
        write_report(folder / f"{name}.html", [run_in_store(folder / f"{name}.db")])
    both = [run_in_store(folder / f"{name}.db") for name in ("run", "other")]
    write_report(folder / "bare.html", both[:1], content=False)
    write_report(folder / "two.html", both)
    apart(write_hostile, folder)
    return folder


def write_hostile(folder: Path) -> Path:
    def answer(text: str, is_bad: bool) -> Any:
        if is_bad:
            raise ValueError(text)
        return {"said": text, text[:200]: "a name"}

    items = [
        {"text": t, "is_bad": bad, t[:200]: 1} for t in HOSTILE.values() for bad in (False, True)
    ]
    pool = Pool(answer, items, name=HOSTILE["script"], store=folder / "hostile.db", progress=False)
    pool.run()
    return pool.report(folder / "hostile.html")


@pytest.fixture
def show(folder: Path, page: Page) -> Callable[[str], Page]:
    """Opens a report by its name, on the light page."""
    return lambda name: opened(page, folder / f"{name}.html")


def opened(page: Page, file: Path) -> Page:
    page.goto(file.as_uri())
    page.wait_for_selector("main[data-ready]")
    return page


def item_of(page: Page) -> str:
    """What the page says of the item that was opened, its title first."""
    return text_of(page, "dialog[open]")


def text_of(page: Page, selector: str) -> str:
    words: str = page.locator(selector).inner_text()
    return words


@pytest.mark.parametrize("name", ["run", "bare", "two", "empty", "hostile"])
def test_a_report_opens_from_a_file_and_asks_for_nothing_else(
    show, folder, heard: Heard, name: str
) -> None:
    page = show(name)
    page.wait_for_timeout(200)
    assert heard.requests == [(folder / f"{name}.html").as_uri()]
    assert heard.errors == []
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0


def test_it_says_first_what_held_the_run_back(show) -> None:
    page = show("run")
    assert "Limited by requests of openai/gpt-5-mini" in text_of(page, "#verdict strong")
    assert "Your max_flows of 20 is full" in text_of(page, "#verdict ul")
    cards = text_of(page, ".cards")
    for name in ("Done", "Failed", "Paid", "List price", "Saved", "Tokens", "Time"):
        assert name in cards
    assert page.locator("#charts .plot canvas").count() == 4
    assert "max_flows from 48 to 20" in text_of(page, "#charts ol")
    assert "until the first byte" in text_of(page, "#times")


def test_a_click_in_the_grid_opens_the_item_and_escape_closes_it(show) -> None:
    page = show("run")
    page.locator("#grid canvas").click(position={"x": 10 + 16 * 3, "y": 10})
    assert item_of(page).startswith("Item 3")
    dialog = item_of(page)
    assert "What it was given" in dialog
    assert "customer" in dialog
    assert "openai/gpt-5-mini" in dialog
    page.get_by_role("button", name="Next", exact=True).click()
    page.locator("#item-title", has_text="Item 4:").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog[open]").wait_for(state="detached")


def test_an_error_group_shows_its_example_its_fix_and_its_items(show) -> None:
    page = show("run")
    group = page.locator("details.group", has_text="InvalidOutput")
    group.locator("summary").click()
    group.locator("p.fix").wait_for()
    words = group.inner_text()
    assert "What to do: say in the prompt what is wanted" in words.replace("\n", " ")
    assert "urgency" in words
    group.locator(".chips button").first.click()
    assert "failed" in item_of(page)
    assert "InvalidOutput" in item_of(page)


def test_an_item_says_why_it_was_tried_again(show) -> None:
    page = show("run")
    page.locator("#slowest tr", has_text="backoff").first.locator("button").click()
    words = item_of(page)
    assert "Why it was tried again" in words
    assert "ended with RateLimited, status 429" in words


def test_the_gantt_tells_zooms_and_opens(show) -> None:
    page = show("run")
    canvas = page.locator("#gantt .frame canvas")
    canvas.scroll_into_view_if_needed()
    canvas.hover(position={"x": 300, "y": 26})
    assert "took" in text_of(page, "#tip:not([hidden])")
    before = canvas.screenshot()
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_timeout(100)
    assert canvas.screenshot() != before
    page.get_by_role("button", name="All").click()
    canvas.click(position={"x": 300, "y": 26})
    assert item_of(page).startswith("Item ")


def test_it_is_used_by_the_keyboard_alone(show) -> None:
    page = show("run")
    page.locator("#grid canvas").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    assert text_of(page, "#grid p[aria-live]").startswith("item 2: ")
    page.keyboard.press("f")
    assert "failed" in text_of(page, "#grid p[aria-live]")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.evaluate("document.activeElement.textContent") == "Close"
    page.keyboard.press("Enter")
    page.locator("dialog[open]").wait_for(state="detached")
    page.locator("#gantt .frame canvas").focus()
    for key in ("+", "ArrowRight", "ArrowLeft", "-", "0"):
        page.keyboard.press(key)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName"))
    assert {"BUTTON", "CANVAS", "SUMMARY", "INPUT"} <= reached


def test_what_others_wrote_is_shown_as_words_and_runs_nothing(show, heard: Heard) -> None:
    page = show("hostile")
    assert page.title() == HOSTILE["script"]
    assert text_of(page, "h1") == HOSTILE["script"]
    for number, (name, text) in enumerate(HOSTILE.items()):
        for index in (2 * number, 2 * number + 1):
            page.locator("#go-to").fill(str(index))
            page.locator("#grid form button").click()
            page.locator("#item-title", has_text=f"Item {index}:").wait_for()
            words = page.evaluate("document.querySelector('dialog').textContent")
            assert SPELT.get(name, text) in words, name
            page.keyboard.press("Escape")
            page.locator("dialog[open]").wait_for(state="detached")
    for summary in page.locator("details.group summary").all():
        summary.click()
    assert page.title() == HOSTILE["script"]
    assert page.locator("img, iframe, object, main script, dialog script").count() == 0
    assert not any(
        ord(sign) in (0x1B, 0, 0x202E) for sign in page.evaluate("document.body.textContent")
    )
    assert heard.errors == []


def test_dark_and_light_are_both_readable(folder, open_page) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        page = opened(open_page(color_scheme=scheme), folder / "run.html")
        shades[scheme] = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
    assert shades["light"][0] == "rgb(255, 255, 255)"
    assert shades["dark"] == ["rgb(20, 23, 27)", "rgb(232, 234, 237)"]


@pytest.mark.parametrize("name", ["run", "two", "hostile"])
def test_a_narrow_screen_needs_no_sideways_scrolling(folder, open_page, name: str) -> None:
    page = opened(open_page(viewport={"width": 400, "height": 800}), folder / f"{name}.html")
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    if name == "run":
        page.locator("#grid canvas").click(position={"x": 10, "y": 10})
        assert page.locator("dialog[open]").bounding_box()["width"] <= 400


def test_without_content_an_item_has_its_figures_alone(show) -> None:
    page = show("bare")
    page.locator("#slowest button").first.click()
    words = item_of(page)
    assert "This report was made without content" in words
    assert "What it was given" not in words
    assert "Attempts" in words


def test_two_runs_are_compared_item_by_item(show) -> None:
    page = show("two")
    assert "of the answers are equal" in text_of(page, ".verdict")
    assert "urgency" in text_of(page, "#fields")
    page.wait_for_selector("#items td")
    page.locator("#items select").select_option(label="different")
    page.locator("#items p, #items .tools span", has_text="of").wait_for()
    page.locator("#items tbody tr", has_text="only the").first.wait_for(state="detached")
    rows = page.locator("#items tbody tr")
    assert set(rows.locator("td:first-child").all_inner_texts()) == {"different"}
    assert "medium" in rows.first.inner_text()


def test_a_large_report_is_drawn_within_two_seconds(folder, open_page) -> None:
    """The bench has the figure of 100,000 items; this holds the way to it with 20,000."""
    MadeRun(20_000).write(folder / "large.db")
    file = write_report(folder / "large.html", [run_in_store(folder / "large.db")])
    page = opened(open_page(), file)
    paints = page.evaluate("performance.getEntriesByType('paint').map(one => one.startTime)")
    assert max(paints) < 2000
