"""The article that stands in the data of a page's scripts, as `__NEXT_DATA__` or JSON-LD, instead of in its text.

Knows lxml's trees and JSON, not markdown or HTTP.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowpool.tools.main_content import LEAST, Element

# fmt: off
_BODIES = (
    "articleBody", "article_body", "bodyHtml", "body_html", "contentHtml", "content_html", "body", "content",
    "html", "text",
)
# fmt: on
_TITLES = ("headline", "title", "name")
# What is said about the site stands under such names, not what the page is about.
_OF_THE_SITE = re.compile(
    r"cookie|consent|gdpr|i18n|locale|translation|messages|footer|newsletter|menu|nav",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(r"(?:window|self|globalThis)[.\[][\w$\"'.\]]{1,100}\s{0,9}=\s{0,9}(?=\{)")
_TAG = re.compile(r"<[^<>]*>")
# Characters of an article that is known for one by its title; another has to be longer.
_LEAST_TITLED = 80
_LONGEST_TITLE = 300
# The share of the longest article's text above which another is as likely to be the page's.
_RIVAL = 0.5


@dataclass(frozen=True)
class Article:
    """body: HTML or text. size: characters of its text."""

    title: str
    body: str
    size: int


def article_in_data(root: Element) -> Article | None:
    """The page's article in its scripts' data; None where there is none, or several that may be it."""
    found: dict[str, Article] = {}
    for script in root.iter("script"):
        for data in _data_of(script):
            for article in _articles(data):
                found.setdefault(article.body, article)
    title = " ".join(root.findtext(".//title", "").split()).casefold()
    named = [a for a in found.values() if a.title and a.title.casefold() in title]
    likely = sorted(named or found.values(), key=lambda article: -article.size)
    if not likely or any(other.size >= _RIVAL * likely[0].size for other in likely[1:]):
        return None
    return likely[0]


def _data_of(script: Element) -> Iterator[Any]:
    text = script.text or ""
    kind = (script.get("type") or "").lower()
    if "json" in kind:
        starts = [len(text) - len(text.lstrip())]
    elif kind in ("", "module", "text/javascript", "application/javascript"):
        starts = [found.end() for found in _ASSIGNED.finditer(text)]
    else:
        return
    end = 0
    for start in starts:
        if start < end:
            continue
        try:
            data, end = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            return  # no JSON, and what follows may be part of it
        yield data


def _articles(data: Any) -> Iterator[Article]:
    """Whatever looks like an article's text in the data, from the outside in."""
    waiting: list[Any] = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += [part for name, part in value.items() if not _OF_THE_SITE.search(name)]
            if article := _article_of(value):
                yield article


def _article_of(value: dict[str, Any]) -> Article | None:
    titles = (_string_of(value.get(name)) for name in _TITLES)
    title = next((t for t in titles if 0 < len(t) <= _LONGEST_TITLE), "")
    bodies = [_string_of(value.get(name)) for name in _BODIES]
    body = max(bodies, key=len)
    size = len(" ".join(_TAG.sub(" ", body).split()))
    is_known = bool(title) or "articleBody" in value
    if size < (_LEAST_TITLED if is_known else LEAST) or not _is_prose(body):
        return None
    return Article(title, body, size)


def _string_of(value: Any) -> str:
    """The text that stands at a name: itself, in `rendered`, or in blocks."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, dict):
        return _string_of(value["rendered"]) if isinstance(value.get("rendered"), str) else ""
    if isinstance(value, list):
        blocks = (b if isinstance(b, str) else _block_of(b) for b in value)
        return "\n\n".join(block for block in blocks if block)
    return ""


def _block_of(block: Any) -> str:
    if not isinstance(block, dict):
        return ""
    return next(
        (block[n] for n in ("html", "text", "content") if isinstance(block.get(n), str)), ""
    )


def _is_prose(body: str) -> bool:
    """Whether it is written for people: no JSON, code or address."""
    if body[:1] in "{[" or "<script" in body:
        return False
    return any(c.isspace() for c in body) or not body.isascii()
