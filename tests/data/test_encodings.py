"""Files of text in the encodings and line ends of the world."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest

from flowpool import read
from flowpool.errors import InvalidInput

UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
TEXTS = [
    ("cp1252", "Größe \u201e5\u20ac\u201d"),
    ("latin-1", "Größe"),
    ("shift_jis", "名前ー"),
    ("cp932", "名前①"),
    ("gb18030", "姓名𠀀"),
    ("gbk", "姓名"),
    ("cp1251", "Привет"),
    ("euc_jp", "名前"),
    ("big5", "姓名"),
]
FILES = [
    ("rows.csv", "id,text\n1,{}\n2,{}\n"),
    ("rows.tsv", "id\ttext\n1\t{}\n2\t{}\n"),
    ("rows.csv", "id;text\r\n1;{}\r\n2;{}\r\n"),
    ("rows.jsonl", '{{"id": "1", "text": "{}"}}\n{{"id": "2", "text": "{}"}}\n'),
]


@pytest.mark.parametrize(("name", "content"), FILES)
@pytest.mark.parametrize("encoding", UNICODE)
def test_unicode_in_every_form_is_recognised(
    tmp_path: Path, name: str, content: str, encoding: str
) -> None:
    whole = content.format("Größe 名前 😀", "x").encode(encoding)
    for path, data in (
        (tmp_path / name, whole),
        (tmp_path / f"{name}.gz", gzip.compress(whole)),
    ):
        path.write_bytes(data)
        for told in (None, encoding):
            assert list(read(path, encoding=told)) == [
                {"id": "1", "text": "Größe 名前 😀"},
                {"id": "2", "text": "x"},
            ]


@pytest.mark.parametrize(("name", "content"), FILES)
@pytest.mark.parametrize(("encoding", "text"), TEXTS)
def test_other_encodings_are_read_when_told_and_refused_otherwise(
    tmp_path: Path, name: str, content: str, encoding: str, text: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content.format(text, "x").encode(encoding))
    assert [row["text"] for row in read(path, encoding=encoding)] == [text, "x"]
    with pytest.raises(InvalidInput, match=r"not UTF-8: say encoding=, where .* reads"):
        list(read(path))


def test_what_the_bytes_would_read_as_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("text\ncafé\n".encode("cp1252"))
    with pytest.raises(InvalidInput, match=r"line 2: not UTF-8: .*where 'cp1252' reads 'café'"):
        list(read(path))


def test_a_character_that_the_encoding_lacks_spoils_its_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("id,text\n1,名\n".encode("cp932") + b"2,\x81 \n3,x\n")
    rows = read(path, encoding="cp932", skip_bad_rows=True)
    assert [row["id"] for row in rows] == ["1", "3"]
    assert rows.first_skipped == (
        f"{path}, line 3: not cp932: say encoding=, as the file was saved.",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_may_end_in_every_way(tmp_path: Path, end: str, encoding: str, last: bool) -> None:
    path = tmp_path / "rows.csv"
    text = end.join(["id,text", "1,é", "2,x"]) + end * last
    path.write_bytes(text.encode(encoding))
    assert list(read(path, encoding=encoding)) == [
        {"id": "1", "text": "é"},
        {"id": "2", "text": "x"},
    ]


def test_standard_input_is_recognised_too(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO("id;text\n1;é\n".encode("utf-16"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
    assert list(read("-", format="csv")) == [{"id": "1", "text": "é"}]


def test_an_encoding_that_there_is_not_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\n")
    for odd in ("utf-9", "base64", "", 5):
        with pytest.raises(InvalidInput, match=r"encoding=.*: there is no such encoding"):
            read(path, encoding=odd)  # type: ignore[arg-type]


def test_a_file_of_a_gigabyte_would_take_the_memory_of_a_line(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "rows.csv"
    path.write_bytes(("id;text\n" + f"1;{'é' * 100}\n" * 50_000).encode("utf-16"))
    tracemalloc.start()
    assert sum(1 for _ in read(path)) == 50_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000
