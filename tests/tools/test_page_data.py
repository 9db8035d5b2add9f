"""An article in the data of a page's scripts is the page's text, where the page shows none."""

from __future__ import annotations

import json

import pytest

from flowpool.errors import UnreadableDocument
from flowpool.tools import to_markdown
from flowpool.tools.page import html_to_text

BODY = "<p>The bridge opened to <b>traffic</b> again.</p><ul><li>Four joints</ul>" + (
    "<p>A sentence that goes on for a while, as sentences in articles do.</p>" * 6
)
ARTICLE = {"title": "The bridge", "body": BODY}
JSON_LD = json.dumps({"headline": "The bridge", "articleBody": BODY})


def next_data(data: object) -> str:
    text = json.dumps({"props": {"pageProps": data}})
    return f"<script id='__NEXT_DATA__' type='application/json'>{text}</script>"


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "<p>Loading… We use cookies to improve your experience.</p>",
        "<p>© 2026 The Paper</p>",
        "<nav><a href='/'>Home</a></nav>",
    ],
)
@pytest.mark.parametrize(
    "data",
    [
        next_data({"article": ARTICLE}),
        next_data({"post": {"title": {"rendered": "The bridge"}, "content": {"rendered": BODY}}}),
        f"<script type='application/ld+json'>{JSON_LD}</script>",
        f"<script>window.__INITIAL_STATE__ = {json.dumps({'a': ARTICLE})};start()</script>",
        f"<script>window['__STATE__']={json.dumps({'a': ARTICLE})}</script>",
    ],
)
def test_an_article_in_data_is_read_as_markdown(shown: str, data: str) -> None:
    text = html_to_text(f"<html><body><div id='__next'></div>{shown}{data}</body></html>")
    assert "opened to **traffic** again" in text or "opened to traffic again" in text
    assert text.count("A sentence") == 6
    assert "<p>" not in text
    assert "Loading" not in text


def test_its_title_stands_above_it_and_lists_keep_their_form() -> None:
    text = html_to_text(f"<div id='__next'></div>{next_data({'article': ARTICLE})}")
    assert text.startswith("# The bridge\n\nThe bridge opened to **traffic** again.\n\n- Four")


def test_a_short_article_in_data_is_read_where_the_page_shows_nothing() -> None:
    body = (
        "<p>The bridge opened to traffic again on Monday, two weeks before its time. No toll.</p>"
    )
    text = html_to_text(f"<p>Loading…</p>{next_data({'article': {'title': 'B', 'body': body}})}")
    assert text.endswith("No toll.")


def test_blocks_of_text_are_put_together() -> None:
    blocks = [{"type": "p", "text": "A sentence that goes on for a while, as they do."}] * 3
    text = html_to_text(f"<div id=root></div>{next_data({'title': 'B', 'body': blocks})}")
    assert text.count("A sentence") == 3


@pytest.mark.parametrize(
    "data",
    [
        next_data({"cookieConsent": ARTICLE}),
        next_data({"title": "Settings", "body": json.dumps({"a": "word " * 100})}),
        next_data(
            {"articles": [ARTICLE, {"title": "Another", "body": BODY.replace("bridge", "ferry")}]}
        ),
        "<script type='application/json'>{broken</script>",
        "<script type='application/json'>" + "[" * 100_000 + "</script>",
    ],
)
def test_what_may_be_another_text_is_not_taken(data: str) -> None:
    page = {"html": f"<p>Loading…</p>{data}", "url": "https://paper.test/a"}
    with pytest.raises(UnreadableDocument, match="no text in it but a loading notice"):
        to_markdown(page)


def test_of_several_articles_the_page_s_title_names_one() -> None:
    other = {"title": "The ferry", "body": BODY.replace("bridge", "ferry")}
    data = next_data({"articles": [other, ARTICLE]})
    text = html_to_text(f"<title>The bridge - The Paper</title><p>Loading…</p>{data}")
    assert text.startswith("# The bridge\n\nThe bridge opened")


def test_a_page_that_shows_its_text_is_not_read_from_data() -> None:
    assert html_to_text(f"<p>Closed on Monday.</p>{next_data({'a': {'title': 'B', 'body': 'x'}})}")
    shown = f"<article><h1>Title</h1>{BODY * 2}</article>"
    text = html_to_text(shown + next_data({"article": {"title": "Other", "body": "Else. " * 99}}))
    assert "Else." not in text
