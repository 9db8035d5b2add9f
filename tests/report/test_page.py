"""The page as a file: what it holds, where it goes, and what it may do."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from bench.made_run import BEGAN, MadeRun

from flowpool import Pool
from flowpool.errors import InvalidInput
from flowpool.report.page import run_page, write_report
from flowpool.report.reading import run_in_store
from flowpool.store.file import open_store
from flowpool.store.rows import AttemptRow, Batch, EventRow
from flowpool.values import Attempt

_DATA = re.compile(rb'<script type="application/gzip" id="([a-z0-9-]+)">([^<]*)</script>')


def unpacked(page: bytes) -> dict[str, Any]:
    """What the page has of the run, by the names of its parts."""
    return {
        name.decode(): json.loads(gzip.decompress(base64.b64decode(data)))
        for name, data in _DATA.findall(page)
    }


def test_a_page_asks_for_nothing_and_runs_only_its_own_scripts(made: Path) -> None:
    page = run_page(run_in_store(made)).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; script-src 'nonce-")
    assert "unsafe" not in policy
    nonces = set(re.findall(r'nonce="([^"]+)"', page))
    assert len(nonces) == 1
    assert nonces.pop() in policy
    assert run_page(run_in_store(made)).decode() != page
    assert not re.findall(r'(?:src|href)="', page)
    own = page.replace(page[page.index("/*! https") : page.index('"use strict";\n\nconst F')], "")
    assert "innerHTML" not in own


def test_columns_give_back_what_the_store_has(made: Path) -> None:
    run = run_in_store(made)
    data = unpacked(run_page(run))["data"]
    assert data["items"]["status"] == "".join(str(int(item.status)) for item in run.items)
    at, starts = 0, []
    for delta in data["attempts"]["started"]:
        at += delta
        starts.append(at)
    assert starts == [round((one.started - (run.began or 0.0)) * 1000) for one in run.attempts]
    assert data["changes"] == [[data["changes"][0][0], "max_flows", "48", "20"], data["changes"][1]]
    assert data["slowest"][0] == run.slowest[0].index


def test_a_run_that_was_begun_again_has_two_sessions(tmp_path: Path) -> None:
    store = tmp_path / "run.db"
    MadeRun(50, refused=0.0).write(store)
    first = unpacked(run_page(run_in_store(store)))["data"]["sessions"]
    assert len(first) == 1
    later = BEGAN + 7200.0
    attempts = [AttemptRow(1, Attempt("1.result", "openai/m", at, 2.0)) for at in (0.1, 5.0)]
    events = [EventRow(later, "begin", b"{}")]
    with open_store(store) as opened:
        opened.write(1, Batch(epoch=later, attempts=attempts, events=events))
    sessions = unpacked(run_page(run_in_store(store)))["data"]["sessions"]
    zero = BEGAN - (run_in_store(store).began or 0.0)
    assert sessions == [first[0], [round((7200.0 + zero) * 1000), round((7207.0 + zero) * 1000)]]


def test_a_page_without_content_holds_none(made: Path) -> None:
    run = run_in_store(made)
    parts = unpacked(run_page(run, content=False))
    words = json.dumps(parts)
    assert not [item for item in run.items if item.variables["ticket"][:30] in words]
    assert "Sort this ticket" not in words
    assert "urgency" not in words
    assert "tickets" in words


def test_a_name_is_no_markup(tmp_path: Path) -> None:
    MadeRun(3).write(tmp_path / "run.db", "<script>alert(1)</script>\u202e")
    page = run_page(run_in_store(tmp_path / "run.db"))
    assert b"<script>alert" not in page
    assert b"<title>&lt;script&gt;alert(1)&lt;/script&gt;\\u202e</title>" in page


def test_a_file_is_not_overwritten_unless_that_is_said(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")
    run = run_in_store(made)
    with pytest.raises(InvalidInput, match=r"report\.html exists"):
        write_report(path, [run])
    assert path.read_text() == "mine"
    assert write_report(path, [run], overwrite=True) == path
    assert path.read_bytes().startswith(b"<!doctype html>")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_and_a_path_that_cant_be_written_are_said(made: Path, tmp_path: Path) -> None:
    run = run_in_store(made)
    with pytest.raises(InvalidInput, match="is a folder"):
        write_report(tmp_path, [run])
    with pytest.raises(InvalidInput, match="there is no folder"):
        write_report(tmp_path / "none" / "report.html", [run])


def test_a_pool_writes_its_report_with_and_without_a_store(tmp_path: Path) -> None:
    for store in (None, tmp_path / "run.db"):
        pool = Pool(lambda text: text.upper(), [{"text": "one"}, {"text": "two"}], store=store)
        pool.run()
        data = unpacked(pool.report(tmp_path / "report.html", overwrite=True).read_bytes())
        assert data["data"]["counts"]["done"] == 2
        assert data["data"]["hasAttempts"] is (store is not None)
        assert data["texts-0"][1][:2] == [[["text", "two"]], "TWO"]


def test_a_report_is_written_while_the_run_goes_on(simulate, tmp_path: Path) -> None:
    sim = simulate()

    async def main() -> None:
        async for record in pool.astream():
            if record.index == 2:
                pool.report(tmp_path / "now.html")

    pool = sim.pool(items=20, max_flows=2)
    sim.run(main())
    data = unpacked((tmp_path / "now.html").read_bytes())["data"]
    assert 3 <= data["counts"]["done"] < 20


def test_a_pools_report_and_trace_never_overwrite_its_store_input_or_log(tmp_path: Path) -> None:
    rows, store, log = tmp_path / "rows.jsonl", tmp_path / "q.db", tmp_path / "log.html"
    rows.write_text('{"text": "a"}\n')
    pool = Pool(_upper, rows, store=store, log=log)
    pool.write(tmp_path / "out.jsonl")
    Pool(_upper, rows, store=tmp_path / "q2.db").run()
    for name in ("q.db", "q2.db", "rows.jsonl", "out.jsonl", "log.html"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(InvalidInput, match="name another file"):
            pool.report(tmp_path / name, overwrite=True)
        assert (tmp_path / name).read_bytes() == before
    os.link(rows, tmp_path / "rows.json")
    with pytest.raises(InvalidInput, match="name another file"):
        pool.trace(tmp_path / "rows.json", overwrite=True)
    for overwrite in (False, True):
        pool.report(tmp_path / "r.html", overwrite=overwrite)


def _upper(text: str) -> str:
    return text.upper()
