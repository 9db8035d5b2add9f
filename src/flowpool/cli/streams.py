"""Where the command line speaks: every word to standard output or error goes through here, made safe to show.

Either may be closed, or may break on the way: what nobody reads is no reason to lose a run.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

from flowpool.printable import printable

STDOUT, STDERR = 1, 2
# How a shell tells of a command that its reader's leaving ended.
BROKEN_PIPE = 141


def show(text: str = "") -> None:
    """Says lines on standard output; ends the command where its reader has gone."""
    if sys.stdout is None:
        return
    try:
        print(printable(text), flush=True)
    except BrokenPipeError:
        give_up(STDOUT)
        raise SystemExit(BROKEN_PIPE) from None


def say(line: str, stream: TextIO | None = None) -> None:
    """Says a line where progress goes, at once."""
    stream = stream or sys.stderr
    if stream is None:
        return
    try:
        print(printable(line), file=stream, flush=True)
    except (OSError, ValueError):  # its reader has gone, or its terminal
        give_up(STDERR)


def fill_closed() -> None:
    """Keeps the numbers of standard streams that are closed: else the next file, as a store, would get one."""
    for number in (0, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def give_up(number: int) -> None:
    """After a stream broke: keeps the interpreter from failing once more when it flushes at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
