"""Web pages as markdown: what is kept, what goes, and that nothing is lost on odd pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpool.tools.page import html_to_text, is_html

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
    assert headings == ["# Quick start", "## Steps", "## Code", "### Limits", "### See also"]


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
    assert "- [Pouring](https://kettle.test/docs/v2/pour.html)" in docs


def test_images_with_words_stay_and_pixels_go(docs: str) -> None:
    assert "![Water flows in](https://kettle.test/docs/v2/img/flow.png)" in docs
    assert "![Lazy](https://kettle.test/docs/v2/img/lazy.png)" in docs
    assert "base64" not in docs
    assert "pixel" not in docs


def test_emphasis_and_quotes_stay(docs: str) -> None:
    assert "**Linux** and *macOS*" in docs
    assert "> A watched pot never boils." in docs


@pytest.mark.parametrize(
    "words",
    [
        "API reference",
        "Blog",
        "Chapters",
        "Questions",
        "Skip to",
        "Search",
        "Home",
        "Privacy",
        "© 2026",
        "never shown",
        "never text",
    ],
)
def test_menus_footers_scripts_and_hidden_text_go(docs: str, words: str) -> None:
    assert words not in docs


@pytest.mark.parametrize(
    "words",
    [
        "cookies",
        "Sport",
        "Share",
        "Tunnel tolls",
        "inbox",
        "Subscribe",
        "comments",
        "widened",
        "Most read",
        "Imprint",
    ],
)
def test_an_article_comes_without_what_surrounds_it(article: str, words: str) -> None:
    assert words not in article


def test_an_article_comes_whole(article: str) -> None:
    for words in (
        "opened to traffic",
        "[figures from the city](/city/traffic)",
        "## What was repaired",
    ):
        assert words in article
    for words in ("- Four expansion joints", "rather do it once", "end of the month"):
        assert words in article


def test_the_whole_page_is_kept_on_request() -> None:
    whole = html_to_text((PAGES / "docs.html").read_text(), BASE, main_content=False)
    for words in ("API reference", "Chapters", "Privacy", "Kettle boils water"):
        assert words in whole
    assert "never text" not in whole


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>Hello", "Hello"),
        ("<html><body>Status: <b>fine</b></body></html>", "Status: **fine**"),
        (
            "<body><div class='menu'><a href='/a'>Home</a></div><h1>404</h1><p>Gone.</p></body>",
            "# 404\n\nGone.",
        ),
        ("<div class='sidebar'><p>Only words.</p></div>", "Only words."),
        ("<nav><a href='/x'>Only link</a></nav>", "[Only link](/x)"),
        ("<ul><li><a href='/1'>One</a><li><a href='/2'>Two</a></ul>", "- [One](/1)\n- [Two](/2)"),
        ("<?xml version='1.0' encoding='utf-16'?><html><body><p>é</p></body></html>", "é"),
        ("a\0<b>b</b>", "a**b**"),
        ("", ""),
        ("<!-- nothing -->", ""),
    ],
)
def test_a_short_or_odd_page_is_never_emptied(page: str, text: str) -> None:
    assert html_to_text(page) == text


def test_a_page_of_links_keeps_its_links() -> None:
    items = "".join(f"<div><a href='/{i}'>Story number {i} of the day</a></div>" for i in range(30))
    text = html_to_text(f"<body><nav><a href='/home'>Home</a></nav><div>{items}</div></body>")
    assert "[Story number 29 of the day](/29)" in text
    assert "Home" not in text


def test_content_in_a_box_with_an_unlucky_name_is_found() -> None:
    prose = (
        "<p>" + "A sentence that goes on for a while, as sentences in articles do. " * 4 + "</p>"
    )
    page = f"<body><div>Short line</div><div class='modal-content sidebar'>{prose * 6}</div></body>"
    assert html_to_text(page).count("A sentence") == 24


def test_text_without_blanks_between_words_is_measured_too() -> None:
    menu = "<div>" + "<a href='/x'>新聞</a>" * 10 + "</div>"
    prose = "<p>獨立的項目不應該排隊互相等待所以我們同時處理它們</p>" * 3
    text = html_to_text(f"<body>{menu}<div>{prose}</div></body>")
    assert text.count("獨立的項目") == 3
    assert "新聞" not in text


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
    assert is_html("<!DOCTYPE html><html>")
    assert is_html("some <b>bold</b> words")
    assert not is_html("a < b and c > d")
    assert not is_html("# Markdown <https://example.com>")
    assert not is_html("vector<int> x")
