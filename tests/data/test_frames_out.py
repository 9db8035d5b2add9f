"""A frame in, the same kind of frame out: same rows, types, order and index, with the answers beside them."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import polars.testing
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpool import Pool, Record, Results, Status, read
from flowpool.errors import BadRequest, InvalidInput

DAY = datetime.date(2024, 2, 29)
AT = datetime.datetime(2024, 2, 29, 12, 30, 15, 123456)
COLUMNS: dict[str, list[Any]] = {
    "text": ["a", None, "c"],
    "n": [1, None, 3],
    "share": [0.5, None, 1.5],
    "sure": [True, None, False],
    "day": [DAY, None, DAY],
    "at": [AT, None, AT],
    "price": [Decimal("1.50"), None, Decimal("20.25")],
    "tags": [["x", "y"], None, []],
    "deep": [{"a": [1, 2], "b": None}, None, {"a": [], "b": "z"}],
    "raw": [b"\x00\xff", None, b""],
    "none": [None, None, None],
}
TYPED = {
    "int8": pa.array([1, None, -3], pa.int8()),
    "uint64": pa.array([2**64 - 1, None, 0], pa.uint64()),
    "float32": pa.array([0.1, None, float("nan")], pa.float32()),
    "kind": pa.array(["a", None, "a"]).dictionary_encode(),
    "zoned": pa.array([AT, None, AT], pa.timestamp("us", "Europe/Berlin")),
    "ns": pa.array([1, None, 2], pa.timestamp("ns")),
    "decimal": pa.array([Decimal("1.5"), None, None], pa.decimal128(30, 4)),
    "pairs": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "time": pa.array([datetime.time(1, 2, 3), None, None]),
    "took": pa.array([datetime.timedelta(seconds=1), None, None]),
}


def answer(row: dict[str, Any]) -> dict[str, Any]:
    return {"label": "x", "score": 1}


def run(frame: Any, fn: Any = answer, **options: Any) -> Results:
    return Pool(fn, frame, progress=False, **options).run()


def test_a_polars_frame_comes_back_equal_with_the_answers_beside_it() -> None:
    frame = pl.DataFrame(COLUMNS).with_columns(pl.from_arrow(pa.table(TYPED)))
    before = frame.clone()
    back = run(frame).frame()
    polars.testing.assert_frame_equal(back.select(frame.columns), frame)
    polars.testing.assert_frame_equal(frame, before)
    assert back.select("label", "score").to_dict(as_series=False) == {
        "label": ["x"] * 3,
        "score": [1] * 3,
    }


def test_an_arrow_table_comes_back_equal() -> None:
    table = pa.table({**COLUMNS, **TYPED})
    back = run(table).frame()
    assert back.drop_columns(["label", "score"]).schema == table.schema
    assert repr(back.drop_columns(["label", "score"])) == repr(table)
    assert back.column("score").type == pa.int64()
    batch = table.drop_columns([]).to_batches()[0]
    assert run(batch).frame().schema.names == [*table.schema.names, "label", "score"]


def test_a_pandas_frame_comes_back_equal() -> None:
    frame = pd.DataFrame(COLUMNS)
    frame["kind"] = pd.Categorical(["a", None, "b"])
    frame["whole"] = pd.array([1, None, 3], dtype="Int32")
    frame["zoned"] = pd.to_datetime([AT, None, AT]).tz_localize("Europe/Berlin")
    frame["arrow"] = pd.Series(
        TYPED["decimal"].to_pylist(), dtype=pd.ArrowDtype(pa.decimal128(30, 4))
    )
    frame["sparse"] = pd.arrays.SparseArray([0, 0, 1])
    before = frame.copy(deep=True)
    back = run(frame).frame()
    pd.testing.assert_frame_equal(back[before.columns], before)
    pd.testing.assert_frame_equal(frame, before)
    assert back["score"].tolist() == [1, 1, 1]


INDEXES = [
    pd.Index([7, 3, 5]),
    pd.Index(["b", "a", "b"], name="key"),
    pd.Index([None, "x", None]),
    pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 2)], names=["one", "two"]),
    pd.DatetimeIndex(["2024-01-02", "2024-01-01", None]),
    pd.CategoricalIndex(["x", "y", "x"]),
    pd.IntervalIndex.from_breaks([0, 1, 2, 3]),
    pd.RangeIndex(10, 4, -2),
]


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: type(index).__name__)
def test_a_pandas_index_is_kept_whatever_it_is(index: pd.Index) -> None:
    frame = pd.DataFrame({"n": [1, 2, 3]}, index=index)
    back = run(frame, lambda n: n * 10).frame()
    assert back["output"].tolist() == [10, 20, 30]
    pd.testing.assert_index_equal(back.index, index)


def test_a_selection_of_a_frame_comes_back_with_its_own_rows() -> None:
    frame = pd.DataFrame({"n": [1, 2, 3, 4], "kind": list("abab")}, index=[9, 8, 9, 7])
    rows = read(frame, where="kind == 'b'")
    back = run(rows, lambda n: n * 10).frame()
    assert back.index.tolist() == [8, 7]
    assert back["output"].tolist() == [20, 40]
    assert run(pl.from_pandas(frame), lambda n: n, limit=2).frame().height == 2
    table = run(read(pa.Table.from_pandas(frame), sample=2, seed=1), lambda n: n).frame()
    assert table.column("n").equals(table.column("output"))


def test_a_selection_that_was_cut_or_never_run_knows_its_rows() -> None:
    frame = pl.DataFrame({"n": range(100)})
    for options in ({"limit": slice(40, 50)}, {"sample": 10}):
        rows = read(frame, **options)
        wanted = [row["n"] for row in rows]
        pool = Pool(lambda n: 1 / 0, read(frame, **options), 1, "stop", progress=False)
        assert pool.results.frame()["n"].to_list() == wanted
        back = pool.run().frame(meta=["_status"])
        assert back["n"].to_list() == wanted
        assert back["_status"].to_list() == ["failed"] + ["cancelled"] * 9


def test_names_that_are_no_text_come_back_as_they_are() -> None:
    frame = pd.DataFrame([[1, "a"], [2, "b"]])
    back = run(frame, lambda n: n * 10, columns={"n": 0}).frame()
    assert back.columns.tolist() == [0, 1, "output"]
    assert back["output"].tolist() == [10, 20]
    deep = pd.DataFrame({("x", "n"): [1, 2], ("y", "m"): [3, 4]})
    back = run(deep, lambda n: n * 10, columns={"n": ("x", "n")}).frame()
    assert back[("output", "")].tolist() == [10, 20]
    with pytest.raises(InvalidInput, match=r"no column 'n'.*columns=\{'n'"):
        run(frame, lambda n, m: n)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1, 2]], columns=["n", "n"]),
        pa.table([[1], [2]], names=["n", "n"]),
        pa.table([[1], [2]], names=["n", "n"]).to_reader(),
        duckdb.sql("select 1 as n, 2 as n"),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_columns_of_one_name_are_refused(frame: Any) -> None:
    with pytest.raises(InvalidInput, match=r"the column 'n' is there twice: rename one"):
        run(frame)


def test_a_duckdb_relation_comes_back_as_one_with_the_same_types() -> None:
    with duckdb.connect() as database:
        relation = database.from_arrow(pa.table({**COLUMNS, "decimal": TYPED["decimal"]}))
        back = run(relation).frame()
        assert type(back) is type(relation)
        assert dict(zip(back.columns, back.types, strict=True)) == {
            **dict(zip(relation.columns, relation.types, strict=True)), "label": "VARCHAR", "score": "BIGINT",
        }  # fmt: skip
        assert [row[:-2] for row in back.fetchall()] == relation.fetchall()


def test_a_lazy_frame_comes_back_collected_with_its_types() -> None:
    frame = pl.DataFrame(COLUMNS).with_columns(pl.col("n").cast(pl.Int16))
    back = run(frame.lazy()).frame()
    polars.testing.assert_frame_equal(back.select(frame.columns), frame)


def test_a_hugging_face_dataset_comes_back_as_one() -> None:
    datasets = pytest.importorskip("datasets")
    dataset = datasets.Dataset.from_dict({"n": [1, 2, 3], "text": ["a", None, "c"]})
    back = run(read(dataset, where="n != 2"), lambda n: {"twice": n * 2}).frame()
    assert back.column_names == ["n", "text", "twice"]
    assert back.to_list() == [{"n": 1, "text": "a", "twice": 2}, {"n": 3, "text": "c", "twice": 6}]
    assert back.features["n"] == dataset.features["n"]
    stream = run(dataset.to_iterable_dataset(), lambda n: n)
    assert stream == [1, 2, 3]
    with pytest.raises(InvalidInput, match=r"pass one split: \['train'\]"):
        read(datasets.DatasetDict({"train": dataset}))


def test_items_that_were_no_frame_say_what_to_use() -> None:
    with pytest.raises(InvalidInput, match="use to_pandas"):
        run([{"n": 1}]).frame()


def test_failed_items_have_nulls_and_keep_their_place() -> None:
    def picky(n: int) -> int:
        if n == 2:
            raise ValueError("two")
        return n

    back = run(pd.DataFrame({"n": [1, 2, 3]}), picky).frame(meta=["_status", "_error"])
    assert back["output"].tolist() == [1, pd.NA, 3]
    assert back["_status"].tolist() == ["done", "failed", "done"]
    assert "two" in back["_error"][1]


def test_an_unfinished_run_has_a_row_for_every_item() -> None:
    frame = pl.DataFrame({"n": [1, 2, 3]})
    pool = Pool(lambda n: n, frame, progress=False)
    assert pool.results.frame(meta=["_status"])["_status"].to_list() == ["pending"] * 3
    records = [
        Record(2, {"n": 3}, Status.DONE, 9),
        Record(0, {"n": 1}, Status.FAILED, error=BadRequest("x")),
    ]
    back = Results(records, read(frame)).frame()
    assert back.to_dicts() == [{"n": 3, "output": 9}, {"n": 1, "output": None}]


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=5),
    st.dates(), st.datetimes(), st.binary(max_size=5), st.lists(st.integers(0, 9), max_size=2),
)  # fmt: skip


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(CELLS, min_size=1, max_size=6))
def test_whatever_answers_there_are_a_row_each_comes_back(answers: list[Any]) -> None:
    records = [Record(i, {"n": i}, Status.DONE, answer) for i, answer in enumerate(answers)]
    for to in ("to_pandas", "to_polars", "to_arrow"):
        found = list(read(getattr(Results(records), to)()))
        assert [row["n"] for row in found] == list(range(len(answers)))
        missing = [row["output"] is None for row in found]
        assert missing == [answer is None for answer in answers]
        if len({type(answer) for answer in answers}) == 1:
            assert [row["output"] for row in found] == answers
