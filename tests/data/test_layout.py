"""Which columns a result has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.data.written import ITEMS, pool, record

from flowpool import Chain, Pool, Record, Results, Status, Usage, read
from flowpool.errors import BadRequest, InvalidInput


def test_an_answer_with_fields_is_a_column_a_field(tmp_path: Path) -> None:
    rows = pool(ITEMS[:2], lambda n: {"label": "x", "score": n / 2}).run().to_arrow()
    assert rows.column_names == ["text", "n", "label", "score"]
    assert rows.column("score").to_pylist() == [0.0, 0.5]


def test_an_answer_without_fields_is_called_as_the_chains_last_key() -> None:
    chain = Chain([(lambda n: n + 1, "more"), (lambda more: f"#{more}", "tag")])
    assert pool([{"n": 1}], chain).run().to_arrow().to_pylist() == [{"n": 1, "tag": "#2"}]
    assert pool([{"n": 1}], chain).run().to_arrow(output="t").column_names == ["n", "t"]


def test_a_column_that_the_input_has_too_gets_another_name_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = pool([{"n": 1, "output": "mine"}]).run().to_arrow()
    assert found.to_pylist() == [{"n": 1, "output": "mine", "output_output": 10}]
    assert "'output' stands in the column 'output_output'" in caplog.text


TAKEN = {"n": 1, "_status": "mine", "_cost": "3 EUR"}


@pytest.mark.parametrize("items", [[TAKEN], [TAKEN, {"n": 1}], [{"n": 1}, TAKEN]])
def test_what_is_told_of_the_run_replaces_no_column_of_the_input(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, items: list[dict[str, Any]]
) -> None:
    results = pool(items).run()
    at = items.index(TAKEN)
    wanted = TAKEN | {"_status_output": "done", "_cost_output": None}
    results.write(tmp_path / "rows.jsonl", meta=True)
    results.write(tmp_path / "rows.parquet", meta=True)
    results.write(tmp_path / "rows.csv", meta=True)
    for rows in (
        results.to_arrow(meta=True).to_pylist(),
        results.to_polars(meta=True).to_dicts(),
        results.to_pandas(meta=True).to_dict("records"),
        list(read(tmp_path / "rows.jsonl")),
        list(read(tmp_path / "rows.parquet")),
        [row | {"n": 1, "_cost_output": None} for row in read(tmp_path / "rows.csv")],
    ):
        assert {name: rows[at][name] for name in wanted} == wanted
        assert rows[at]["_attempts"] in (1, "1")
    told = (
        "The run's '_status' stands in the column '_status_output': the input has a '_status' too."
    )
    assert told in caplog.text


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_keeps_its_columns_beside_what_is_told_of_the_run(
    caplog: pytest.LogCaptureFixture, library: str
) -> None:
    frame = pytest.importorskip(library).DataFrame([TAKEN])
    back = pool(frame).run().frame(meta=["_status"])
    assert list(back.columns) == [*TAKEN, "output", "_status_output"]
    assert back["_status"].to_list() == ["mine"]
    assert back["_status_output"].to_list() == ["done"]
    assert "'_status' stands in the column '_status_output'" in caplog.text


def test_an_answer_s_field_and_the_run_s_column_never_share_a_name() -> None:
    def both(n: int) -> dict[str, str]:
        return {"_status": "a", "_status_output": "b"}

    (row,) = pool([{"n": 1, "_status": "mine"}], both).run().to_arrow(meta=["_status"]).to_pylist()
    assert sorted(map(str, row.values())) == ["1", "a", "b", "done", "mine"]


def test_what_is_told_of_the_run_is_there_when_asked() -> None:
    failed = Record(
        1, {"n": 1}, Status.FAILED, error=BadRequest("too long"), duration=1.5, attempts=2,
        usage=Usage(7, 3),
    )  # fmt: skip
    results = Results([record(0, "x"), failed])
    assert results.to_arrow().column_names == ["n", "output"]
    assert results.to_arrow(meta=True).to_pylist()[1] == {
        "n": 1,
        "output": None,
        "_status": "failed",
        "_error": "BadRequest: too long",
        "_attempts": 2,
        "_seconds": 1.5,
        "_input_tokens": 7,
        "_output_tokens": 3,
        "_cost": None,
    }
    assert results.to_arrow(meta=["_index"], inputs=False).to_pylist() == [
        {"output": "x", "_index": 0},
        {"output": None, "_index": 1},
    ]
    with pytest.raises(InvalidInput, match="no '_time': there are _status"):
        results.to_arrow(meta=["_time"])


def test_renamed_columns_go_out_under_the_names_that_they_came_with(tmp_path: Path) -> None:
    rows = read([{"body": "one", "n": 1}], columns={"text": "body"})
    assert Pool(len_of, rows, progress=False).run().to_arrow().to_pylist() == [
        {"body": "one", "n": 1, "output": 3}
    ]


def len_of(text: str) -> int:
    return len(text)
