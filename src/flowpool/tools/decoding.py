"""From an answer's bytes to text: which character set, and what the title is. Pure."""

from __future__ import annotations

import codecs
import html
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What browsers read these labels as: the superset that pages labelled so are really written in.
_AS_BROWSERS = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "big5": "big5hkscs",
    "tis-620": "cp874",
    "windows-874": "cp874",
}
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_META = re.compile(
    rb"<meta[^>]{0,300}?charset\s*=\s*[\"']?\s*([\w.:-]+)|<\?xml[^>]{0,100}encoding=[\"']([\w.:-]+)",
    re.IGNORECASE,
)
_TITLE = re.compile(r"<title(?:\s[^>]*)?>(.*?)</title\s*>", re.IGNORECASE | re.DOTALL)
_TEXTUAL = re.compile(
    r"^(text/.*|application/(.*\+)?(json|xml|xhtml|javascript|ecmascript|yaml|x-ndjson|ld\+json)"
    r"|application/xhtml\+xml|image/svg\+xml|message/.*)$"
)
# Bytes in which a page must declare its character set. Browsers read 1,024; some pages put scripts first.
_LOOK_AT = 4096


def is_text(body: bytes, content_type: str) -> bool:
    """Whether an answer of this Content-Type is text; the bytes decide where the type says nothing."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind not in ("application/octet-stream", "binary/octet-stream", "unknown/unknown"):
        return bool(_TEXTUAL.match(kind))
    head = body[:_LOOK_AT]
    return head.startswith(tuple(bom for bom, _ in _BOMS)) or not (
        b"\0" in head or head.startswith((b"%PDF-", b"PK\x03\x04"))
    )


def decode(body: bytes, content_type: str = "") -> str:
    """The text of `body`, by its byte order mark, else the header, else its own declaration, else a guess.

    Never fails: what can't be decoded becomes U+FFFD.
    """
    for bom, name in _BOMS:
        if body.startswith(bom):
            return body[len(bom) :].decode(name, "replace")
    declared = _CHARSET.search(content_type)
    charset = _known(declared[1]) if declared else None
    charset = charset or _from_meta(body[:_LOOK_AT])
    if charset:
        return body.decode(charset, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def _from_meta(head: bytes) -> str | None:
    found = _META.search(head)
    if not found:
        return None
    name = _known((found[1] or found[2]).decode("ascii", "replace"))
    # A declaration that could be read byte by byte can't be true of UTF-16.
    return "utf-8" if name and name.startswith("utf-16") else name


def _known(label: str) -> str | None:
    name = _AS_BROWSERS.get(label.strip().lower(), label)
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        return None


def title_of(page: str) -> str:
    """The text of the page's title element on one line; empty if it has none."""
    found = _TITLE.search(page)
    return " ".join(html.unescape(found[1]).split()) if found else ""
