"""Where redirects lead, and the cookies that go along."""

from __future__ import annotations

import pytest

from flowpool.tools.redirects import Cookies, Unfollowable, next_url


def sent(text: str) -> str:
    """A header as it arrives: its UTF-8 bytes, each as one character."""
    return text.encode().decode("latin-1")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x", "http://a.test/x"),
        ("x?q=1#f", "http://a.test/dir/x?q=1#f"),
        ("//b.test/x", "http://b.test/x"),
        ("///b.test/x", "http://b.test/x"),
        ("\\\\b.test\\x", "http://b.test/x"),
        ("/x?a=\\b", "http://a.test/x?a=\\b"),
        (" /a b ", "http://a.test/a%20b"),
        ("/a\tb", "http://a.test/ab"),
        (sent("/päge"), "http://a.test/päge"),
        (sent("http://bücher.test/ü"), "http://bücher.test/ü"),
        ("/p\xe4ge", "http://a.test/p%E4ge"),
        ("/p%C3%A4ge", "http://a.test/p%C3%A4ge"),
    ],
)
def test_a_redirect_leads_where_browsers_go(location: str, url: str) -> None:
    assert next_url("http://a.test/dir/page", location) == url


@pytest.mark.parametrize(
    "location",
    ["mailto:x@y", "http://[", "http://h:99999999/", "/" * 100_000, "../" * 80_000],
)
def test_what_can_not_be_followed_is_refused(location: str) -> None:
    with pytest.raises(Unfollowable):
        next_url("http://a.test/", location)


@pytest.mark.parametrize(
    ("set_cookie", "target", "header"),
    [
        ("a=1", "http://x.a.test/", "a=1"),
        (
            "a=1\nb=2; Path=/; HttpOnly\nc=3; expires=Wed, 01 Jan 2099 00:00:00 GMT",
            "/z",
            "a=1; b=2; c=3",
        ),
        ("a=1; Domain=a.test", "http://y.a.test/", "a=1"),
        ("a=1; Domain=.a.test", "http://y.a.test/", "a=1"),
        ("a=1", "http://y.a.test/", ""),
        ("a=1; Domain=b.test", "http://b.test/", ""),
        ("a=1; Domain=test", "http://y.a.test/", ""),
        ("a=1; Path=/in", "/in/x", "a=1"),
        ("a=1; Path=/in", "/inner", ""),
        ("a=1; Secure", "/", ""),
        ("a=1; Secure", "https://x.a.test/", "a=1"),
        ("a=1\na=2", "/", "a=2"),
        ("a=1\na=; Max-Age=0", "/", ""),
        ("a", "/", ""),
        ("a=" + "x" * 5000, "/", ""),
        ("a=\x01", "/", ""),
    ],
)
def test_a_cookie_goes_where_it_was_set_for(set_cookie: str, target: str, header: str) -> None:
    cookies = Cookies()
    cookies.learn("http://x.a.test/page", set_cookie)
    assert cookies.header(next_url("http://x.a.test/page", target)) == header


@pytest.mark.parametrize("line", [";a" * 2000, "a=" + "=" * 4000, "a=1" + ";=" * 2000, "a;" * 2000])
def test_cookies_are_bounded_whatever_they_hold(line: str) -> None:
    cookies = Cookies()
    for _ in range(5):
        cookies.learn("http://a.test/", "\n".join(f"{n}{line}" for n in range(5000)))
    assert len(cookies.header("http://a.test/")) <= 8192
