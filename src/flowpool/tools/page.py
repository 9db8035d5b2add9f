"""HTML to markdown: parse, find the content, straighten what markdown can't say, render.

Runs in worker processes, on text that is at hand. Must not know files, URLs' contents or chains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from flowpool.errors import UnreadableDocument
from flowpool.logs import log
from flowpool.tools.main_content import HEADINGS, LEAST, Element, drop, find_main
from flowpool.tools.notices import WRITTEN_BY_SCRIPTS, notice_instead
from flowpool.tools.page_data import Article, article_in_data
from flowpool.tools.redirects import shown

if TYPE_CHECKING:
    from html_to_markdown import ConversionOptions

# fmt: off
_NOISE = (
    "script", "style", "noscript", "template", "iframe", "object", "embed", "svg", "canvas", "map",
    "button", "select", "textarea", "option", "datalist", "audio", "video",
)
_NO_LANGUAGE = {
    "default", "none", "plain", "notranslate", "nohighlight", "source", "text", "highlight",
}
# fmt: on
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language-|lang-|highlight-source-|highlight-|brush:\s*|sourceCode\s+)([\w+#.-]+)",
    re.IGNORECASE,
)
_GUTTER = re.compile(r"(?:^|\s)(?:gutter|linenos?|line-?numbers?(?:-rows)?|rouge-gutter)(?:\s|$)")
_ANCHOR_MARKS = {"", "#", "¶", "§", "🔗", "permalink", "link"}
# Cells that a page's spans may make of one on average, and cells that are few whatever makes them.
_MOST_SPREAD, _FEW_CELLS = 10, 1000
# Characters: no address is longer.
_LONGEST_URL = 8192
_BLOCKS_IN_CELLS = ("p", "ul", "ol", "table", "pre", "div", *sorted(HEADINGS))
_MARKUP = re.compile(
    r"<(?:!doctype|html|head|body|div|p|h[1-6]|a|ul|ol|table|article|main|section|span|br|b|i|em|strong|"
    r"pre|code|img|blockquote|title|meta)\b[^<>]*/?>",
    re.IGNORECASE,
)
# What tells of a page without text stands in so many of its first characters.
_HEAD = 100_000
_REFRESH = re.compile(
    r"""<meta\s[^<>]{0,200}http-equiv\s{0,9}=\s{0,9}["']?refresh""", re.IGNORECASE
)
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_WHOLE = f"no main content of {LEAST} characters or more: the whole page is taken, menus included"
_SCRIPT = re.compile(r"<script\b", re.IGNORECASE)


def has_markup(text: str) -> bool:
    """Whether the text has HTML tags in it, wherever."""
    return bool(_MARKUP.search(text))


def why_without_text(page: str) -> str:
    """What a page without text has instead, as the end of a sentence."""
    head = page[:_HEAD]
    if _REFRESH.search(head):
        return ": it only sends a browser on to another page; give that one's address"
    if _SCRIPT.search(head):
        return f": {WRITTEN_BY_SCRIPTS}"
    return ""


def html_to_text(page: str, base_url: str = "", main_content: bool = True) -> str:
    """The page as markdown; relative links are resolved against `base_url`.

    `main_content` leaves menus, footers and the like out; else everything that a browser shows is kept. Where there
    would be next to no text, the whole page is taken too, and the log says so.

    Raises `UnreadableDocument` for a page that shows a notice until its scripts have run.
    """
    root = _parse(page)
    if root is None:
        return ""
    body = root.find("body")
    body = root if body is None else body
    base = _base_of(root, base_url)
    _straighten_spans(body)  # whoever reads the tables next may make as many cells as they say
    found = find_main(root, body) if main_content and _has_text(root) else None
    if found and not found.stands_in_page and not found.is_of_page and len(found.text) >= LEAST:
        return _readable(found.text)
    if not main_content:
        return _whole(page, body, base)
    if found is None or not found.stands_in_page or len(found.text) < LEAST:
        return _without_main(page, root, body, base, base_url)
    headline = _headline(body)
    if headline is not None and not found.holds(headline):
        headline = deepcopy(headline)
        headline.tail = None
        found.leave_in(body)
        body.insert(0, headline)
    else:
        found.leave_in(body)
    return _body_to_text(body, base) or _readable(found.text)


def _without_main(page: str, root: Element, body: Element, base: str, url: str) -> str:
    """The text of a page without main content: what its scripts' data has, or all that it shows."""
    notice = notice_instead(root, body)
    article = article_in_data(root)
    whole = "" if notice else _whole(page, body, base)
    if article is not None and (not whole or article.size >= LEAST > len(whole)):
        return _article_to_text(article, base)
    if notice:
        raise UnreadableDocument(url or "this page", notice)
    if len(whole) >= LEAST:
        log.warning("%s: %s", shown(url) or "a page", _WHOLE)
    return whole


