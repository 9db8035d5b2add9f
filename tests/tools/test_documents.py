"""PDF and DOCX as markdown."""

from __future__ import annotations

import asyncio
import sys
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from tests.tools.documents import docx, pdf

from flowpool import Pool, workers
from flowpool.errors import InvalidInput, WorkerDied, WorkTooLarge
from flowpool.tools import fetch, to_markdown
from flowpool.values import Caps


def as_the_engine_does(tool: Any, variables: dict[str, Any], options: Any = None) -> Any:
    """Binds, prepares on the loop, and computes in a worker process."""

    async def main() -> Any:
        arguments = await tool.prepare(tool.bind(variables, options))
        return await workers.shared().run(tool.dotted, arguments)

    assert tool.mode == "process"
    return asyncio.run(main())


def test_a_pdf_gives_its_text(tmp_path: Path, site) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("Words on paper"))
    site.answers["/a"] = (200, {"content-type": "application/pdf"}, pdf("Words on paper"))
    page = asyncio.run(fetch(site.url("/a"), allow_private=True))
    assert to_markdown(tmp_path / "a.pdf") == "Words on paper"
    assert to_markdown(page) == "Words on paper"


def test_a_docx_keeps_its_headings(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(docx())
    assert to_markdown(str(tmp_path / "a.docx")) == "# Report\n\nPlain words."
    assert as_the_engine_does(to_markdown, {"source": docx()}) == "# Report\n\nPlain words."


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from flowpool.tools import documents

    documents._converter.cache_clear()
    for module, document in (("markitdown", docx()), ("pypdfium2", pdf("x"))):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(InvalidInput, match=r"pip install 'flowpool\[documents\]'"):
            to_markdown(document)


def bomb(size: int) -> bytes:
    """A DOCX whose text decompresses to `size` bytes."""
    packed = BytesIO(docx())
    with (
        ZipFile(packed, "a", ZIP_DEFLATED) as parts,
        parts.open("word/more.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(size // 1_000_000):
            part.write(b" " * 1_000_000)
    return packed.getvalue()


def test_a_docx_that_unpacks_to_too_much_is_refused() -> None:
    assert len(bomb(300_000_000)) < 400_000
    with pytest.raises(InvalidInput, match="it unpacks to 300 MB, and 200 MB are the most"):
        to_markdown(bomb(300_000_000))
    assert to_markdown(bomb(1_000_000)) == "# Report\n\nPlain words."


def heavy_docx() -> bytes:
    """A DOCX of some KB that takes gigabytes as a tree."""
    packed = BytesIO(docx())
    with ZipFile(packed) as parts:
        files = {name: parts.read(name) for name in parts.namelist()}
    body = files["word/document.xml"]
    run = b"<w:p><w:r><w:t>x</w:t></w:r></w:p>"
    files["word/document.xml"] = body.replace(b"</w:body>", run * 1_000_000 + b"</w:body>")
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as parts:
        for name, content in files.items():
            parts.writestr(name, content)
    return packed.getvalue()


def test_a_document_that_takes_too_much_memory_fails_and_the_others_go_on(monkeypatch) -> None:
    # The libraries that a new worker loads take 560 MB of addresses.
    monkeypatch.setattr(to_markdown, "caps", Caps(memory=800_000_000))
    items = [{"source": heavy_docx()}, *[{"source": docx()}] * 3]
    results = Pool(to_markdown, items).run()
    assert list(results)[1:] == ["# Report\n\nPlain words."] * 3
    assert isinstance(results.errors[0], (WorkTooLarge, WorkerDied))
    assert "800 MB" in str(results.errors[0])
