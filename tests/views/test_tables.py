"""Tables of results, records, lanes and snapshots: short, and safe whatever a model or a row says."""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import pytest

from flowpool import Pool
from flowpool.pool import LaneView, Snapshot
from flowpool.record import CallCost, Record, TableList, short
from flowpool.results import Results
from flowpool.usage import Usage
from flowpool.values import Status

HOSTILE = "<script>alert('x')</script><img src=x onerror=\"alert(1)\">&amp;\x1b[31m\u202e"
ALLOWED = {"div", "table", "thead", "tbody", "tr", "th", "td", "b", "span"}


class Page(HTMLParser):
    """What a browser would make of it: its elements, their attributes, its rows and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def page(shown: Any) -> Page:
    return Page(shown._repr_html_())


def upper(text: str) -> str:
    if text == "bad":
        raise ValueError(HOSTILE)
    return text.upper()


def test_results_are_a_table_of_the_first_twenty_rows() -> None:
    results = Pool(upper, [{"text": f"row {n}"} for n in range(1200)]).run()
    seen = page(results)
    assert seen.tags.count("tr") == 21
    assert "ROW 19\n" in seen.text
    assert "ROW 20\n" not in seen.text
    assert "1,200 outputs\n" in seen.text
    assert "and 1,180 more\n" in seen.text


def test_the_fields_of_an_answer_are_columns_beside_the_items_own() -> None:
    @dataclass
    class Person:
        name: str
        text: str

    results = Pool(lambda text: Person(text.title(), "x"), [{"text": "ada"}]).run()
    assert page(results).text.split() == [
        "1",
        "outputs",
        "text",
        "name",
        "text_output",
        "0",
        "ada",
        "Ada",
        "x",
    ]


def test_what_failed_stands_in_the_table_with_its_error() -> None:
    results = Pool(upper, [{"text": "good"}, {"text": "bad"}]).run()
    assert "2 outputs, 1 of them missing" in page(results).text
    assert "StepFailed" in page(results).text
    assert "FAILED" in page(results.failed).text
    assert "DONE" in page(results.records).text


@pytest.mark.parametrize("hostile", [HOSTILE, {HOSTILE: HOSTILE}, [HOSTILE], HOSTILE.encode()])
def test_nothing_that_others_wrote_is_more_than_words(hostile: Any) -> None:
    results = Pool(lambda row: hostile, [{HOSTILE: HOSTILE, "row": hostile}, {"row": "x"}]).run()
    failed = Pool(upper, [{"text": "bad"}]).run()
    lane = LaneView(HOSTILE, "outage", {}, {}, None, 0.0, 0, 1, 0, 0, HOSTILE, belief=HOSTILE)
    lanes = TableList([lane])
    now = Snapshot(3, lanes=(lane,), failure=failed.records[0], stopped=HOSTILE)
    stopped = Results(results.records, stopped=HOSTILE)
    pool = Pool(upper, [{"text": HOSTILE}, {"text": "bad"}], name=HOSTILE)
    pool.run()
    several: tuple[Any, ...] = (
        results,
        results.records[0],
        failed.failed[0],
        pool,
        results.summary(),
        stopped.summary(),
        results.records,
        failed,
        failed.failed,
        lanes,
        now,
        stopped,
    )
    for shown in several:
        html = shown._repr_html_()
        seen = Page(html)
        assert set(seen.tags) <= ALLOWED
        assert seen.attributes <= {"style"}
        assert "\x1b" not in html
        assert "\u202e" not in html


def test_long_values_are_cut() -> None:
    results = Pool(lambda n: "x" * 10**6, [{"n": n} for n in range(30)]).run()
    assert len(results._repr_html_()) < 30_000
    assert len(repr(results)) < 10_000
    assert repr(results).endswith(", ... 10 more]")
    assert len(repr(results.records)) < 10_000


def test_a_value_that_cant_be_shown_costs_no_table() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "Odd" in page(Pool(lambda n: Odd(), [{"n": 1}]).run()).text
    assert "Odd" in short(Odd())


def test_a_record_is_a_small_table_with_its_steps_and_calls(simulate: Any) -> None:
    sim = simulate()
    [record] = sim.run(sim.pool(items=[{"text": "hello", "status": "mine"}])).records
    seen = page(record)
    assert "items[0]\n" in seen.text
    assert "hello\n" in seen.text
    assert "mine\n" in seen.text
    assert "DONE\n" in seen.text
    assert "calls" not in seen.text
    steps = [
        {"step": 0, "kind": "skill", "name": "ask", "input": {}, "output": "yes"},
        {"step": 1, "kind": "tool", "name": "parse", "input": {}, "output": None, "error": "no"},
    ]
    calls = (CallCost("openai/gpt-5-mini", Usage(1000, 10)), CallCost("x/y", Usage(5, 1)))
    whole = Record(7, HOSTILE, Status.FAILED, None, ValueError("no"), steps=steps, bills=calls)
    seen = page(whole)
    assert "2 steps\n" in seen.text
    assert "parse\ntool\n" in seen.text
    assert "2 calls\n" in seen.text
    assert "x/y\n5\n1\n" in seen.text
    assert "ValueError: no\n" in seen.text


def test_a_record_of_anything_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")
    record = Record(0, {f"v{n}": "x" * 10**5 for n in range(50)}, Status.DONE, numpy.zeros(10**5))
    html = record._repr_html_()
    assert len(html) < 30_000
    assert "array([" in html
    assert len(repr(record)) < 1000


def test_a_pool_is_its_name_and_its_progress() -> None:
    pool = Pool(upper, [{"text": "a"}], name="jobs")
    assert "jobs\n" in page(pool).text
    pool.run()
    assert "1 done in " in page(pool).text
    assert repr(pool) == "Pool('jobs': 1 done)"


def test_a_hundred_thousand_results_are_shown_at_once() -> None:
    results = Results([Record(n, {"text": "x" * 500}, Status.DONE, "y") for n in range(100_000)])
    began = time.process_time()
    several: tuple[Any, ...] = results, results.records, results.failed, results.summary()
    for shown in several:
        assert len(shown._repr_html_()) < 60_000
        assert len(repr(shown)) < 20_000
    assert time.process_time() - began < 3.0


def test_lanes_and_a_snapshot_are_shown_too() -> None:
    pool = Pool(upper, [{"text": "a"}], name="jobs")
    pool.run()
    assert "upper" in page(pool.lanes).text
    assert "1 of 1" in page(pool.snapshot).text
    assert repr(pool.snapshot).startswith("<Snapshot: 1 of 1 ended, 0 in progress, 0 failed")


def test_few_outputs_look_as_a_list_does() -> None:
    results = Pool(upper, [{"text": "a"}, {"text": "b"}]).run()
    assert repr(results) == str(results) == "['A', 'B']"
    assert results == ["A", "B"]
    assert repr(results.records[0]) == "<Record 0: DONE, 'A'>"
    assert (
        repr(Record(3, {}, Status.FAILED, error=ValueError("no")))
        == "<Record 3: FAILED, ValueError: no>"
    )
    assert pickle.loads(pickle.dumps(results)) == results
