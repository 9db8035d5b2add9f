"""Pages in a real browser: the system's Chromium, driven by playwright. An error on a page fails its test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tools import chromium

T = TypeVar("T")
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Milliseconds: a page that needs longer for one step is broken.
PATIENCE = 15_000


@dataclass
class Heard:
    """What a page did beside showing something."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # their addresses

    def listen_to(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.on("dialog", lambda dialog: self._on_dialog(dialog))
        page.on("request", lambda request: self.requests.append(request.url))

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _on_dialog(self, dialog: Any) -> None:
        self.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium with a new profile of its own."""
    path = chromium.executable()
    assert path is not None, "no Chromium: run python tools/chromium.py"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(headless=True, executable_path=path, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def heard() -> Heard:
    """What all pages of the test did beside showing something."""
    return Heard()


@pytest.fixture
def open_page(browser: Browser, heard: Heard) -> Iterator[Callable[..., Page]]:
    """Makes an empty page: `open_page(color_scheme="dark", viewport={"width": 400, "height": 800})`."""
    contexts = []

    def opened(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        heard.listen_to(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert heard.errors == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """An empty page of 1400 by 900 pixels, light."""
    return open_page()


def apart(function: Callable[..., T], *arguments: Any) -> T:
    """What `function` gives, called in a thread without a loop: the tests' own thread has playwright's."""
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(function(*arguments)))
    thread.start()
    thread.join()
    assert found, f"{function.__name__} failed"
    return found[0]
