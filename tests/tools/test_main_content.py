"""A page's main content without what surrounds it, and the whole page where there is next to none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from flowpool import Chain, Pool
from flowpool.errors import InvalidInput
from flowpool.tools import convertToMD, main_content, to_markdown
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
            "[Home](/a)\n\n# 404\n\nGone.",
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


def test_where_there_is_next_to_no_main_content_the_whole_page_is_taken_and_told(caplog) -> None:
    menu = "".join(f"<li><a href='/{i}'>Department {i}</a>" for i in range(40))
    page = f"<body><nav><ul>{menu}</ul></nav><article><p>Closed on Monday.</p></article></body>"
    text = html_to_text(page, "https://me:secret@shop.test/a?token=secret")
    assert "Closed on Monday." in text
    assert "[Department 39]" in text
    (line,) = caplog.messages
    assert line.startswith("https://shop.test/a: no main content of 300 characters or more: the ")


def test_a_page_that_is_short_altogether_is_not_told(caplog) -> None:
    assert html_to_text("<body><nav><a href='/x'>Home</a></nav><p>Words.</p></body>")
    assert caplog.messages == []


def test_an_article_that_only_a_script_would_show_is_read_from_its_data(caplog) -> None:
    words = "A sentence that goes on for a while, as sentences in articles do. " * 10
    data = json.dumps({"@type": "NewsArticle", "articleBody": words})
    head = f"<head><script type='application/ld+json'>{data}</script></head>"
    page = f"<html>{head}<body><div id='__next'></div><p>Loading.</p></body></html>"
    text = html_to_text(page)
    assert text.count("A sentence") == 10
    assert caplog.messages == []


PROSE = "<p>" + "A sentence that goes on for a while, as sentences in articles do. " * 4 + "</p>"


@pytest.mark.parametrize(
    "box",
    [
        "<div id='__next'>{}</div>",
        "<div class='tag-news category-menu'>{}</div>",
        "<div class='elementor-widget elementor-widget-theme-post-content'>{}</div>",
        "<div class='overflow-hidden modal-content'>{}</div>",
        "<body class='single has-sidebar'>{}</body>",
    ],
)
def test_what_a_site_calls_its_boxes_costs_no_text(box: str) -> None:
    nav = "<nav><ul><li><a href='/'>Home</a><li><a href='/b'>Blog</a></ul></nav>"
    text = html_to_text("<html>" + nav + box.format(f"<article>{PROSE * 6}</article>"))
    assert text.count("A sentence") == 24
    assert "Blog" not in text


@pytest.mark.parametrize(
    ("part", "markdown"),
    [
        ("<pre><code class='language-sql'>SELECT 1</code></pre>", "```sql\nSELECT 1\n```"),
        ("<ol start=4><li>four<li>five</ol>", "4. four\n5. five"),
        ("<ul><li>one<ul><li>two</ul></ul>", "- one\n  - two"),
        ("<table><tr><th>a<th>b<tr><td>1<td>2</table>", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("<dl><dt>Term<dd>What it is.</dl>", "Term"),
        ("<p>See <a href='/x'>this <b>page</b></a>.</p>", "See [this **page**](/x)."),
    ],
)
def test_what_stands_between_paragraphs_keeps_its_form(part: str, markdown: str) -> None:
    nav = "<nav><ul><li><a href='/'>Home</a></ul></nav>"
    page = f"<body>{nav}<article><h1>Title</h1>{PROSE * 2}{part}{PROSE * 2}</article></body>"
    text = html_to_text(page)
    assert markdown in text
    assert text.startswith("# Title\n\nA sentence")
    assert text.count("A sentence") == 16


def test_a_title_outside_the_text_comes_first_and_the_site_s_name_does_not() -> None:
    article = f"<main><article>{PROSE * 4}</article></main>"
    head = "<header><h1>What happened</h1><a href='/'>Home</a></header>"
    assert html_to_text(f"<body>{head}{article}</body>").startswith("# What happened\n\nA sent")
    site = "<header><h1><a href='https://site.test/'>The Site</a></h1></header>"
    assert html_to_text(f"<body>{site}{article}</body>").startswith("A sentence")


def test_a_text_that_a_script_would_uncover_is_kept() -> None:
    teaser = "<h1>Title</h1><p>The first words only, and a button to pay for more.</p>"
    page = (
        f"<body><main>{teaser}<div style='display:none' class=full>{PROSE * 9}</div></main></body>"
    )
    assert html_to_text(page).count("A sentence") == 36


def test_odd_characters_are_no_marks_and_do_no_harm() -> None:
    odd = "<p>&#983040;&#2;\U000f0001 a\ufffe b " + "and words go on. " * 10 + "</p>"
    text = html_to_text(f"<body><article>{odd}{PROSE * 4}</article></body>")
    assert text.count("A sentence") == 16
    assert "and words go on." in text


def test_a_missing_extra_says_how_to_install_it(monkeypatch) -> None:
    main_content._bare_extraction.cache_clear()
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    page = f"<body><article>{PROSE * 4}</article></body>"
    with pytest.raises(InvalidInput, match=r"pip install 'flowpool\[pages\]', or pass main_"):
        html_to_text(page)
    assert html_to_text(page, main_content=False).count("A sentence") == 16
    main_content._bare_extraction.cache_clear()


@pytest.mark.parametrize("step", [to_markdown, convertToMD])
def test_a_pool_whose_step_lacks_the_extra_is_refused_when_it_is_made(step, monkeypatch) -> None:
    monkeypatch.setattr(main_content, "find_spec", lambda name: None)
    (source,) = step.reads

    def chain(**options: Any) -> Chain:
        within = Chain([(step, "text", {source: "page"}, options)])
        return Chain([(str.upper, "page", {"self": "text"}), within])

    with pytest.raises(InvalidInput, match=r"pip install 'flowpool\[pages\]', or pass main_"):
        Pool(chain(), [{"text": "a"}])
    Pool(chain(main_content=False), [{"text": "a"}])


def test_content_in_a_box_with_an_unlucky_name_is_found() -> None:
    prose = (
        "<p>" + "A sentence that goes on for a while, as sentences in articles do. " * 4 + "</p>"
    )
    page = f"<body><div>Short line</div><div class='modal-content sidebar'>{prose * 6}</div></body>"
    assert html_to_text(page).count("A sentence") == 24


def test_text_without_blanks_between_words_is_found_too() -> None:
    menu = "<nav><ul>" + "<li><a href='/x'>新聞</a>" * 10 + "</ul></nav>"
    prose = "<p>獨立的項目不應該排隊互相等待，所以我們同時處理它們。</p>" * 20
    text = html_to_text(f"<body>{menu}<article>{prose}</article></body>")
    assert text.count("獨立的項目") == 20
    assert "新聞" not in text
