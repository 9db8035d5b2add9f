"""The simulator's web pages, for runs that fetch before they ask: a mapping or a directory of HTML."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path

from flowpool.simulator.answers import Rendered

PREFIX = "/pages/"
_HTML = ("content-type", "text/html; charset=utf-8")


def read_pages(directory: str | Path) -> dict[str, bytes]:
    """Every file of a directory by its name; a `.html` may be left out of the address."""
    pages = {}
    for path in sorted(Path(directory).iterdir()):
        if path.is_file():
            pages[path.name] = path.read_bytes()
    return pages


def find_page(pages: Mapping[str, bytes], path: str) -> Rendered:
    """The page at `/pages/{name}`, the index at `/pages/`, or a 404."""
    name = path.partition("?")[0].removeprefix(PREFIX)
    if not name:
        return Rendered(200, (_HTML,), _index(pages))
    page = pages.get(name, pages.get(f"{name}.html"))
    if page is None:
        return Rendered(404, (_HTML,), b"<html><body><h1>No such page</h1></body></html>")
    return Rendered(200, (_HTML,), page)


def _index(pages: Mapping[str, bytes]) -> bytes:
    names = (html.escape(name, quote=True) for name in pages)
    links = "\n".join(f'<li><a href="{PREFIX}{name}">{name}</a></li>' for name in names)
    return f"<html><head><title>Pages</title></head><body><ul>{links}</ul></body></html>".encode()
