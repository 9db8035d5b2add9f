"""Data frames as rows."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import polars as pl
import pytest

from flowpool import Pool, read


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
