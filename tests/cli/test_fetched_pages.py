"""What `flowpool map --fetch` makes of pages that have little to say, and of a missing extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowpool.simulator import SimServer

ASK = ("map", "--fetch", "--allow-private", "Sum up: {page}", "-m", "gpt-5-mini", "-i", "urls.csv")
APP = "<script src='/app.js'></script>"
NOTICE = f"<p>Loading… We use cookies to improve your experience.</p>{APP}"
MENU = "<nav><ul>" + "<li><a href='/x'>A department of ours</a>" * 40 + "</ul></nav>"


HIDES = """
from importlib.machinery import PathFinder

found = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name == "trafilatura" else found(name, *more)
"""


def write_pages(folder: Path, pages: dict[str, str]) -> Path:
    folder.mkdir()
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(f"<html><body>{page}</body></html>", encoding="utf-8")
    return folder


def test_a_notice_fails_its_row_unpaid_and_a_whole_page_is_told(
    flowpool: Any, sim: Any, tmp_path: Path
) -> None:
    pages = {"notice": NOTICE, "short": f"<p>Closed.</p>{APP}", "menu": f"{MENU}<p>Closed.</p>"}
    with SimServer(pages_dir=write_pages(tmp_path / "site", pages)) as site:
        urls = "".join(f"{site.url}/pages/{name}.html\n" for name in pages)
        flowpool.write("urls.csv", f"url\n{urls}")
        code, _, err = flowpool(*ASK, "-o", "out.csv", "--on-error", "collect")
    assert code == 1
    assert "no text in it but a loading notice: its scripts write it in a browser" in err
    assert sim.ledger()["requests"] == 2
    assert err.count("no main content of 300 characters or more: the whole page is taken") == 1
    assert "/pages/menu.html: no main content" in err


def test_without_the_extra_it_is_refused_before_a_page_is_fetched(flowpool: Any, sim: Any) -> None:
    # As if trafilatura weren't installed: the command's import path finds nothing of that name.
    (flowpool.folder / "hidden").mkdir()
    flowpool.write("hidden/sitecustomize.py", HIDES)
    flowpool.env["PYTHONPATH"] = (
        f"{flowpool.folder / 'hidden'}:{flowpool.env.get('PYTHONPATH', '')}"
    )
    flowpool.write("urls.csv", "url\nhttp://127.0.0.1:9/a\n")
    steps = "steps:\n  - tool: fetch\n    key: page\n  - tool: to_markdown\n    key: text\n"
    flowpool.write("pages.yaml", f"{steps}    inputs: {{source: page}}\n")
    of_a_file = ("run", "pages.yaml", "-i", "urls.csv")
    for words in (ASK, (*ASK, "--dry-run"), of_a_file, (*of_a_file, "--dry-run")):
        code, _, err = flowpool(*words)
        assert code == 2, (words, err)
        assert "pip install 'flowpool[pages]'" in err
        assert err.count("\n") == 1
    assert sim.ledger()["requests"] == 0
