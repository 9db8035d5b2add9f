"""Bytes to text."""

from __future__ import annotations

import pytest

from flowpool.tools.decoding import decode, is_text, title_of


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("naïve".encode(), "text/html", "naïve"),
        ("naïve".encode("latin-1"), "text/html; charset=ISO-8859-1", "naïve"),
        ("“q”".encode("cp1252"), "text/html; charset=iso-8859-1", "“q”"),
        ("naïve".encode("latin-1"), "text/html", "naïve"),
        ("\ufeffnaïve".encode(), "text/html; charset=latin-1", "naïve"),
        (b"\xff\xfe" + "é".encode("utf-16-le"), "", "é"),
        ('<meta charset="koi8-r">мир'.encode("koi8-r"), "text/html", '<meta charset="koi8-r">мир'),
        ("日本".encode("cp932"), 'text/html; charset="Shift_JIS"', "日本"),
        ("é".encode(), "text/html; charset=no-such-set", "é"),
        (b"<meta charset=utf-16>ok", "", "<meta charset=utf-16>ok"),
        (b"a\xff", "text/html; charset=utf-8", "a\ufffd"),
    ],
)
def test_the_character_set_is_that_of_mark_header_declaration_or_guess(
    body, content_type, text
) -> None:
    assert decode(body, content_type) == text


def test_codecs_that_are_no_character_sets_are_not_used() -> None:
    assert decode(b"uryyb", "text/plain; charset=rot13") == "uryyb"
    assert decode(b"00", "text/plain; charset=hex") == "00"


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"<p>", "text/html; charset=x", True),
        (b"{}", "application/ld+json", True),
        (b"<a/>", "application/atom+xml", True),
        (b"%PDF-1.7", "application/pdf", False),
        (b"%PDF-1.7", "application/octet-stream", False),
        (b"plain", "", True),
        (b"\x89PNG\r\n\x1a\n\0", "", False),
        (b"x", "image/png", False),
    ],
)
def test_the_type_tells_text_from_data_and_the_bytes_where_it_is_silent(
    body, content_type, text
) -> None:
    assert is_text(body, content_type) is text


def test_the_title_is_one_line_without_entities() -> None:
    assert title_of("<head><TITLE lang=en>\n A &amp; B\n &mdash; C</title>") == "A & B — C"
    assert title_of("<p>none</p>") == ""
