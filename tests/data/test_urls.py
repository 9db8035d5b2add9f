"""Files at URLs, read and written by fsspec."""

from __future__ import annotations

import functools
import gzip
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from tests.data.written import ITEMS, pool, record

from flowpool import Pool, read
from flowpool.data.rows import check_source
from flowpool.data.writers import open_writer
from flowpool.errors import InvalidInput, OutputExists
from flowpool.folders import folders

NAMES = ["out.jsonl", "out.csv", "out.csv.gz", "out.jsonl.zst", "out.parquet", "out.xlsx"]


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_to_a_url_is_read_from_it(memory: Any, name: str) -> None:
    url = f"memory://bucket/{name}"
    pool().write(url, ordered=True)
    assert [row["text"] for row in read(url)] == [item["text"] for item in ITEMS]
    assert Pool(lambda text: text, url, limit=1, progress=False).run() == [ITEMS[0]["text"]]
    with pytest.raises(OutputExists, match=f"{url} exists"):
        pool().write(url)
    pool(ITEMS[:2]).write(url, overwrite=True)
    assert len(list(read(url))) == 2


def test_adding_to_a_url_keeps_what_is_there(memory: Any) -> None:
    url = "memory://bucket/out.csv"
    memory.pipe("/bucket/out.csv", b"n;output\r\n1;x\r\n")
    with open_writer(url, append=True) as writer:
        assert writer.rows == 1
        writer.write(record(2, "y"))
    assert memory.cat("/bucket/out.csv") == b"n;output\r\n1;x\r\n2;y\r\n"


def test_nothing_is_at_a_url_before_the_writer_is_closed(memory: Any) -> None:
    with open_writer("memory://bucket/out.csv") as writer:
        writer.write(record(0, "x"))
        assert not memory.exists("/bucket/out.csv")
    assert memory.exists("/bucket/out.csv")


def test_an_upload_that_fails_says_where_the_rows_are(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(memory), "put_file", refuse)
    writer = open_writer("memory://bucket/out.csv")
    writer.write(record(0, "x"))
    with pytest.raises(InvalidInput, match="Access Denied: 1 rows are kept in") as caught:
        writer.close()
    kept = Path(str(caught.value).split("kept in ")[1].rstrip("."))
    assert kept.read_text() == "n,output\n0,x\n"


def test_a_glob_of_a_storage_is_its_files(memory: Any) -> None:
    for part in (2, 1):
        memory.pipe(f"/bucket/part-{part}.jsonl", b'{"n": %d}\n' % part)
    assert [row["n"] for row in read("memory://bucket/part-*.jsonl")] == [1, 2]
    with pytest.raises(InvalidInput, match="no file matches"):
        read("memory://bucket/none-*.jsonl")


def test_a_file_of_the_web_is_read(tmp_path: Path) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress("id;text\n1;é\n".encode()))
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        assert list(read(f"{address}/rows.csv.gz")) == [{"id": "1", "text": "é"}]
        with pytest.raises(InvalidInput, match=r"none\.csv: no such file"):
            read(f"{address}/none.csv")
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def test_what_is_secret_in_a_url_is_neither_shown_nor_kept(memory: Any) -> None:
    url = "memory://user:pass@bucket/rows.jsonl?X-Amz-Signature=abc"
    with pytest.raises(InvalidInput) as caught:
        read(url)
    assert "memory://bucket/rows.jsonl?..." in str(caught.value)
    assert not {"pass", "abc"} & set(str(caught.value).replace("=", " ").split())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nope://bucket/rows.csv", "nope://bucket/rows.csv: can't be opened: Protocol not known"),
        ("memory://bucket/none.csv", "memory://bucket/none.csv: no such file"),
        ("memory://bucket/rows.db", "only files of rows are read from a URL"),
        ("memory://bucket/rows.doc", "its rows can't be read: use a file that ends in"),
    ],
)
def test_a_url_that_can_not_be_read_is_refused_at_once(url: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read(url)


def test_a_file_that_is_not_trusted_reaches_no_url(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="load it with trusted=True"):
        check_source(folders(tmp_path), "s3://bucket/rows.csv", None)


def test_a_missing_library_is_told_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for use in (read, open_writer):
        with pytest.raises(InvalidInput, match=r"pip install 'flowpool\[urls\]'"):
            use("s3://bucket/rows.csv")
