"""CSV and TSV as rows, and what is wrong with one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowpool import Pool, read
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


HOW = "csv.writer(sys.stdout).writerows(csv.reader(sys.stdin, delimiter='{}'))\" < FILE > NEW.csv."


@pytest.mark.parametrize(
    ("sign", "says"),
    [
        (";", "separated by ; and not by commas: convert it with python -c \"import csv, sys; "),
        ("|", "separated by | and not by commas: convert it with python -c \"import csv, sys; "),
        ("\t", "separated by tabs and not by commas: name it .tsv."),
    ],
)  # fmt: skip
def test_a_csv_that_is_separated_otherwise_is_told_as_such(
    simulate, tmp_path: Path, sign: str, says: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"id{sign}text{sign}stars\n1{sign}fine, really{sign}5\n")
    sim = simulate()
    skill = sim.skill("say: {text}")
    for items, columns in ((path, None), (path, {"text": "text"}), (csv_rows(path), None)):
        with pytest.raises(InvalidInput) as caught:
            sim.run(sim.pool(skill, items, columns=columns))
        assert says in str(caught.value)
        assert "columns={" not in str(caught.value)
        assert sign == "\t" or HOW.format(sign) in str(caught.value)
    path.write_text(f"id{sign}text{sign}stars\n1{sign}fine{sign}5\n")
    with pytest.raises(InvalidInput) as caught:
        list(read(path, where="stars > 3"))
    assert says in str(caught.value)


def same(text: str) -> str:
    return text


def csv_rows(path: Path) -> list[dict[str, str]]:
    return [{path.read_text().splitlines()[0]: "1"}]


def test_a_column_may_hold_a_semicolon(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("How; and why?\nwell\n")
    assert list(read(path)) == [{"How; and why?": "well"}]
    with pytest.raises(InvalidInput, match="there are: How; and why"):
        Pool(same, path).run()


def test_the_command_that_converts_a_file_does(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('id;text\n1;"fine; really, yes"\n')
    with pytest.raises(InvalidInput) as caught:
        Pool(same, path).run()
    found = re.search(r'python -c "(.*)" <', str(caught.value))
    assert found is not None
    with path.open() as rows, (tmp_path / "new.csv").open("w") as new:
        subprocess.run([sys.executable, "-c", found[1]], stdin=rows, stdout=new, check=True)
    assert list(read(tmp_path / "new.csv")) == [{"id": "1", "text": "fine; really, yes"}]