def _whole(page: str, body: Element, base: str) -> str:
    return _body_to_text(body, base) or _to_markdown(page, base)


def _has_text(root: Element) -> bool:
    """Whether there is enough text, in scripts' data too, for some of it to be the main content."""
    return len(root.text_content()) >= LEAST


def _article_to_text(article: Article, base: str) -> str:
    root = _parse(article.body) if has_markup(article.body) else None
    text = article.body if root is None else _body_to_text(root, base)
    return f"# {article.title}\n\n{text}" if article.title else text


def _body_to_text(body: Element, base: str) -> str:
    _clean(body)
    _straighten(body)
    return _render(body, base)


def _parse(page: str) -> Element:
    from lxml import etree
    from lxml.html import HTMLParser, document_fromstring

    parser = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        # Bytes, because lxml refuses text that declares an encoding of its own.
        return document_fromstring(page.replace("\0", "").encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return None  # nothing but blanks or comments


def _base_of(root: Element, base_url: str) -> str:
    found = root.find(".//base[@href]")
    href = "" if found is None else str(found.get("href"))
    try:
        return urljoin(base_url, href) if len(href) <= _LONGEST_URL else base_url
    except ValueError:
        return base_url


def _clean(body: Element) -> None:
    """Takes out what no browser shows as text."""
    from lxml import etree

    etree.strip_elements(body, *_NOISE, with_tail=False)
    for field in list(body.iter("input")):
        if field.get("type") != "checkbox" or field.getparent().tag not in ("li", "p", "label"):
            drop(field)
    for element in [e for e in body.iter("*") if e is not body and _is_unwanted(e)]:
        drop(element)


def _is_hidden(element: Element) -> bool:
    """Whether a browser doesn't show the element, as far as its own attributes tell."""
    if element.get("hidden") is not None or element.get("aria-hidden") == "true":
        return True
    return bool(_UNSEEN.search(element.get("style") or ""))


def _is_unwanted(element: Element) -> bool:
    if element.tag == "a":
        in_heading = any(parent.tag in HEADINGS for parent in element.iterancestors())
        return in_heading and element.text_content().strip().lower() in _ANCHOR_MARKS
    return element.tag == "dialog" or (
        _is_hidden(element) and element.tag in ("span", "i", "p", "li")
    )


def _headline(body: Element) -> Element | None:
    """The page's only top heading, which often stands outside the content; none that is the site's name."""
    found = [e for e in body.iter("h1") if e.text_content().strip()]
    if len(found) != 1:
        return None
    links = (urlsplit(_href(link)) for link in found[0].iter("a"))
    return (
        None
        if any(not parts.path.strip("/") and not parts.fragment for parts in links)
        else found[0]
    )


def _href(link: Element) -> str:
    """Where a link leads; empty where it leads nowhere or runs a script."""
    href = "".join((link.get("href") or "").split("\n")).strip()
    return "" if href[:20].lower().startswith(("javascript:", "data:")) else href


def _straighten(node: Element) -> None:
    """Brings code, images and tables into the forms that markdown has."""
    for cell in [e for e in node.iter("td", "div", "span") if _GUTTER.search(e.get("class") or "")]:
        drop(cell)
    for block in list(node.iter("pre")):
        _straighten_code(block)
    for image in list(node.iter("img")):
        _straighten_image(image)
    for link in list(node.iter("a")):
        _straighten_link(link)
    for table in list(node.iter("table")):
        if _is_layout(table):
            _unwrap_table(table)


def _straighten_code(block: Element) -> None:
    """`<pre><code class="language-x">` with plain text, whatever highlighter made it."""
    from lxml import etree

    if not block.text_content().strip():
        return
    language, tail = _language_of(block), block.tail
    table = _code_table(block)
    if table is not None:
        block, tail = _replace(table, block), table.tail
    for line_break in block.iter("br"):
        line_break.tail = "\n" + (line_break.tail or "")
    text = block.text_content()
    block.clear()
    block.tail = tail
    code = etree.SubElement(block, "code")
    code.text = text.strip("\n")
    if language:
        code.set("class", f"language-{language}")


def _replace(old: Element, new: Element) -> Element:
    old.getparent().replace(old, new)
    return new


def _code_table(block: Element) -> Element | None:
    """The table that some highlighters lay line numbers and code out with."""
    cell = block.getparent()
    while cell is not None and cell.tag == "div":
        cell = cell.getparent()
    if cell is None or cell.tag != "td":
        return None
    table = next(cell.iterancestors("table"), None)
    if table is None or table.getparent() is None or len(list(table.iter("pre"))) != 1:
        return None
    others = sum(
        1 for other in table.iter("td") if other is not cell and other.text_content().strip()
    )
    return table if others == 0 else None


def _language_of(block: Element) -> str:
    """The language a highlighter named on the block, the code in it, or the boxes around it."""
    for element in (block, *block.iter("code"), *_boxes_around(block)):
        named = (
            element.get("data-lang") or element.get("data-language") or element.get("lang") or ""
        )
        found = named or _language_in(element.get("class") or "", element.tag)
        if found and found.lower() not in _NO_LANGUAGE and found.lower() != "en":
            return str(found).lower()
    return ""


def _boxes_around(block: Element) -> Iterator[Element]:
    """The boxes that a highlighter puts around a block, which may be three deep."""
    parent = block.getparent()
    for _ in range(3):
        if parent is None or parent.tag not in ("div", "figure", "td", "tr", "tbody", "table"):
            return
        if parent.tag in ("div", "figure"):
            yield parent
        parent = parent.getparent()


def _language_in(classes: str, tag: str) -> str:
    for found in _LANGUAGE.finditer(classes):
        if found[1].lower() not in _NO_LANGUAGE:
            return found[1].removeprefix("source-")
    words = classes.split()
    if tag == "code" and "hljs" in words:
        return next((w for w in words if w not in ("hljs", "code")), "")
    return ""


def _straighten_image(image: Element) -> None:
    """Lazy images get their address; those without words or address go."""
    source = image.get("src") or ""
    if not source or source.startswith("data:"):
        source = (
            image.get("data-src") or image.get("data-original") or image.get("data-lazy-src") or ""
        )
    if not source or source.startswith("data:") or not (image.get("alt") or "").strip():
        drop(image)
    else:
        image.set("src", source)


def _straighten_link(link: Element) -> None:
    """Links without words go; words that lead nowhere, or a heading that links to itself, are no links."""
    href = _href(link)
    if not link.text_content().strip() and link.find(".//img") is None:
        drop(link)
    elif not href or (href.startswith("#") and link.getparent().tag in HEADINGS):
        link.drop_tag()
    else:
        link.attrib.pop("title", None)
        link.set("href", href)


def _straighten_spans(node: Element) -> None:
    """Takes the spans off the cells of a page that would become many times as many cells."""
    cells = list(node.iter("td", "th"))
    spread = sum(_span(cell, "colspan") * _span(cell, "rowspan") for cell in cells)
    if spread > _MOST_SPREAD * len(cells) + _FEW_CELLS:
        for cell in cells:
            cell.attrib.pop("colspan", None)
            cell.attrib.pop("rowspan", None)


def _span(cell: Element, name: str) -> int:
    value = (cell.get(name) or "").strip()
    return int(value) if value.isdecimal() and len(value) <= 9 else 1


def _is_layout(table: Element) -> bool:
    """Whether the table is for layout alone: nested, one cell, or with blocks of their own in its cells."""
    if table.get("role") in ("presentation", "none") or table.find(".//table") is not None:
        return True
    if table.find(".//th") is not None:
        return False
    cells = list(table.iter("td"))
    blocks = sum(1 for cell in cells for child in cell if child.tag in _BLOCKS_IN_CELLS)
    return len(cells) <= 1 or blocks > 2 * len(cells)


def _unwrap_table(table: Element) -> None:
    for element in [table, *table.iter("tbody", "thead", "tfoot", "tr", "td", "th")]:
        if element is table or next(element.iterancestors("table"), table) is table:
            element.tag = "div"


@lru_cache(maxsize=256)
def _options(base_url: str) -> ConversionOptions:
    from html_to_markdown import ConversionOptions, PreprocessingOptions

    return ConversionOptions(
        base_url=base_url or None,
        bullets="-",
        compact_tables=True,
        extract_metadata=False,
        highlight_style="none",
        preprocessing=PreprocessingOptions(enabled=False),
    )


def _render(node: Element, base_url: str) -> str:
    from lxml import etree

    return _to_markdown(
        etree.tostring(node, encoding="unicode", method="html", with_tail=False), base_url
    )


def _to_markdown(markup: str, base_url: str) -> str:
    from html_to_markdown import convert

    return _readable(convert(markup, _options(base_url)).content or "")


def _readable(text: str) -> str:
    """The text without the hyphens that a browser shows only where it breaks a line."""
    return text.replace("\u00ad", "").strip()
