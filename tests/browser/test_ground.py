"""What the other tests of this folder stand on."""

from __future__ import annotations

from playwright.sync_api import Page


def test_an_error_of_a_page_is_heard(page: Page, heard) -> None:
    page.evaluate("console.error('so'); setTimeout(() => { throw new Error('odd') })")
    page.wait_for_timeout(50)
    assert heard.errors == ["so", "uncaught: odd"]
    heard.errors.clear()


def test_what_a_page_asks_for_is_heard(page: Page, heard, tmp_path) -> None:
    file = tmp_path / "page.html"
    file.write_text("<title>here</title><img src='other.png'>")
    page.goto(file.as_uri(), wait_until="load")
    assert page.title() == "here"
    assert heard.requests == [file.as_uri(), f"{tmp_path.as_uri()}/other.png"]
    heard.errors.clear()  # there is no such picture
