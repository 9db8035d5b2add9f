"""`flowpool report` of real stores."""

from __future__ import annotations

import os
import shutil
from typing import Any

from tests.report.test_page import unpacked


def test_a_report_goes_beside_its_store_and_says_where(stored: Any) -> None:
    code, out, err = stored("report", "run.db")
    assert (code, out) == (0, "")
    assert "4 items, 0.1 MB -> run.html" in err
    parts = unpacked((stored.folder / "run.html").read_bytes())
    assert parts["data"]["counts"]["done"] == 3
    assert parts["texts-0"][0][1] == "One."


def test_a_report_doesnt_overwrite_unless_forced(stored: Any) -> None:
    stored.write("mine.html", "mine")
    code, _, err = stored("report", "run.db", "-o", "mine.html")
    assert code == 2
    assert "mine.html exists: name another file, or say --force." in err
    assert stored("report", "run.db", "-o", "mine.html", "--force")[0] == 0


def test_two_stores_are_put_beside_each_other(stored: Any) -> None:
    assert stored("report", "run.db", "run.db", "-o", "two.html")[0] == 0
    data = unpacked((stored.folder / "two.html").read_bytes())["data"]
    assert dict(data["kinds"])["equal"] == 3
    assert [run["source"] for run in data["runs"]] == ["run.db", "run.db"]


def test_more_than_two_are_refused(stored: Any) -> None:
    code, _, err = stored("report", "run.db", "run.db", "run.db")
    assert code == 2
    assert "Name one run, or two" in err


def test_a_report_without_content_has_none(stored: Any) -> None:
    assert stored("report", "run.db", "--no-content", "-o", "bare.html")[0] == 0
    parts = str(unpacked((stored.folder / "bare.html").read_bytes()))
    assert "One." not in parts
    assert "Repeat this" not in parts


def test_a_run_that_isnt_there_is_named(stored: Any) -> None:
    code, _, err = stored("report", "run.db", "--run", "other")
    assert code == 2
    assert "no run 'other'" in err


def test_a_report_never_overwrites_a_store_or_what_is_no_page(stored: Any) -> None:
    shutil.copy(stored.folder / "run.db", stored.folder / "two.html")
    stored.write("notes.txt", "mine")
    os.link(stored.folder / "rows.jsonl", stored.folder / "rows.html")
    os.link(stored.folder / "out.jsonl", stored.folder / "out.html")
    before = {one: one.read_bytes() for one in stored.folder.iterdir() if one.is_file()}
    for name, words in (
        ("run.db", "run.db is the run's store, input, output or log: name another file"),
        ("rows.html", "rows.html is the run's store, input"),
        ("out.html", "out.html is the run's store, input"),
        ("two.html", "two.html is a store or another database: name another file"),
        ("notes.txt", "notes.txt holds something else: name another file, as with .html"),
        ("x" * 260 + ".html", "the name is too long: name another file"),
    ):
        for command in (("report", "run.db"), ("report", "run.db", "run.db")):
            code, _, err = stored(*command, "-o", name, "--force")
            assert code == 2
            assert words in err
            assert "Traceback" not in err
    assert {one: one.read_bytes() for one in before} == before


def test_a_page_of_any_name_may_be_replaced_and_leaves_nothing_beside_it(stored: Any) -> None:
    os.symlink("elsewhere", stored.folder / "page.part")
    for force in ((), ("--force",)):
        assert stored("report", "run.db", "-o", "page", *force)[0] == 0
    assert not (stored.folder / "elsewhere").exists()
    assert [one.name for one in stored.folder.glob(".page*")] == []
