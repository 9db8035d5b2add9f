"""The live page in a browser, of a run that a process is at work on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.helpers import until

# What would be heard if the page took it for more than words.
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script> \x1b[31mred \u202eright to left"
AS_WORDS = "<img src=x onerror=alert(1)><script>alert(2)</script> \\x1b[31mred \\u202eright to left"
RUN = f"""
import sys, time
from flowpool import Pool

def work(n):
    time.sleep(0.02)
    if n % 50 == 7:
        raise ValueError({HOSTILE!r})
    return n

items = [{{"n": n}} for n in range(int(sys.argv[2]))]
Pool(work, items, max_flows=2, name={HOSTILE!r}, store=sys.argv[1], progress=False).run()
"""


class Watched:
    """A run in a process of its own, and `flowpool watch` in another."""

    def __init__(self, folder: Path, items: int) -> None:
        environment = os.environ | {"FLOWPOOL_SHARE": "off"}
        self.store = folder / "run.db"
        self.run = subprocess.Popen(
            [sys.executable, "-c", RUN, str(self.store), str(items)], env=environment
        )
        # The store is there before its run is.
        until(lambda: Path(f"{self.store}.control").exists(), process=self.run)
        self.watch = subprocess.Popen(
            [sys.executable, "-m", "flowpool.cli", "watch", str(self.store)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        assert self.watch.stdout is not None
        self.address = self.watch.stdout.readline().decode().strip()

    def close(self) -> None:
        for process in (self.run, self.watch):
            process.kill()
            process.wait()
        assert self.watch.stdout is not None
        self.watch.stdout.close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[[int], Watched]]:
    begun: list[Watched] = []

    def begin(items: int) -> Watched:
        begun.append(Watched(tmp_path, items))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


def ended(page: Page) -> int:
    """Items that have ended, as the page says."""
    return int((page.locator("#counts").text_content() or "0").split()[0].replace(",", ""))


def test_counts_move_and_the_verdict_shows(watched, page: Page) -> None:
    page.goto(watched(5000).address)
    expect(page.locator("#state")).to_have_text("running")
    before = ended(page)
    page.wait_for_function("before => parseInt(find('counts').textContent) > before", arg=before)
    expect(page.locator("#words")).to_contain_text(
        "limited by max_flows: 2 at once", timeout=20_000
    )
    expect(page.locator("#fix")).to_contain_text("max_flows")
    expect(page.locator("#rate canvas")).to_have_count(1)
    expect(page.locator("#lanes td").first).to_be_visible()


def test_pause_by_the_button_pauses_and_go_on_goes_on(watched, page: Page) -> None:
    page.goto(watched(5000).address)
    page.locator("#pause").click()
    expect(page.locator("#state")).to_have_text("paused")
    expect(page.locator("#said")).to_contain_text("paused")
    page.wait_for_timeout(1500)
    stands = ended(page)
    page.wait_for_timeout(1500)
    assert ended(page) == stands
    page.locator("#pause").click()
    expect(page.locator("#state")).to_have_text("running")
    page.wait_for_function("before => parseInt(find('counts').textContent) > before", arg=stands)


def test_max_flows_is_set_and_the_change_is_told(watched, page: Page) -> None:
    page.goto(watched(5000).address)
    page.locator("#max_flows").fill("3")
    page.locator("#max_flows").press("Enter")
    expect(page.locator("#said")).to_contain_text("max_flows from 2 to 3")
    expect(page.locator("#changes")).to_contain_text("max_flows from 2 to 3")


def test_stop_asks_first_and_then_stops(watched, page: Page) -> None:
    run = watched(5000)
    page.goto(run.address)
    page.locator("#stop").click()
    page.locator("#sure-not").click()
    expect(page.locator("#sure")).to_be_hidden()
    page.wait_for_timeout(1200)
    expect(page.locator("#state")).to_have_text("running")
    page.locator("#stop").click()
    page.locator("#sure-stop").click()
    until(lambda: run.run.poll() is not None)
    expect(page.locator("#state")).to_have_text("not at work")
    expect(page.locator("#words")).to_contain_text("the run was stopped")
    expect(page.locator("#steering")).to_be_hidden()


def test_names_and_errors_of_others_are_words(watched, page: Page) -> None:
    page.goto(watched(5000).address)
    expect(page.locator("#name")).to_have_text(AS_WORDS)
    expect(page.locator("#failures li").first).to_contain_text(AS_WORDS)
    expect(page.locator("#groups li").first).to_contain_text(AS_WORDS)
    assert page.locator("img, main script").count() == 0


def test_a_finished_runs_page_says_so_and_stays_readable(watched, page: Page) -> None:
    run = watched(100)
    page.goto(run.address)
    expect(page.locator("#state")).to_have_text("ended", timeout=20_000)
    expect(page.locator("#words")).to_have_text("Ended: 2 failed")
    expect(page.locator("#counts")).to_contain_text("100 of 100")
    page.locator("#grid").press("ArrowRight")
    expect(page.locator("#cell")).to_have_text("items[0]: 1 done")


def test_a_page_whose_server_has_gone_says_so(watched, page: Page, heard) -> None:
    run = watched(5000)
    page.goto(run.address)
    expect(page.locator("#state")).to_have_text("running")
    run.watch.kill()
    expect(page.locator("#lost")).to_contain_text("Nobody answers")
    expect(page.locator("#steering")).to_be_hidden()
    assert all("ERR_CONNECTION" in error or "ERR_EMPTY" in error for error in heard.errors)
    heard.errors.clear()


def test_a_page_of_another_site_can_neither_read_nor_steer(watched, page: Page, heard) -> None:
    run = watched(5000)
    page.goto("data:text/html,<title>another site</title>")
    for options in ("{}", "{method: 'POST', body: '{\"what\": \"stop\"}'}"):
        outcome = page.evaluate(
            f"address => fetch(address, {options}).then(() => 'read', () => 'refused')",
            f"{run.address}order",
        )
        assert outcome == "refused"
    page.set_content(f'<iframe src="{run.address}"></iframe>')
    page.wait_for_timeout(1000)
    assert run.run.poll() is None
    assert heard.errors  # the browser's words of each refusal
    heard.errors.clear()


@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_of_a_page_of_any_width(watched, open_page, width: int, scheme) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    page.goto(watched(5000).address)
    expect(page.locator("#rate canvas")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_steering_works_by_the_keyboard_alone(watched, page: Page) -> None:
    page.goto(watched(5000).address)
    expect(page.locator("#state")).to_have_text("running")
    page.keyboard.press("p")
    expect(page.locator("#state")).to_have_text("paused")
    page.locator("#stop").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#sure")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#sure")).to_be_hidden()
