"""CSV and TSV as rows, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpool import read
from flowpool.errors import InvalidInput


def test_a_csv_in_utf_16_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(InvalidInput, match="line 1: it begins like UTF-16: save the file as UTF-8"):
        list(read(path))


def test_a_quote_that_is_never_closed_takes_no_other_row_along(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('n,m\n1,"a\nb"\n2,"open\n' + "".join(f"{n},x\n" for n in range(3, 300)))
    rows = read(path, skip_bad_rows=True)
    assert [int(row["n"]) for row in rows] == [1, *range(3, 300)]
    (skipped,) = rows.first_skipped
    assert skipped.startswith(f"{path}, line 4: ")
