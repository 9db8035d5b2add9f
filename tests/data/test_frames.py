"""Data frames as rows."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import polars as pl
import pytest

from flowpool import Pool, read
from flowpool.errors import ConstantPrompt, InvalidInput, MissingColumn


def test_frames_are_not_copied_whole() -> None:
    frame = pl.DataFrame({"n": range(100_000)})
    rows = iter(read(frame))
    assert next(rows) == {"n": 0}
    assert read(frame).frame is frame


@pytest.mark.parametrize("kept", [False, True])
def test_a_frame_s_dates_numbers_arrays_and_gaps_are_read_as_they_look(
    simulate, tmp_path: Path, kept: bool
) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "day": pd.to_datetime(["2024-01-02", None]),
            "number": pd.array([7, None], "Int64"),
            "share": [0.5, None],
            "parts": [pd.array([1, 2]).to_numpy(), None],
        }
    )
    sim = simulate()
    pool = sim.pool(
        sim.skill("say: {day}, {number}, {share}, {parts}"),
        frame,
        store=tmp_path / "run.db" if kept else None,
    )
    with pytest.warns(
        RuntimeWarning, match="1 of 2 items have nothing in '(day|number|share|parts)'"
    ):
        assert list(sim.run(pool)) == ["2024-01-02 00:00:00, 7, 0.5, [1,2]", ", , ,"]
    for ending in ("jsonl", "csv"):
        pool.results.write(tmp_path / f"out.{ending}")
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert '"day":"2024-01-02T00:00:00","number":7,"share":0.5,"parts":[1,2]' in lines[0]
    assert '"day":null,"number":null,"share":null,"parts":null' in lines[1]
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert rows[1].startswith('2024-01-02T00:00:00,7,0.5,"[1,2]",')
    assert rows[2].startswith(",,,,")
    if kept:
        again = simulate()
        again.run(
            again.pool(
                again.skill("say: {day}, {number}, {share}, {parts}"),
                frame,
                store=tmp_path / "run.db",
            )
        )
        assert again.ledger.requests == 0


def test_an_answer_that_is_a_subclass_of_text_is_kept(tmp_path: Path) -> None:
    class Said(str):
        said: ClassVar[list[str]] = []

    def say(text: str) -> Said:
        Said.said.append(text)
        return Said(text)

    for _ in range(2):
        assert Pool(say, [{"text": "a"}], store=tmp_path / "run.db").run() == ["a"]
    assert Said.said == ["a"]


@pytest.mark.parametrize("columns", [["a"], [0], [0, "a"], [None], [("x", 1)], [True, 2.5]])
def test_a_frame_s_prompt_is_checked_whatever_its_columns_names_are(
    simulate, columns: list[object]
) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame([["one"] * len(columns), ["two"] * len(columns)])
    frame.columns = pd.Index(columns, tupleize_cols=False)
    sim = simulate()
    with pytest.raises(ConstantPrompt):
        sim.run(sim.pool(sim.skill("say: hello"), frame))
    with pytest.raises(MissingColumn):
        sim.run(sim.pool(sim.skill("say: {other}"), frame))


def test_columns_that_are_numbers_are_variables_of_their_digits(simulate) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({0: ["one", "two"], 1: [1, 2]})
    sim = simulate()
    pool = sim.pool(sim.skill("say: {0}, {1}"), frame)
    assert list(sim.run(pool)) == ["one, 1", "two, 2"]
    assert list(pool.results.frame()) == [0, 1, "output"]
    assert list(pool.results.to_arrow().column_names) == ["0", "1", "output"]
    sim = simulate()
    assert list(sim.run(sim.pool(sim.skill("say: {text}"), frame, columns={"text": 0}))) == [
        "one",
        "two",
    ]


def test_a_frame_with_both_a_number_and_its_digits_for_names_is_refused() -> None:
    pd = pytest.importorskip("pandas")
    with pytest.raises(InvalidInput, match="the column '0' is there twice: rename one"):
        read(pd.DataFrame({0: ["a"], "0": ["b"]}))


def test_a_subclass_of_a_frame_is_that_frame() -> None:
    import pandas as pd

    class Places(pd.DataFrame):  # type: ignore[misc]  # as geopandas' GeoDataFrame is
        __module__ = "places.frames"

        @property
        def _constructor(self) -> type[Places]:
            return Places

    answered = Pool(lambda n: n * 2, Places({"n": [1, 2]}), progress=False).run().frame()
    assert type(answered) is Places
    assert answered.to_dict("list") == {"n": [1, 2], "output": [2, 4]}
