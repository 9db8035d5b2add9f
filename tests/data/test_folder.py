"""Documents as rows: which files, in which order, and what becomes of one that can't be read."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path

import pytest
from tests.tools.documents import docx, pdf

from flowpool import Pool, read
from flowpool.data import folder
from flowpool.errors import InvalidInput

PAGE = "<html><body><h1>Hello</h1><p>Some words to read.</p></body></html>"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder with a document of every kind, and files that are none."""
    root = tmp_path / "notes"
    (root / "deep" / "er").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (root / "b.md").write_text("# Two")
    (root / "a.txt").write_text("One: é")
    (root / "old.txt").write_bytes("naïve".encode("cp1252"))
    (root / "page.html").write_text(PAGE)
    (root / "deep" / "er" / "c.md").write_text("Three")
    (root / ".hidden" / "no.md").write_text("no")
    (root / ".no.md").write_text("no")
    (root / "data.bin").write_bytes(b"\x89\x00")
    (root / "data.csv").write_text("a,b\n1,2\n")
    return root


CONTENT = {
    "a.txt": "One: é",
    "b.md": "# Two",
    "c.md": "Three",
    "old.txt": "naïve",
    "page.html": "# Hello\n\nSome words to read.",
}


def test_a_folder_is_a_row_a_document_sorted_and_below_it_too(notes: Path) -> None:
    rows = read(notes)
    assert (rows.length, rows.columns) == (5, ("path", "name", "content"))
    found = list(rows)
    assert {row["name"]: row["content"] for row in found} == CONTENT
    assert [row["name"] for row in found] == ["a.txt", "b.md", "old.txt", "page.html", "c.md"]
    assert found[4]["path"] == str(notes / "deep" / "er" / "c.md")
    assert list(rows) == found


def test_pdf_and_docx_become_markdown_in_worker_processes(tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing more")
    (tmp_path / "paper.pdf").write_bytes(pdf("Words on paper"))
    (tmp_path / "report.DOCX").write_bytes(docx())
    rows = read(tmp_path, skip_bad_rows=True)
    assert [row["content"] for row in rows] == ["Words on paper", "# Report\n\nPlain words."]
    [problem] = rows.first_skipped
    assert re.search(r"broken.pdf: this PDF can't be read", problem)


def test_a_pool_takes_a_folder_or_a_glob(notes: Path) -> None:
    def size(name: str, content: str) -> str:
        return f"{name}: {len(content)}"

    assert len(Pool(size, str(notes), progress=False).run()) == 5
    assert Pool(size, str(notes / "*.md"), progress=False).run() == ["b.md: 5"]
    assert Pool(size, notes / "**" / "*.md", progress=False).run() == ["b.md: 5", "c.md: 5"]
    assert Pool(size, notes / "b.md", progress=False).run() == ["b.md: 5"]


def test_only_what_is_asked_for_is_read(notes: Path) -> None:
    assert [row["name"] for row in read(notes, limit=1)] == ["a.txt"]
    rows = iter(read(notes))
    next(rows)
    del rows  # a converter left running would be a thread of that name
    assert not [t for t in threading.enumerate() if t.name == "flowpool-documents"]


def test_a_document_that_cannot_be_read_is_named_and_the_rest_goes_on(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (notes / "binary.txt").write_bytes(b"\x00\x01\x02")
    (notes / "long.txt").write_text("x" * 5000)
    monkeypatch.setattr(folder, "LONGEST", 4500)
    with pytest.raises(InvalidInput, match=r"binary.txt: neither text nor HTML, PDF or DOCX"):
        list(read(notes))
    rows = read(notes, skip_bad_rows=True)
    assert {row["name"] for row in rows} == CONTENT.keys()
    assert rows.skipped == 2
    assert "long.txt: longer than 0 MB" in rows.first_skipped[1]


def test_a_folder_is_read_inside_a_running_loop_too(notes: Path) -> None:
    async def main() -> list[str]:
        return [row["name"] for row in read(notes / "*.*", skip_bad_rows=True)]

    # The CSV is a document among documents.
    assert asyncio.run(main()) == ["a.txt", "b.md", "data.csv", "old.txt", "page.html"]


@pytest.mark.parametrize(
    ("name", "says"),
    [("", "no documents in this folder"), ("*.md", "no file matches"), ("x.pdf", "no such file")],
)
def test_where_nothing_is_to_be_read_it_is_told_at_once(
    name: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=says):
        read(tmp_path / name)


def test_without_the_extra_the_command_that_installs_it_is_told(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "find_spec", lambda name: None)
    (notes / "paper.pdf").write_bytes(pdf("Words on paper"))
    with pytest.raises(InvalidInput, match=r"pip install 'flowpool\[documents\]'"):
        read(notes)
    assert read(notes / "*.md").length == 1
