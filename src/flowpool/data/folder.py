"""Rows of documents: the files of a folder or a glob, each as `path`, `name` and `content`.

HTML, PDF and DOCX become markdown in worker processes, a few files ahead of the reader; pictures have no content.
"""

from __future__ import annotations

import asyncio
import glob
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flowpool import workers
from flowpool.data.lines import LONGEST
from flowpool.data.reading import RowCursor, Table
from flowpool.errors import FlowpoolError, InvalidInput, UnreadableDocument
from flowpool.tools.decoding import decode, is_text
from flowpool.tools.documents import kind_of
from flowpool.tools.markdown import to_markdown

_INSTALL = "pip install 'flowpool[documents]'"
_CONVERTERS = {
    ".pdf": "pypdfium2",
    ".docx": "markitdown",
    **dict.fromkeys((".html", ".htm", ".xhtml"), "trafilatura"),
}
_CONVERTED = tuple(_CONVERTERS)
_TEXT = (".txt", ".text", ".md", ".markdown", ".rst", ".org", ".tex", ".log")
DOCUMENT_ENDINGS = (*_TEXT, *_CONVERTED)
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")  # prompts read them, by `path`
# Bytes that show what a file is: the marks of PDF, DOCX and of binary data stand in the first page of a disk.
_HEAD = 4096


class Documents(Table):
    """Some files, in their order. One that can't be read is a bad row."""

    unit = "file"
    waits = True
    columns = ("path", "name", "content")

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.name = name
        self._paths = paths
        self.length = len(paths)
        for path in paths:
            package = _CONVERTERS.get(path.suffix.lower())
            if package is not None and find_spec(package) is None:
                raise InvalidInput(f"{path}: to read HTML, PDF and DOCX: {_INSTALL}")

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        coming: deque[tuple[Path, Future[str]]] = deque()
        with closing(_Converter()) as converter:
            for path in self._paths:
                coming.append((path, _content(path, converter)))
                if len(coming) > converter.width:
                    yield from _row(*coming.popleft(), reading)
            while coming:
                yield from _row(*coming.popleft(), reading)


def folder_table(path: Path) -> Table:
    """The rows of `documents_in` a folder."""
    found = documents_in(path)
    if not found:
        raise InvalidInput(
            f"{path}: no documents in this folder ({', '.join(DOCUMENT_ENDINGS)}): "
            f'for other files name them, as "{path}/*.jsonl".'
        )
    return Documents(str(path), found)


def documents_in(path: Path) -> list[Path]:
    """The documents in a folder and below it, sorted; hidden files and other formats are left out."""
    found = []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(folder, name)
            for name in sorted(names)
            if name.lower().endswith(DOCUMENT_ENDINGS) and not name.startswith(".")
        ]
    return found


def globbed(pattern: str) -> list[Path]:
    """The files that a glob matches, sorted; `**` is any number of folders. Hidden ones are left out."""
    found = sorted(Path(path) for path in glob.iglob(pattern, recursive=True))
    files = [path for path in found if path.is_file()]
    if not files:
        raise InvalidInput(f"{pattern}: no file matches.")
    return files


def _content(path: Path, converter: _Converter) -> Future[str]:
    """The text of a file, or of what it has to say: at once for text, later for what must be converted."""
    done: Future[str] = Future()
    if path.suffix.lower() in _PICTURES:
        done.set_result("")
        return done
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            if path.suffix.lower() in _CONVERTED or kind_of(head):
                return converter.submit(path)
            if not is_text(head, ""):
                raise InvalidInput("neither text nor HTML, PDF or DOCX.")
            body = head + file.read(LONGEST - len(head) + 1)
        if len(body) > LONGEST:
            raise InvalidInput(f"longer than {LONGEST >> 20} MB.")
        done.set_result(decode(body, name=str(path)))
    except InvalidInput as error:
        done.set_exception(error)
    except OSError as error:
        done.set_exception(InvalidInput(f"can't be read: {error.strerror}."))
    return done


def _row(path: Path, content: Future[str], reading: RowCursor) -> Iterator[dict[str, str]]:
    reading.name = str(path)
    try:
        text = content.result()
    except FlowpoolError as error:
        reading.bad(error.problem if isinstance(error, UnreadableDocument) else str(error))
        return
    yield {"path": str(path), "name": path.name, "content": text}


class _Converter:
    """Worker processes behind a loop on a thread of its own, so that any thread may wait for them."""

    def __init__(self) -> None:
        self.width = 2 * workers.default_size()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._going: set[asyncio.Task[Any]] = set()
        self._stop: asyncio.Event
        self._thread: threading.Thread

    def submit(self, path: Path) -> Future[str]:
        """The markdown of a file, which a worker makes."""
        if self._loop is None:
            started: Future[asyncio.AbstractEventLoop] = Future()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._serve(started)),
                name="flowpool-documents",
                daemon=True,
            )
            self._thread.start()
            self._loop = started.result()
        return asyncio.run_coroutine_threadsafe(self._convert(path.absolute()), self._loop)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    async def _serve(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        self._stop = asyncio.Event()
        started.set_result(asyncio.get_running_loop())
        await self._stop.wait()
        for task in self._going:
            task.cancel()
        await asyncio.gather(*self._going, return_exceptions=True)

    async def _convert(self, path: Path) -> str:
        task = asyncio.current_task()
        assert task is not None
        self._going.add(task)
        task.add_done_callback(self._going.discard)
        text: str = await workers.shared().run(
            "flowpool.tools:to_markdown", {"source": path}, to_markdown.caps
        )
        return text
