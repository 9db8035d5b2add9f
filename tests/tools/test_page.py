"""Web pages as markdown: what is kept, what goes, and that nothing is lost on odd pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpool.tools.page import has_markup, html_to_text

PAGES = Path(__file__).parent / "pages"
BASE = "https://kettle.test/docs/v2/start.html"


@pytest.fixture(scope="module")
def docs() -> str:
    return html_to_text((PAGES / "docs.html").read_text(), BASE)


@pytest.fixture(scope="module")
def article() -> str:
    return html_to_text((PAGES / "article.html").read_text())


def test_the_page_begins_with_its_heading(docs: str, article: str) -> None:
    assert docs.startswith("# Quick start\n\nKettle boils water")
    assert article.startswith("# Harbour bridge reopens after nine months\n")


def test_headings_keep_their_level_and_lose_their_anchors(docs: str) -> None:
    headings = [line for line in docs.splitlines() if line.startswith("#")]
    assert headings == ["# Quick start", "## Steps", "## Code", "### Limits"]


def test_ordered_and_nested_lists_keep_numbers_and_depth(docs: str) -> None:
    lines = docs.splitlines()
    assert [line[:2] for line in lines if line[:1].isdigit()] == ["3.", "4.", "5."]
    assert "   - `volume`, in litres" in lines
    assert any(
        line.endswith("- Celsius unless said otherwise") and line[:5] == "     " for line in lines
    )


def test_code_keeps_its_language_and_lines(docs: str) -> None:
    assert "```python\ndef boil(volume: float) -> str:\n    if volume < 0:\n        raise" in docs
    assert '("negative")\n\n    return "hot"\n```' in docs
    assert "   ```bash\n   pip install kettle\n   kettle --version\n   ```" in docs
    assert "```js\nconst x = 1;\nconst y = 2;\n```" in docs


def test_line_numbers_are_no_code(docs: str) -> None:
    assert "```\nkettle.boil(1)\nkettle.pour(1)\n```" in docs


def test_tables_keep_rows_and_columns(docs: str) -> None:
    assert (
        "| Model | Volume | Power |\n| --- | --- | --- |\n| K1 | 1.0 l | 2,000 W |\n| K2 \\| Pro |"
        in docs
    )


def test_links_are_absolute_and_without_their_tooltips(docs: str) -> None:
    guide = "[the installation guide](https://kettle.test/docs/install.html?os=linux#deps)"
    assert guide in docs


def test_links_that_lead_nowhere_are_their_words_and_those_without_words_go() -> None:
    page = "<p><a href='javascript:void(0)'>a</a> <a href=''>b</a> <a href='/x'> </a> <a href=' /y\n'>c</a>"
    assert html_to_text(page) == "a b [c](/y)"


def test_hyphens_that_are_only_for_line_breaks_go() -> None:
    assert html_to_text("<p>Wein&shy;wirt\u00adschaft") == "Weinwirtschaft"


def test_images_with_words_stay_and_pixels_go(docs: str) -> None:
    assert "![Water flows in](https://kettle.test/docs/v2/img/flow.png)" in docs
    assert "![Lazy](https://kettle.test/docs/v2/img/lazy.png)" in docs
    assert "base64" not in docs
    assert "pixel" not in docs


def test_emphasis_and_quotes_stay(docs: str) -> None:
    assert "**Linux** and *macOS*" in docs
    assert "> A watched pot never boils." in docs


def test_the_whole_page_is_kept_on_request() -> None:
    whole = html_to_text((PAGES / "docs.html").read_text(), BASE, main_content=False)
    for words in ("API reference", "Chapters", "Privacy", "Kettle boils water"):
        assert words in whole
    assert "never text" not in whole


def test_layout_tables_are_no_tables() -> None:
    cell = "<h2>Title</h2><p>First words here.</p><p>Second words here.</p>"
    text = html_to_text(f"<table><tr><td>{cell}</td></tr></table>")
    assert text == "## Title\n\nFirst words here.\n\nSecond words here."


@pytest.mark.parametrize("markup", ["<div>", "<b>", "<ul><li>", "<table><tr><td>", "<blockquote>"])
def test_markup_nested_without_end_does_no_harm(markup: str) -> None:
    assert isinstance(html_to_text("<p>before</p>" + markup * 3000 + "deep"), str)


def test_a_base_element_moves_the_links_unless_it_is_broken() -> None:
    link = "<p><a href='x'>go</a></p>"
    assert html_to_text(f"<base href='/deep/'>{link}", BASE) == "[go](https://kettle.test/deep/x)"
    assert (
        html_to_text(f"<base href='http://[x'>{link}", BASE)
        == "[go](https://kettle.test/docs/v2/x)"
    )


def test_html_is_told_from_text() -> None:
    assert has_markup("<!DOCTYPE html><html>")
    assert has_markup("some <b>bold</b> words")
    assert not has_markup("a < b and c > d")
    assert not has_markup("# Markdown <https://example.com>")
    assert not has_markup("vector<int> x")
