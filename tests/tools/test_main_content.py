"""A page's content without what surrounds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpool.tools.page import html_to_text

PAGES = Path(__file__).parent / "pages"
BASE = "https://kettle.test/docs/v2/start.html"


@pytest.fixture(scope="module")
def docs() -> str:
    return html_to_text((PAGES / "docs.html").read_text(), BASE)


@pytest.fixture(scope="module")
def article() -> str:
    return html_to_text((PAGES / "article.html").read_text())


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
