"""Where `flowpool run` writes its records: JSON lines in a file or on standard output, each at once.

Knows no pool. What a file holds may have cost money, so that none is overwritten by mistake.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from flowpool.attachments import brief
from flowpool.errors import InvalidInput
from flowpool.results import Record
from flowpool.structured import plain

STDOUT = "-"


class Output:
    """An open output. A file is changed by the first line, not before: a run that never starts leaves no trace.

    Raises `InvalidInput` for a path that can't be written, is the input, or has something in it and no `force`.
    """

    def __init__(self, path: str, *, force: bool = False, input_path: str = "") -> None:
        self.path = path
        self.lines = 0
        self._created = False
        self._replaces = False
        self._file: BinaryIO = (
            sys.stdout.buffer if path == STDOUT else self._open(Path(path), force, input_path)
        )

    def write(self, line: bytes) -> None:
        """Writes one line through to the system; raises `OSError`."""
        if self._replaces:
            self._file.truncate(0)
            self._replaces = False
        self._file.write(line + b"\n")
        self._file.flush()
        self.lines += 1

    def close(self) -> None:
        if self.path == STDOUT:
            return
        self._file.close()
        if self._created and not self.lines:
            Path(self.path).unlink(missing_ok=True)

    def _open(self, path: Path, force: bool, input_path: str) -> BinaryIO:
        try:
            if path.exists():
                self._check_existing(path, force, input_path)
            else:
                self._created = True
            # Appending neither empties the file nor fails where it can't be rewound, as a pipe.
            return path.open("ab")
        except OSError as error:
            raise InvalidInput(f"{path}: can't be written: {error.strerror}.") from None

    def _check_existing(self, path: Path, force: bool, input_path: str) -> None:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return
        if input_path not in ("", STDOUT) and os.path.samefile(path, input_path):
            raise InvalidInput(f"{path} is the input: name another file for the output.")
        if found.st_size and not force:
            raise InvalidInput(f"{path} exists: name another output, or overwrite it with --force.")
        self._replaces = True


def give_up_stdout() -> None:
    """After a broken pipe: keeps the interpreter from failing once more when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def record_line(record: Record, offset: int = 0) -> bytes:
    """A record as one line of JSON; `offset` is added to its index."""
    row = {
        "index": record.index + offset,
        "status": record.status.name.lower(),
        "output": record.output,
        "error": None if record.error is None else f"{type(record.error).__name__}: {record.error}",
        "variables": brief(record.variables),
        "attempts": record.attempts,
        "duration": round(record.duration, 3),
        "model": record.model,
        "input_tokens": record.usage.input_tokens,
        "output_tokens": record.usage.output_tokens,
    }
    row = plain(row, repr)
    try:
        return msgspec.json.encode(row)
    except UnicodeEncodeError:  # half of a character, which JSON can only hold escaped
        return json.dumps(row).encode()
