"""Data frames as rows."""

from __future__ import annotations

import polars as pl

from flowpool import read


def test_frames_are_not_copied_whole() -> None:
    frame = pl.DataFrame({"n": range(100_000)})
    rows = iter(read(frame))
    assert next(rows) == {"n": 0}
    assert read(frame).frame is frame
