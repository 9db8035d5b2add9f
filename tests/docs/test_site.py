"""The documentation site: it builds, every link leads somewhere, and no page asks anything of another host."""

from __future__ import annotations

import html.parser
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tests.docs.pages import PAGES, PROJECT, name_of

import flowpool
from flowpool.store.schema import MIGRATIONS

# What makes a browser ask, as soon as a page is shown.
ASKING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
NOT_ASKING = {"canonical", "next", "prev"}
_CSS_ADDRESS = re.compile(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//")


class Page(html.parser.HTMLParser):
    """A built page's links, anchors, and addresses that it asks for."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.asked: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        asks = found.get(ASKING.get(tag, ""), "")
        if asks and found.get("rel") not in NOT_ASKING:
            self.asked.append(asks)


@pytest.fixture(scope="module")
def site() -> Path:
    done = subprocess.run(
        [sys.executable, PROJECT / "docs" / "make_site.py"], capture_output=True, text=True
    )
    assert not done.returncode, done.stdout + done.stderr
    return PROJECT / "build" / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def test_every_page_is_built_and_in_the_navigation(pages: dict[Path, Page], site: Path) -> None:
    config = tomllib.loads((PROJECT / "zensical.toml").read_text())["project"]
    listed = set(navigation(config["nav"]))
    written = {name_of(page).removeprefix("docs/") for page in PAGES} - {"README.md"}
    made = {f"reference/{path.name}" for path in (PROJECT / "build/docs/reference").iterdir()}
    assert listed == written | made
    built = {path.relative_to(site).with_suffix(".md").as_posix() for path in pages}
    assert built == listed


def navigation(entries: list) -> Iterator[str]:
    for entry in entries:
        (target,) = entry.values()
        if isinstance(target, str):
            yield target
        else:
            yield from navigation(target)


def test_no_page_asks_anything_of_another_host(pages: dict[Path, Page], site: Path) -> None:
    outside = {
        path.name: address
        for path, page in pages.items()
        for address in page.asked
        if urlsplit(address).netloc
    }
    assert not outside
    assert not [p.name for p in site.rglob("*.css") if _CSS_ADDRESS.search(p.read_text())]


def test_every_link_of_the_site_leads_somewhere(pages: dict[Path, Page]) -> None:
    nowhere = [
        f"{path.name}: {link}"
        for path, page in pages.items()
        for link in page.links
        if not leads_somewhere(path, link, pages)
    ]
    assert not nowhere


def leads_somewhere(path: Path, link: str, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if target not in pages:
        return target.is_file()
    return not parts.fragment or unquote(parts.fragment) in pages[target].anchors


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_to_files_of_the_project_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target and not target.startswith(
            ("mailto:", "reference/", "../reference/")
        ):
            assert (page.parent / target).exists(), target


def test_the_reference_has_every_public_name_and_what_is_said_of_it(site: Path) -> None:
    text = "\n".join(
        path.read_text() for path in sorted((PROJECT / "build/docs/reference").glob("*.md"))
    )
    for name in flowpool.__all__:
        assert name == "__version__" or f"## `{name}`" in text, name
    assert "- `deadline`: seconds for the whole run" in text
    assert "```pycon\n>>> pool = Pool(" in text
    assert "### `Pool.stream`" in text
    assert "RateLimited" in text
    assert not re.findall(r"^#+ `(?:\w+\.)?_.*", text, re.MULTILINE)


def test_the_store_page_names_each_table_and_column() -> None:
    page = (PROJECT / "docs" / "store.md").read_text()
    tables = [
        (statement.split()[2], re.findall(r"^ +([a-z_]+) [A-Z]", statement, re.MULTILINE))
        for migration in MIGRATIONS
        for statement in migration
        if statement.startswith("CREATE TABLE")
    ]
    names = ["runs", "items", "results", "steps", "attempts", "events"]
    assert [name for name, _ in tables] == names
    for name, columns in tables:
        section = page.partition(f"### {name}\n")[2].partition("\n### ")[0]
        missing = [column for column in columns if f"`{column}`" not in section]
        assert columns
        assert not missing, f"{name}: {missing}"
