"""Opens a page in a browser. Its address is in no command line, which every user of a machine can read."""

from __future__ import annotations

import os
import shutil
import tempfile
import webbrowser
from html import escape
from pathlib import Path
from typing import Any
from weakref import finalize


class Opener:
    """Opens an address by a file that leads there, in a folder that its user alone can read, until `close`."""

    def __init__(self) -> None:
        self._gone: finalize[Any, Any] | None = None

    def open(self, address: str) -> bool:
        """Whether a browser was found. Raises `OSError` where the file can't be written."""
        if self._gone is None:
            self._folder = Path(tempfile.mkdtemp(prefix="flowpool-watch-"))
            # At the program's end, too.
            self._gone = finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        to = escape(address, quote=True)
        file = self._folder / "open.html"
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as page:
            page.write(
                '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
                f'<meta http-equiv="refresh" content="0; url={to}">'
                f'<title>flowpool watch</title><a href="{to}">The run</a>\n'
            )
        return webbrowser.open(file.as_uri())

    def close(self) -> None:
        if self._gone is not None:
            self._gone()

    def forget(self) -> None:
        """In a forked child: the file is its parent's."""
        if self._gone is not None:
            self._gone.detach()
