"""CSV and TSV as rows, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpool import Pool, read
from flowpool.errors import InvalidInput


def test_a_quote_that_is_never_closed_takes_no_other_row_along(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('n,m\n1,"a\nb"\n2,"open\n' + "".join(f"{n},x\n" for n in range(3, 300)))
    rows = read(path, skip_bad_rows=True)
    assert [int(row["n"]) for row in rows] == [1, *range(3, 300)]
    (skipped,) = rows.first_skipped
    assert skipped.startswith(f"{path}, line 4: ")


@pytest.mark.parametrize("sign", [";", "|", "\t", ","])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_the_delimiter_is_recognised(tmp_path: Path, name: str, sign: str) -> None:
    path = tmp_path / name
    cell = '"fine; really, a|b\tc"'
    path.write_text(f"id{sign}text{sign}price\n1{sign}{cell}{sign}5\n2{sign}ok{sign}\n")
    assert list(read(path)) == [
        {"id": "1", "text": "fine; really, a|b\tc", "price": "5"},
        {"id": "2", "text": "ok", "price": ""},
    ]
    assert [row["id"] for row in read(path, where="price > 3")] == ["1"]


def test_numbers_with_a_comma_are_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id;price\n1;1,5\n2;2,5\n")
    assert list(read(path)) == [{"id": "1", "price": "1,5"}, {"id": "2", "price": "2,5"}]


def test_a_first_line_may_say_the_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("sep=^\r\nid^text\r\n1^a,b\r\n2\r\n")
    rows = read(path, skip_bad_rows=True)
    assert list(rows) == [{"id": "1", "text": "a,b"}]
    assert rows.first_skipped == (f"{path}, line 4: 1 cells for 2 columns.",)


def test_the_delimiter_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,n:text\n1,2:a\n")
    assert list(read(path)) == [{"id": "1", "n:text": "2:a"}]
    assert list(read(path, delimiter=":")) == [{"id,n": "1,2", "text": "a"}]
    path.write_text("id\ttext\n1\ta\n")
    for name in ("\\t", "tab", "\t"):
        assert list(read(path, delimiter=name)) == [{"id": "1", "text": "a"}]
    for odd in ("", "::", '"', "\n", 5):
        with pytest.raises(InvalidInput, match=r"delimiter=.*: use one character"):
            read(path, delimiter=odd)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="delimiter= is for CSV and TSV"):
        read(path, delimiter=";", format="jsonl")
    with pytest.raises(InvalidInput, match="is for files: leave it out"):
        read([{"a": 1}], delimiter=";")


def test_a_file_whose_delimiter_is_not_recognised_says_how_to_tell_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id;text\n1;a;b\n2;a;b\n")
    with pytest.raises(InvalidInput, match=r"separated by ';': say delimiter=';'"):
        Pool(same, path).run()


def test_columns_without_a_name_are_called_by_their_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(",text,,\n0,a,b,c\n")
    assert list(read(path)) == [{"column_1": "0", "text": "a", "column_3": "b", "column_4": "c"}]


def same(text: str) -> str:
    return text


def test_a_column_may_hold_a_semicolon(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("How; and why?\nwell\n")
    assert list(read(path)) == [{"How; and why?": "well"}]
    with pytest.raises(InvalidInput, match="there are: How; and why"):
        Pool(same, path).run()
