"""Bytes to text."""

from __future__ import annotations

import pytest

from flowpool.tools import decoding
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
        (b"a\xe9", "text/html; charset=utf-8", "aé"),
        ("naïve".encode() * 20 + b"\x80", "text/html; charset=utf-8", "naïve" * 20 + "€"),
        ("naïve".encode(), "text/html; charset=iso-8859-1", "naïve"),
        ("naïve".encode(), "text/html, text/html; charset = 'iso-8859-1'", "naïve"),
        ("мир".encode("cp1251"), "text/html; charset=windows-1251, text/html", "мир"),
        (b"\x80\x81", "text/html; charset=latin1", "€\x81"),
        ("日本".encode("iso2022_jp"), "text/html; charset=iso-2022-jp", "日本"),
        ("日本".encode("utf-16-le"), "text/html; charset=utf-16", "日本"),
        ("日本".encode("euc_jp"), "text/html; charset=utf-8", "ÆüËÜ"),
        (b"a\xe9", "text/html; charset=idna", "aé"),
        (b"a\xe9", "text/html; charset=punycode", "aé"),
        (b"a\xe9", "text/html; charset=unicode_escape", "aé"),
        (b"a\xe9", "text/html; charset=undefined", "aé"),
    ],
)
def test_the_character_set_is_that_of_mark_header_declaration_or_guess(
    body, content_type, text
) -> None:
    assert decode(body, content_type) == text


def in_page(head: str, text: str, codec: str) -> bytes:
    return f"{head}<p>{text}".encode(codec)


@pytest.mark.parametrize(
    ("head", "text", "codec"),
    [
        ('<?xml version="1.0" encoding="shift_jis"?>', "日本", "cp932"),
        ('<meta name=a><META http-equiv=x content="text/html; charset=gb2312">', "中文", "gb18030"),
        ('<html lang="ja-JP">', "日本語のページ", "cp932"),
        ("<html class=x lang=ru>", "Привет", "cp1251"),
        ("<html lang='zh-TW'>", "繁體中文", "big5hkscs"),
    ],
)
def test_a_page_that_contradicts_its_header_is_read_as_it_says_or_by_its_language(
    head: str, text: str, codec: str
) -> None:
    assert decode(in_page(head, text, codec), "text/html; charset=utf-8") == f"{head}<p>{text}"


def test_a_long_text_is_read_as_a_short_one() -> None:
    for text, codec in (
        ("é日本", "utf-8"),
        ("日本", "cp932"),
        ("中文", "gb18030"),
        ("é", "cp1252"),
    ):
        long = text * 100_000
        assert decode(long.encode(codec), f"text/html; charset={codec}") == long
    broken = ("é日本" * 500).encode()
    assert decode(broken + b"\xff" + broken) == broken.decode() + "ÿ" + broken.decode()


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
        (b"\n<!-- x --><!DOCTYPE HTML>", "image/png", True),
        (b'<?xml version="1.0"?><html xmlns="x">', "application/pdf", True),
        (b"<p>", "text/html, text/html", True),
        (b"PK\x03\x04", "text/plain", False),
    ],
)
def test_the_type_tells_text_from_data_and_the_bytes_where_it_is_silent(
    body, content_type, text
) -> None:
    assert is_text(body, content_type) is text


def test_the_title_is_one_line_without_entities() -> None:
    assert title_of("<head><TITLE lang=en>\n A &amp; B\n &mdash; C</title>") == "A & B — C"
    assert title_of("<p>none</p>") == ""


MEGABYTE = 1 << 20


def much(text: str, before: str = "") -> str:
    return before + text * (MEGABYTE // len(text))


@pytest.mark.parametrize(
    "page",
    [
        *(much(text) for text in ("<title>", "<title ", "<title>\n", "</title", "<", " ")),
        *(much(text, "<title>") for text in (" ", "<title>", "</title", "&#", "9")),
        "<title>&#" + "9" * 5000 + ";</title>",
    ],
)
def test_the_title_of_a_megabyte_of_anything_is_found_in_one_pass(page: str) -> None:
    assert len(title_of(page)) <= 2000


@pytest.mark.parametrize(
    "text", ["charset", "charset=", " ", "\"'", ";", "x", "text/html;charset= "]
)
def test_a_content_type_of_a_megabyte_is_read_in_one_pass(text: str) -> None:
    for content_type in (much(text), much(text, "charset="), much(text, "text/html; charset")):
        assert decode(b"a\xe9", content_type) == "aé"
        is_text(b"<p>", content_type)


HOSTILE = (
    b"<meta",
    b"<meta charset=",
    b"<!--",
    b"<?",
    b"\xff",
    b"\x81",
    b"\x1b$B",
    b"\0",
    b"a\xe9",
)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("codec", ["", *sorted(set(decoding._CODECS.values()))])
def test_a_megabyte_of_anything_is_decoded(text: bytes, codec: str) -> None:
    body = text * (MEGABYTE // 8 // len(text))
    assert isinstance(decode(body, f"text/html; charset={codec}"), str)
    is_text(body, "")
