"""`flowpool report` of real stores."""

from __future__ import annotations

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
