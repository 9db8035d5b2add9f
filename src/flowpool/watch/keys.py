"""Keys as they are pressed, one at a time, from a terminal that is left as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

if sys.platform == "win32":
    import msvcrt
    import time

    @contextmanager
    def pressed_at_once() -> Iterator[None]:
        """Keys come without a line's end while the block runs."""
        yield

    def keys_within(seconds: float) -> str:
        """The keys that are pressed within so many seconds; nothing if none is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if msvcrt.kbhit():
                return msvcrt.getwch()
            time.sleep(0.02)
        return ""

else:
    import os
    import select
    import termios
    import tty

    @contextmanager
    def pressed_at_once() -> Iterator[None]:
        """Keys come without a line's end, and aren't shown, while the block runs. Ctrl-C stays what it is."""
        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
        try:
            tty.setcbreak(number, termios.TCSANOW)
            yield
        finally:
            # What was typed and not read isn't the shell's.
            termios.tcsetattr(number, termios.TCSAFLUSH, before)

    def keys_within(seconds: float) -> str:
        """The keys that are pressed within so many seconds; nothing if none is. EOFError where none can come."""
        number = sys.stdin.fileno()
        ready, _, _ = select.select([number], [], [], seconds)
        if not ready:
            return ""
        read = os.read(number, 32)
        if not read:
            raise EOFError
        # An arrow or another key without a letter is several characters, which may look like letters.
        return "" if read.startswith(b"\x1b") else read.decode("utf-8", "replace")
