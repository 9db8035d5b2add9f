"""First paint of a page in Chromium, and when it is whole, in milliseconds: `first_paint PAGE.html`, as JSON.

Runs in the environment of the browser tests, `.venv/browser`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tools import chromium

OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_PAINTS = "performance.getEntriesByName('first-contentful-paint').map(one => one.startTime)"


def main(file: str) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            headless=True, executable_path=chromium.executable(), args=list(OPTIONS)
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(Path(file).resolve().as_uri())
        page.wait_for_selector("main[data-ready]", timeout=60_000)
        whole = page.evaluate("performance.now()")
        print(json.dumps({"paint": page.evaluate(_PAINTS)[0], "whole": whole}))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
