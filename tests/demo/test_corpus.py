"""The demo's documents and the web pages around them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from flowpool.demo.corpus import FOLDER, html, pages, render, texts
from flowpool.demo.site import MENU
from flowpool.tools import to_markdown

VOID = {"meta", "link", "input", "br", "hr", "img"}
PAGES = pages()


class Outline(HTMLParser):
    """Checks that tags nest, and keeps each element's text by its tag."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)
            self.found.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.found[tag][-1] += data


def outline(source: str) -> Outline:
    parsed = Outline()
    parsed.feed(source)
    parsed.close()
    assert parsed.open == []
    return parsed


def words(text: str) -> str:
    """The bare words of some Markdown, without the addresses of its links."""
    return " ".join(re.findall(r"\w+", re.sub(r"\]\([^)]*\)", "", text)))


def test_there_are_200_documents_and_no_two_are_alike() -> None:
    assert len(PAGES) >= 200
    assert len({page.name for page in PAGES}) == len(PAGES)
    assert len({page.title for page in PAGES}) == len(PAGES)
    openings = {words(page.text.partition("\n")[2])[:200] for page in PAGES}
    assert len(openings) == len(PAGES)


def test_each_document_has_a_title_and_1500_to_6000_bytes() -> None:
    for page in PAGES:
        assert 1500 <= len(page.text.encode()) <= 6000, page.name
        assert page.text.startswith(f"# {page.title}\n\n")
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", page.name)


def test_all_documents_together_are_under_700_kb() -> None:
    assert sum(len(page.text.encode()) for page in PAGES) < 700_000


def test_the_documents_are_clean_text() -> None:
    for page in PAGES:
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u00a0\ufffd]", page.text), page.name
        assert not re.search(r"&(?:nbsp|amp|lt|gt|quot);", page.text), page.name
        assert page.text.count("```") % 2 == 0, page.name


def test_the_licence_names_every_source() -> None:
    licence = (FOLDER / "LICENSE.md").read_text(encoding="utf-8")
    for source in ("World Factbook", "state of the Union", "Jargon File", "SQLite"):
        assert source in licence


def test_texts_gives_the_first_n() -> None:
    assert texts(3) == [page.text for page in PAGES[:3]]
    assert len(texts()) == len(PAGES)
    assert texts(0) == []


def test_the_first_documents_already_mix_the_subjects() -> None:
    first = "\n".join(texts(10))
    for sign in ("At a glance", "state of the Union", "SQLite"):
        assert sign in first


def test_pages_gives_a_list_of_ones_own() -> None:
    pages().clear()
    assert len(pages()) == len(PAGES)


@pytest.mark.parametrize("page", PAGES[::7], ids=lambda page: page.name)
def test_a_web_page_nests_its_tags_and_holds_menu_title_and_text(page) -> None:
    source = html(page)
    parsed = outline(source)
    assert parsed.found["title"] == [f"{page.title} | The Reading Room"]
    assert parsed.found["h1"] == [re.sub(r"[*`]", "", page.title)]
    for label, _ in MENU:
        assert label in source
    assert len(MENU) >= 12
    assert "cookies" in source
    assert source.count('class="card"') == 6
    assert page.name not in re.findall(r'class="card"><a href="([^"]+)"', source)
    assert json.loads(parsed.found["script"][0])["headline"] == page.title


def test_related_links_lead_to_other_documents() -> None:
    names = {page.name for page in PAGES}
    for page in PAGES:
        linked = re.findall(r'class="card"><a href="([^"]+)"', html(page))
        assert len(set(linked)) == 6
        assert set(linked) <= names - {page.name}


@pytest.mark.parametrize("page", PAGES[::17], ids=lambda page: page.name)
def test_extraction_keeps_the_text_and_drops_the_menus(page) -> None:
    extracted = to_markdown(html(page))
    for noise in ("Podcasts", "cookies", "Subscribe", "Privacy policy", "localStorage"):
        assert noise not in extracted
    prose = [line for line in page.text.splitlines() if re.match(r"[A-Z]", line)]
    kept = words(extracted)
    assert sum(words(line)[:60] in kept for line in prose) >= 0.8 * len(prose)


def test_rendering_covers_each_kind_of_block() -> None:
    source = """# One & *two*

Text with `a < b`, **bold** and [a link](https://example.org/x?a=1&b=2).

- first
- second

3. third

4. fourth

> said

| a | b |
|---|---|
| 1 | 2 |

```
if a < b:

    *no* emphasis
```"""
    assert render(source) == (
        "<h1>One &amp; <em>two</em></h1>\n"
        "<p>Text with <code>a &lt; b</code>, <strong>bold</strong> and "
        '<a href="https://example.org/x?a=1&amp;b=2">a link</a>.</p>\n'
        "<ul>\n<li>first</li>\n<li>second</li>\n</ul>\n"
        '<ol start="3">\n<li>third</li>\n<li>fourth</li>\n</ol>\n'
        "<blockquote>\n<p>said</p>\n</blockquote>\n"
        "<table>\n<thead><tr><th>a</th><th>b</th></tr></thead>\n<tbody>\n"
        "<tr><td>1</td><td>2</td></tr>\n</tbody>\n</table>\n"
        "<pre><code>if a &lt; b:\n\n    *no* emphasis</code></pre>"
    )


def test_rendering_escapes_markup_in_a_text() -> None:
    assert render("<script>alert(1)</script>") == ("<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>")
    assert render("2 * 3 * 4 and snake_case") == "<p>2 * 3 * 4 and snake_case</p>"
