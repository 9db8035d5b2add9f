"""PDF and DOCX as markdown."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.tools.documents import docx, pdf

from flowpool import workers
from flowpool.errors import InvalidInput
from flowpool.tools import fetch, to_markdown


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
    monkeypatch.setitem(sys.modules, "markitdown", None)
    with pytest.raises(InvalidInput, match=r"pip install 'flowpool\[documents\]'"):
        to_markdown(pdf("x"))
