"""How well main content is found: `python -m bench pages FOLDER`, ours beside trafilatura's and the whole page.

FOLDER (or the variable PAGES) holds clones of the sets, of which nothing is in this repository:

    git clone https://github.com/scrapinghub/article-extraction-benchmark  # 181 pages with their articles' text
    git clone https://github.com/adbar/trafilatura                         # 990 with words in and out of the text
    git clone https://github.com/mozilla/readability                       # 130 with what Firefox's reader shows

Each set is scored as its makers do: by runs of four words, averaged over pages, or by the words that should be in
the text and those that shouldn't. A page is lost if next to none of its article is found. The title that we put
above a text isn't counted, as the sets leave it out.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean

from markdown_it import MarkdownIt

from flowpool.errors import InvalidInput
from flowpool.tools import to_markdown

# Pages lost of all: the most that may be.
MOST_LOST = 2 / 490
# The share of an article's words of which less is next to none.
_NEXT_TO_NONE = 0.02
_MARKDOWN = MarkdownIt("commonmark").enable("table").enable("strikethrough")
# fmt: off
_INLINE = frozenset((
    "a", "abbr", "b", "big", "cite", "code", "del", "em", "font", "i", "ins", "kbd", "mark", "q", "s", "small",
    "span", "strong", "sub", "sup", "time", "tt", "u", "var",
))
# fmt: on


@dataclass(frozen=True)
class Page:
    """A page of a set, with its article, or with words that are in it and out of it."""

    name: str
    html: bytes
    article: str = ""
    inside: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()


@dataclass
class Score:
    """What one way of extraction does on one set."""

    precisions: list[float] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)
    found: int = 0
    wrong: int = 0
    missed: int = 0
    lost: list[str] = field(default_factory=list)

    def add(self, page: Page, text: str) -> None:
        if page.inside:
            seen = _squeezed(text)
            found = sum(_squeezed(words) in seen for words in page.inside)
            self.found += found
            self.missed += len(page.inside) - found
            self.wrong += sum(_squeezed(words) in seen for words in page.outside)
            lost = not found
        else:
            true, got = shingles(page.article), shingles(text)
            both = (true & got).total()
            if got:
                self.precisions.append(both / got.total())
            if true:
                self.recalls.append(both / true.total())
            lost = both < _NEXT_TO_NONE * true.total()
        if lost:
            self.lost.append(page.name)

    def figures(self) -> tuple[float, float, float]:
        """F1, precision and recall."""
        if self.recalls:
            precision, recall = mean(self.precisions or [0.0]), mean(self.recalls)
        else:
            precision = self.found / max(1, self.found + self.wrong)
            recall = self.found / max(1, self.found + self.missed)
        return 2 * precision * recall / max(1e-9, precision + recall), precision, recall


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """The runs of four words in `text`."""
    words = re.findall(r"\w+", text.replace("\u00ad", ""))
    return Counter(tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3)) if words)


def plain(markdown: str) -> str:
    """The words of a markdown text, without its title and the addresses of its links."""
    parts: list[str] = []
    tokens = _MARKDOWN.parse(markdown)
    begin = 3 if tokens and tokens[0].tag == "h1" else 0
    for token in tokens[begin:]:
        if token.type in ("fence", "code_block"):
            parts.append(token.content)
        for child in token.children or ():
            if child.type in ("text", "code_inline"):
                parts.append(child.content)
            elif child.type in ("softbreak", "hardbreak"):
                parts.append("\n")
        if token.type == "inline":
            parts.append("\n")
    return "".join(parts)


def articles(folder: Path) -> Iterator[Page]:
    truth = json.loads((folder / "ground-truth.json").read_text("utf-8"))
    for name, item in truth.items():
        html = gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes())
        yield Page(name, html, article=item["articleBody"])


def words_in_and_out(folder: Path) -> Iterator[Page]:
    tests = folder / "tests"
    truth = json.loads((tests / "evaldata.json").read_text("utf-8"))
    for url, item in truth.items():
        paths = [tests / kind / item["file"] for kind in ("cache", "eval")]
        html = next(path for path in paths if path.is_file()).read_bytes()
        yield Page(url, html, inside=tuple(item["with"]), outside=tuple(item["without"]))


def reader_views(folder: Path) -> Iterator[Page]:
    from lxml.html import document_fromstring

    for path in sorted((folder / "test" / "test-pages").iterdir()):
        tree = document_fromstring((path / "expected.html").read_bytes().decode("utf-8"))
        for element in tree.iter("*"):
            if element.tag not in _INLINE:
                element.tail = "\n" + (element.tail or "")
        yield Page(path.name, (path / "source.html").read_bytes(), article=tree.text_content())


SETS: dict[str, Callable[[Path], Iterator[Page]]] = {
    "article-extraction-benchmark": articles,
    "trafilatura": words_in_and_out,
    "readability": reader_views,
}


def ours(html: bytes, main_content: bool = True) -> str:
    try:
        page = {"content": html, "content_type": "text/html"}
        return plain(to_markdown(page, main_content=main_content))
    except InvalidInput:
        return ""


def theirs(html: bytes) -> str:
    from trafilatura import extract

    return extract(html, include_comments=False) or ""


WAYS: dict[str, Callable[[bytes], str]] = {
    "flowpool": ours,
    "trafilatura": theirs,
    "whole page": partial(ours, main_content=False),
}


def main(*arguments: str) -> None:
    """Prints the table; ends with an error where more pages are lost than may be."""
    root = Path(arguments[0] if arguments else os.environ.get("PAGES") or "pages")
    missing = [name for name in SETS if not (root / name).is_dir()]
    if missing:
        sys.exit(f"{root}: no {missing[0]} in it: {(__doc__ or '').partition(chr(10))[2].strip()}")
    logging.disable(logging.CRITICAL)
    print("| set | pages | way | F1 | precision | recall | lost | ms a page |")
    print("|---|---|---|---|---|---|---|---|")
    pages = 0
    lost: Counter[str] = Counter()
    for name, read in SETS.items():
        known = list(read(root / name))
        pages += len(known)
        for way, extract in WAYS.items():
            score, took = _score(known, extract)
            lost[way] += len(score.lost)
            figures = " | ".join(f"{figure:.3f}" for figure in score.figures())
            row = f"| {name} | {len(known)} | {way} | {figures} | {len(score.lost)} | {took:.0f} |"
            print(row, flush=True)
            if way == "flowpool":
                print(*(f"  lost: {page}" for page in score.lost), sep="\n", file=sys.stderr)
    shares = ", ".join(f"{way} {lost[way]} ({490 * lost[way] / pages:.1f} of 490)" for way in WAYS)
    print(f"\nLost of {pages} pages: {shares}.")
    if lost["flowpool"] > MOST_LOST * pages:
        sys.exit("too many pages are lost: 2 of 490 may be")


def _score(pages: list[Page], extract: Callable[[bytes], str]) -> tuple[Score, float]:
    """The score, and milliseconds of CPU a page."""
    score, took = Score(), 0.0
    for page in pages:
        start = time.process_time()
        text = extract(page.html)
        took += time.process_time() - start
        score.add(page, text)
    return score, 1000 * took / max(1, len(pages))


def _squeezed(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text.replace("\u00ad", "")).split())


if __name__ == "__main__":
    main(*sys.argv[1:])
