"""Two runs beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.made_run import MadeRun

from flowpool.report.compare import KINDS, comparison, matched
from flowpool.report.data import ItemData, RunData
from flowpool.report.reading import run_in_store
from flowpool.values import Status

DONE, FAILED = Status.DONE, Status.FAILED


def item(
    index: int, output: object, status: Status = DONE, hash: bytes = b"", **variables: str
) -> ItemData:
    return ItemData(index, variables, status, output, hash=hash)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunData, RunData]:
    folder: Path = tmp_path_factory.mktemp("two")
    MadeRun(300, failing=0.05).write(folder / "a.db")
    MadeRun(280, failing=0.05, seed=9).write(folder / "b.db", upset=0.2)
    return run_in_store(folder / "a.db"), run_in_store(folder / "b.db")


def test_items_are_matched_by_their_hash_and_then_by_their_variables() -> None:
    one = [item(0, 1, hash=b"a", text="x"), item(1, 2, hash=b"b", text="y"), item(2, 3, text="z")]
    other = [
        item(0, 3, text="y", hash=b"c"),
        item(1, 1, hash=b"a", text="other"),
        item(2, 9, text="w"),
    ]
    found = [
        (pair.one and pair.one.index, pair.other and pair.other.index)
        for pair in matched(one, other)
    ]
    assert found == [(0, 1), (1, 0), (2, None), (None, 2)]


def test_items_that_are_alike_are_matched_in_their_order() -> None:
    same = [item(n, n, hash=b"a") for n in range(3)]
    assert [(p.one.index, p.other.index) for p in matched(same, same[:2]) if p.one and p.other] == [
        (0, 0),
        (1, 1),
    ]


def test_two_runs_agree_as_far_as_their_answers_do(pair) -> None:
    payload, texts = comparison(pair[0], pair[1], 1_000_000, content=True)
    counts = dict(payload["kinds"])
    assert payload["matched"] == 280
    assert sum(counts.values()) == 300  # those of one run alone too, as the list below has them
    assert payload["alone"] == [20, 0]
    assert list(counts) == list(KINDS)
    assert counts["equal"] > counts["different"] > 10
    fields = {name: (equal, different) for name, equal, different in payload["fields"]}
    assert fields["team"][1] == 0
    assert fields["urgency"][1] == counts["different"]
    for number, words in enumerate(KINDS):
        if words not in ("equal", "neither is done"):
            assert sum(row[0] == number for row in payload["rows"]) == counts[words]
    assert texts.chunks


def test_without_content_no_text_goes_along(pair) -> None:
    payload, texts = comparison(pair[0], pair[1], 1_000_000, content=False)
    assert texts.chunks == []
    assert payload["fields"] == []
    assert "Sort this" not in payload["runs"][0]["runner"]
