"""Pages that show a notice until their scripts have run fail; pages that are only short don't."""

from __future__ import annotations

import logging

import pytest

from flowpool.errors import UnreadableDocument
from flowpool.tools import to_markdown
from flowpool.tools.page import html_to_text

APP = "<script src='/app.js'></script>"
CHALLENGE = "<script src='/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1'></script>"
COOKIES = "<p>We use cookies to improve your experience.</p>"


@pytest.mark.parametrize(
    ("page", "what"),
    [
        (f"<div id=list>Loading…</div>{COOKIES}{APP}", "a loading notice"),
        (f"<p>Loading… We use cookies to improve your experience.</p>{APP}", "a loading notice"),
        (f"<div id=main><span class=spinner>Loading...</span></div>{APP}", "a loading notice"),
        (
            f"<title>Kettles | Acme</title><h1>Kettles</h1><p>Please wait</p>{APP}",
            "a loading notice",
        ),
        (f"<p>Die Seite wird geladen …</p>{APP}", "a loading notice"),
        (f"<p>読み込み中です…</p>{APP}", "a loading notice"),
        (f"<div id=root></div>{COOKIES}<a href='/p'>Privacy policy</a>{APP}", "a cookie notice"),
        (f"<noscript>Please enable JavaScript.</noscript>{COOKIES}{APP}", "a cookie notice"),
        (
            "<div id=cookie-banner><p>Our website uses cookies and alike.</p><p>You can change your mind."
            f"</p></div>{APP}",
            "a cookie notice",
        ),
        (
            f"<title>Acme</title><div id=__next></div><footer>© 2026 Acme</footer>{APP}",
            "its title",
        ),
        (
            f"<div id=root>You need to enable JavaScript to run this app.</div>{APP}",
            "that it needs JavaScript",
        ),
        (
            "<p>We're sorry but kettle doesn't work properly without JavaScript enabled. "
            f"Please enable it to continue.</p>{APP}",
            "that it needs JavaScript",
        ),
        (
            f"<p>Checking your browser before accessing kettle.test.</p><p>This process is automatic.</p>{APP}",
            "a check of the browser",
        ),
        (
            f"<title>Just a moment...</title><h1>kettle.test</h1><p>Verifying you are human. This may take a few "
            f"seconds.</p><p>Something of the site's own.</p>{CHALLENGE}",
            "a check of the browser",
        ),
        (
            "<title>Pardon Our Interruption</title><p>As you were browsing, something made us think you were a bot."
            "</p><script>window._Incapsula_Resource = 1</script>",
            "a check of the browser",
        ),
    ],
)
def test_a_page_that_shows_only_a_notice_fails_and_says_what_to_do(page: str, what: str) -> None:
    source = {"html": page, "url": "https://kettle.test/a", "content_type": "text/html"}
    with pytest.raises(UnreadableDocument) as caught:
        to_markdown(source)
    assert str(caught.value).startswith(f"https://kettle.test/a: no text in it but {what}: ")
    assert "give the HTML that" in str(caught.value)
    assert str(caught.value).endswith("with main_content=False.")
    assert to_markdown(source, main_content=False).strip()


@pytest.mark.parametrize(
    "page",
    [
        "<p>Loading…</p>",  # nothing would write another text
        f"<p>Closed on Monday.</p>{COOKIES}{APP}",
        f"<h1>Status</h1><p>All systems work.</p>{APP}",
        f"<title>Hello</title><h1>Hello</h1>{APP}",
        f"<div id=app></div><p>Closed on Monday.</p>{APP}",
        f"<div id=app></div><ul><li><a href='/1'>One</a><li><a href='/2'>Two</a></ul>{APP}",
        f"<h1>Cookie policy</h1>{COOKIES}{APP}",
        f"<div id=root><h1>Cookie policy</h1>{COOKIES}</div>{APP}",
        f"<p>Cookies are small files that a site keeps in your browser.</p>{APP}",
        f"<p>Bake the cookies for ten minutes.</p><div class=cookie-banner>{COOKIES}</div>{APP}",
        f"<p>Loading docks are open from 8 to 5.</p>{APP}",
        f"<p>Loading the van takes two people.</p>{APP}",
        f"<p>This job requires JavaScript and patience.</p>{APP}",
        f"<p>To enable JavaScript in Firefox, open its settings.</p>{APP}",
        f"<title>Just a moment</title><p>A poem: just a moment is all I had.</p>{APP}",
        f"<title>Access denied</title><p>Ask your librarian for a card.</p>{APP}",
        f"<p>Verify your email with the link that we sent.</p>{APP}",
        f"<p>404: no such page.</p><div id=root></div>{APP}",
    ],
)
def test_a_short_page_that_says_something_passes(page: str) -> None:
    assert html_to_text(page)


def test_an_article_that_speaks_of_notices_passes() -> None:
    words = "<p>Loading… is what the page said. We use cookies, it went on. </p>" * 20
    text = html_to_text(f"<title>Just a moment...</title><article>{words}</article>{CHALLENGE}")
    assert text.count("it went on") == 20


def test_a_page_that_is_short_altogether_has_no_line_in_the_log(caplog) -> None:
    caplog.set_level(logging.DEBUG)
    assert html_to_text(f"<p>Closed on Monday.</p>{APP}") == "Closed on Monday."
    assert caplog.messages == []
