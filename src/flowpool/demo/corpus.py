"""The demo's documents: about 200 short texts, and the web page that a site would put around each.

Knows neither the server that hands the pages out nor the pool that reads them. The texts lie beside
this file in `corpus/`; `corpus/LICENSE.md` says where each kind comes from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from html import escape
from itertools import groupby
from pathlib import Path

from msgspec import Struct

from flowpool.demo.site import MENU, SHELL

FOLDER = Path(__file__).with_name("corpus")
# Links from a page to others, as on a site.
RELATED = 6


class Page(Struct, frozen=True):
    """One document: `name` as in its address, `title`, and `text`, the whole as Markdown."""

    name: str
    title: str
    text: str


def pages() -> list[Page]:
    """Every document of the demo, in a fixed order that mixes their subjects.

    Returns a new list of about 200 pages of 1.5 to 5.6 KB.

        first = pages()[0]
        print(first.name, first.title, len(first.text))
    """
    return list(_pages())


def texts(n: int | None = None) -> list[str]:
    """The first `n` documents as Markdown, or all of them; fewer if there aren't so many.

    pool = Pool(summarise, [{"text": text} for text in texts(50)])
    """
    return [page.text for page in _pages()[:n]]


def html(page: Page) -> str:
    """A web page as a site would show `page`: its text among menus, teasers and scripts.

    Links between pages are relative (`grenada`), so a server may put them under any folder.

        Path("page.html").write_text(html(pages()[0]), encoding="utf-8")
    """
    title = escape(page.title)
    return SHELL.substitute(
        title=title,
        name=page.name,
        description=escape(_teaser(page, 150)),
        data=_linked_data(page),
        menu="\n".join(f'<li><a href="{link}">{label}</a></li>' for label, link in MENU),
        related="\n".join(_teaser_card(other) for other in _related(page)),
        article=render(page.text),
    )


@cache
def _pages() -> tuple[Page, ...]:
    return tuple(_load(path) for path in sorted(FOLDER.glob("[0-9]*.md")))


def _load(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    title = text.partition("\n")[0].removeprefix("# ")
    return Page(name=path.stem.partition("-")[2], title=title, text=text)


def _related(page: Page) -> list[Page]:
    every = _pages()
    start = next((i for i, other in enumerate(every) if other.name == page.name), 0)
    return [every[(start + 31 * step) % len(every)] for step in range(1, RELATED + 1)]


def _teaser(page: Page, length: int) -> str:
    prose = (lines[0] for lines in _blocks(page.text) if _kind(lines) == "p")
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`]", r"\1", next(prose, page.title))
    return words if len(words) <= length else words[:length].rsplit(" ", 1)[0] + "…"


def _teaser_card(page: Page) -> str:
    return (
        f'<li class="card"><a href="{page.name}">{escape(page.title)}</a>'
        f"<small>{escape(_teaser(page, 60))}</small></li>"
    )


def _linked_data(page: Page) -> str:
    # A text must not be able to end the script element that it stands in.
    data = {"@context": "https://schema.org", "@type": "Article", "headline": page.title}
    return json.dumps(data).replace("<", "\\u003c")


# Markdown to HTML, for the subset that the documents use.


def render(markdown: str) -> str:
    """HTML of `markdown`: headings, paragraphs, lists, quotes, tables, code, links and emphasis.

    Everything else is text, and is escaped; blocks are set apart by blank lines.

        assert render("# Tom & *Jerry*") == "<h1>Tom &amp; <em>Jerry</em></h1>"
    """
    return "\n".join(
        _RENDER[kind](list(group)) for kind, group in groupby(_blocks(markdown), key=_kind)
    )


def _blocks(text: str) -> Iterator[list[str]]:
    """Runs of lines between blank lines; fenced code is one run, with its blank lines."""
    block: list[str] = []
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        if line.strip() or fenced:
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


_KINDS = (
    ("heading", re.compile(r"#{1,6} ")),
    ("code", re.compile(r"```")),
    ("table", re.compile(r"\|")),
    ("bullets", re.compile(r"- ")),
    ("numbers", re.compile(r"\d+\. ")),
    ("quote", re.compile(r"> ?")),
)


def _kind(block: list[str]) -> str:
    return next((kind for kind, start in _KINDS if start.match(block[0])), "p")


_MARKS = (
    (re.compile(r"\[([^\]]+)\]\(([^()\s]+)\)"), r'<a href="\2">\1</a>'),
    (re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*]+?)(?<=\S)\*(?![\w*])"), r"<em>\1</em>"),
)


def _inline(text: str) -> str:
    parts = re.split(r"`([^`]+)`", text)
    return "".join(
        f"<code>{escape(part)}</code>" if i % 2 else _marks(part) for i, part in enumerate(parts)
    )


def _marks(text: str) -> str:
    text = escape(text)
    for mark, replacement in _MARKS:
        text = mark.sub(replacement, text)
    return text


def _headings(blocks: list[list[str]]) -> str:
    return "\n".join(_heading(line) for block in blocks for line in block)


def _heading(line: str) -> str:
    marks, _, words = line.partition(" ")
    return f"<h{len(marks)}>{_inline(words)}</h{len(marks)}>"


def _paragraphs(blocks: list[list[str]]) -> str:
    return "\n".join(f"<p>{_inline(' '.join(block))}</p>" for block in blocks)


def _quote(blocks: list[list[str]]) -> str:
    bare = [[line.removeprefix(">").strip() for line in block] for block in blocks]
    return f"<blockquote>\n{_paragraphs(bare)}\n</blockquote>"


def _code(blocks: list[list[str]]) -> str:
    bodies = ("\n".join(line for line in block if not line.startswith("```")) for block in blocks)
    return "\n".join(f"<pre><code>{escape(body)}</code></pre>" for body in bodies)


def _bullets(blocks: list[list[str]]) -> str:
    items = (f"<li>{_inline(line[2:])}</li>" for block in blocks for line in block)
    return "<ul>\n" + "\n".join(items) + "\n</ul>"


def _numbers(blocks: list[list[str]]) -> str:
    lines = [line.partition(". ") for block in blocks for line in block]
    start = "" if lines[0][0] == "1" else f' start="{lines[0][0]}"'
    items = (f"<li>{_inline(words)}</li>" for _, _, words in lines)
    return f"<ol{start}>\n" + "\n".join(items) + "\n</ol>"


def _tables(blocks: list[list[str]]) -> str:
    return "\n".join(_table(block) for block in blocks)


def _table(block: list[str]) -> str:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block]
    head, *body = [row for i, row in enumerate(rows) if i != 1]
    lines = "\n".join(_row(row, "td") for row in body)
    return f"<table>\n<thead>{_row(head, 'th')}</thead>\n<tbody>\n{lines}\n</tbody>\n</table>"


def _row(cells: list[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{_inline(cell)}</{tag}>" for cell in cells) + "</tr>"


_RENDER: dict[str, Callable[[list[list[str]]], str]] = {
    "heading": _headings,
    "code": _code,
    "table": _tables,
    "bullets": _bullets,
    "numbers": _numbers,
    "quote": _quote,
    "p": _paragraphs,
}
