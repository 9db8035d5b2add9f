"""From an answer's bytes to text: whether it is text, in which character set, and what its title is.

Bytes, headers and declarations are a stranger's: each is scanned once, from front to back, and names of character
sets are looked up in a table of our own.
"""

from __future__ import annotations

import codecs
import html
import re

from flowpool.logs import log

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What browsers read these labels as (encoding.spec.whatwg.org): the superset that pages labelled so are written in.
_LABELS = {
    # the codec: its labels in lower case, without hyphens, underscores and a year
    "utf-8": "utf8 unicode11utf8 unicode20utf8 xunicode20utf8",
    "utf-16-le": "utf16 utf16le unicode ucs2 iso10646ucs2 csunicode unicodefeff",
    "utf-16-be": "utf16be unicodefffe",
    "cp1252": "ascii usascii ansix3.41968 iso88591 isoir100 latin1 l1 ibm819 cp819 csisolatin1 windows1252 cp1252 "
    "xcp1252",
    "cp1250": "windows1250 cp1250 xcp1250",
    "cp1251": "windows1251 cp1251 xcp1251",
    "cp1253": "windows1253 cp1253 xcp1253",
    "cp1254": "windows1254 cp1254 xcp1254 iso88599 isoir148 latin5 l5 csisolatin5",
    "cp1255": "windows1255 cp1255 xcp1255",
    "cp1256": "windows1256 cp1256 xcp1256",
    "cp1257": "windows1257 cp1257 xcp1257",
    "cp1258": "windows1258 cp1258 xcp1258",
    "cp874": "windows874 dos874 tis620 iso885911",
    "cp866": "ibm866 cp866 866 csibm866",
    "iso8859-2": "iso88592 isoir101 latin2 l2 csisolatin2",
    "iso8859-3": "iso88593 isoir109 latin3 l3 csisolatin3",
    "iso8859-4": "iso88594 isoir110 latin4 l4 csisolatin4",
    "iso8859-5": "iso88595 isoir144 cyrillic csisolatincyrillic",
    "iso8859-6": "iso88596 iso88596e iso88596i isoir127 arabic asmo708 ecma114 csisolatinarabic",
    "iso8859-7": "iso88597 isoir126 greek greek8 ecma118 elot928 suneugreek csisolatingreek",
    "iso8859-8": "iso88598 iso88598e iso88598i isoir138 hebrew logical visual csisolatinhebrew",
    "iso8859-10": "iso885910 isoir157 latin6 l6 csisolatin6",
    "iso8859-13": "iso885913",
    "iso8859-14": "iso885914",
    "iso8859-15": "iso885915 latin9 l9 csisolatin9",
    "iso8859-16": "iso885916",
    "koi8-r": "koi8r koi8 koi cskoi8r",
    "koi8-u": "koi8u koi8ru",
    "mac-roman": "macintosh mac xmacroman csmacintosh",
    "mac-cyrillic": "xmaccyrillic xmacukrainian",
    "gb18030": "gb18030 gbk xgbk cp936 gb2312 gb231280 chinese isoir58 csgb2312 csiso58gb231280",
    "big5hkscs": "big5 big5hkscs cp950 cnbig5 csbig5 xxbig5",
    "cp932": "shiftjis sjis xsjis mskanji ms932 cp932 windows31j csshiftjis",
    "euc_jp": "eucjp xeucjp cseucpkdfmtjapanese",
    "iso2022_jp": "iso2022jp csiso2022jp",
    "cp949": "euckr cseuckr korean ksc5601 ksc56011987 ksc56011989 csksc56011987 isoir149 windows949 cp949",
}
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}
_LONGEST_LABEL = 40
# Sets whose text doesn't hold ASCII as it is, so that their bytes may read as UTF-8 by chance.
_NOT_OVER_ASCII = ("utf-16-le", "utf-16-be", "iso2022_jp")
# What pages of a language that declare no character set, or a wrong one, are written in.
_OF_LANGUAGE = {
    codec: languages.split()
    for codec, languages in (
        ("big5hkscs", "zh-tw zh-hk zh-hant"),
        ("gb18030", "zh"),
        ("cp932", "ja"),
        ("euc_jp", "ja"),
        ("cp949", "ko"),
        ("cp1251", "ru uk be bg sr mk"),
        ("cp1250", "pl cs sk hu hr sl bs ro"),
        ("cp1253", "el"),
        ("cp1254", "tr az"),
        ("cp1255", "he iw"),
        ("cp1256", "ar fa ur"),
        ("cp1257", "lt lv et"),
        ("cp1258", "vi"),
        ("cp874", "th"),
    )
}
_CP1252 = "".join(bytes([i]).decode("cp1252", "ignore") or chr(i) for i in range(256))
_ASCII = bytes(range(128))
# Bytes in which a page must declare its character set. Browsers read 1,024; some pages put scripts first.
_HEAD = 4096
# Characters of a header that say what the answer is.
_LONGEST_TYPE = 1000
# Bytes decoded at once: a codec lets no other thread run while it is at work.
_PIECE = 65_536
# Broken characters of a text whose character set fits otherwise: one in so many of its bytes beyond ASCII, and no
# more than this.
_ONE_BROKEN_IN, _MOST_BROKEN = 10, 1000
# Bytes in which a broken character is looked for, as an error holds a copy of them all; and of one character.
_WINDOW, _LONGEST_CHARACTER = 1024, 8
# Characters: where a page's title may begin, and how long it is.
_TITLE_WITHIN, _LONGEST_TITLE = 1_000_000, 2000
_TITLE = re.compile(r"<title(?=[\s>])", re.IGNORECASE)
_TITLE_END = re.compile(r"</title(?=[\s>/])", re.IGNORECASE)
_UNKNOWN = ("", "application/octet-stream", "binary/octet-stream", "unknown/unknown")
_TEXTUAL = ("json", "xml", "xhtml", "javascript", "ecmascript", "yaml", "x-ndjson", "ld+json")
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_BINARY = (b"%PDF-", b"PK\x03\x04", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b")
_HTML_BEGINS = re.compile(r"(?:!doctype\s{1,20}html|html|head|body)(?=[\s>/])", re.IGNORECASE)
_BLANKS = " \t\r\n\f\ufeff"


def media_type(content_type: str) -> str:
    """The type of a Content-Type header in lower case, also where it is malformed or comes twice.

    >>> media_type("Text/HTML, text/html; charset=utf-8")
    'text/html'
    """
    return content_type[:_LONGEST_TYPE].replace(",", ";").partition(";")[0].strip().lower()


def is_text(body: bytes, content_type: str) -> bool:
    """Whether an answer of this Content-Type is text; where the bytes say otherwise, they are believed."""
    head = body[:_HEAD]
    if head.startswith(tuple(bom for bom, _ in _BOMS)):
        return True
    if head.startswith(_BINARY):
        return False
    kind = media_type(content_type)
    if kind in _UNKNOWN:
        return b"\0" not in head
    return _is_textual(kind) or begins_as_html(head.decode("latin-1"))


def _is_textual(kind: str) -> bool:
    group, _, subtype = kind.partition("/")
    if group == "application":
        return subtype in _TEXTUAL or subtype.rpartition("+")[2] in _TEXTUAL
    return group in ("text", "message") or kind == "image/svg+xml"


def is_html(text: str, content_type: str) -> bool:
    """Whether text that came with this Content-Type is a page of HTML: it says so, or it begins as one."""
    return media_type(content_type) in _HTML_TYPES or begins_as_html(text)


def begins_as_html(text: str) -> bool:
    """Whether the text is a document of HTML by its first element, after comments and declarations."""
    head = text[:_HEAD].lstrip(_BLANKS)
    while head.startswith(("<!--", "<?")):
        _, _, head = head.partition("-->" if head.startswith("<!--") else ">")
        head = head.lstrip(_BLANKS)
    return head.startswith("<") and bool(_HTML_BEGINS.match(head, 1))


def decode(body: bytes, content_type: str = "", name: str = "") -> str:
    """The text of `body`, by its byte order mark, else by whichever of these fits the bytes: UTF-8, the header's
    character set, the page's own declaration, its language's.

    A declaration that the bytes contradict is passed over. Never fails: in text of UTF-8 a stray byte is read as a
    Western one, as browsers' users mean it; in other sets it becomes U+FFFD. The log says under this `name` where
    that is so, and where nothing named the character set.
    """
    text, is_guess = _decoded(body, content_type)
    name = name or "some text"
    if is_guess:
        log.warning(
            "%s: no character set that fits is named and it isn't UTF-8: read as Windows-1252", name
        )
    elif "\ufffd" in text and "\ufffd".encode() not in body:
        log.warning("%s: some bytes fit no character set; they stand as U+FFFD", name)
    return text


def _decoded(body: bytes, content_type: str) -> tuple[str, bool]:
    """The text, and whether its character set is the last resort."""
    for bom, name in _BOMS[1:]:
        if body.startswith(bom):
            return body[len(bom) :].decode(name, "replace"), False
    body = body.removeprefix(codecs.BOM_UTF8)
    head = body[:_HEAD].lower()
    declared = [name for name in (charset_of(content_type), _from_page(head)) if name]
    for name in declared:
        if name in _NOT_OVER_ASCII and (text := _strictly(body, name)) is not None:
            return text, False
    for name in ("utf-8", *declared):
        text = _strictly(body, name)
        if text is None and name not in _NOT_OVER_ASCII:
            text = _nearly(body, name)
        if text is not None:
            return text, False
    for name in _by_language(head):
        if (text := _strictly(body, name)) is not None:
            return text, False
    return _western(body), True


def charset_of(content_type: str) -> str | None:
    """The codec that a Content-Type header, or a meta element, names; None for none that is known."""
    _, found, rest = content_type[:_LONGEST_TYPE].lower().partition("charset")
    rest = rest.lstrip()
    if not found or not rest.startswith("="):
        return None
    label = rest[1:].lstrip().lstrip("\"'").lstrip()[:_LONGEST_LABEL]
    for end in "\"';, \t\r\n/>":
        label = label.partition(end)[0]
    return _CODECS.get(label.partition(":")[0].replace("-", "").replace("_", ""))


def _from_page(head: bytes) -> str | None:
    """The codec that a page's own first bytes (in lower case) declare."""
    name = None
    if head.startswith(b"<?xml"):
        declaration = head.partition(b">")[0].replace(b"encoding", b"charset")
        name = charset_of(declaration.decode("latin-1"))
    at = head.find(b"<meta")
    while name is None and at >= 0:
        end = head.find(b">", at)
        if end < 0:
            break
        name = charset_of(head[at:end].decode("latin-1"))
        at = head.find(b"<meta", end)
    # A declaration that could be read byte by byte can't be true of UTF-16.
    return "utf-8" if name in ("utf-16-le", "utf-16-be") else name


def _by_language(head: bytes) -> list[str]:
    """The codecs that pages of this one's language are written in where they don't say; `head` in lower case."""
    _, _, rest = head.partition(b"<html")
    _, _, value = rest.partition(b">")[0].partition(b"lang=")
    language = value[:20].decode("latin-1").strip("\"'").replace("'", '"').partition('"')[0].strip()
    tags = (language, language.partition("-")[0])
    return [codec for tag in tags for codec, known in _OF_LANGUAGE.items() if tag in known]


def _strictly(body: bytes, name: str) -> str | None:
    """The text if every byte of it fits."""
    if name == "cp1252":  # browsers read its five gaps as control characters
        return _western(body)
    try:
        if len(body) <= _PIECE:
            return body.decode(name)
        decoder = codecs.getincrementaldecoder(name)()
        ends = range(_PIECE, len(body) + _PIECE, _PIECE)
        return "".join(decoder.decode(body[at - _PIECE : at], at >= len(body)) for at in ends)
    except UnicodeDecodeError:
        return None


def _nearly(body: bytes, name: str) -> str | None:
    """The text if all but a few bytes of it fit."""
    most = min(len(body.translate(None, _ASCII)) // _ONE_BROKEN_IN, _MOST_BROKEN)
    parts: list[str] = []
    at = 0
    while at < len(body):
        window = body[at : at + _WINDOW]
        try:
            parts.append(window.decode(name))
            at += len(window)
        except UnicodeDecodeError as error:
            parts.append(window[: error.start].decode(name))
            at += error.start
            if error.start > len(window) - _LONGEST_CHARACTER and at + _LONGEST_CHARACTER < len(
                body
            ):
                continue  # cut by the window, not broken
            if most == 0:
                return None
            most -= 1
            stray = window[error.start : error.end]
            parts.append(_western(stray) if name == "utf-8" else "\ufffd")
            at += len(stray)
    return "".join(parts)


def _western(body: bytes) -> str:
    return codecs.charmap_decode(body, "strict", _CP1252)[0]


def title_of(page: str) -> str:
    """The text of the page's title element on one line; empty if it has none."""
    begin = _TITLE.search(page, 0, _TITLE_WITHIN)
    start = page.find(">", begin.end(), begin.end() + _LONGEST_TITLE) + 1 if begin else 0
    end = _TITLE_END.search(page, start, start + _LONGEST_TITLE) if start else None
    return " ".join(html.unescape(page[start : end.start()]).split()) if end else ""
