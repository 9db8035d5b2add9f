"""Text of others made safe to show: what moves a cursor, sets a colour or turns the order of words is spelt out."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TextIO

# Control characters, halves of characters, line ends that only some programs take for ones, and what sets the
# direction of text or stands in no font; a line feed and a tab are what they are.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    r"""The text as a terminal, a log or a page may show it.

    >>> printable("a \x1b[31mred\x1b[0m word")
    'a \\x1b[31mred\\x1b[0m word'
    """
    if text.isprintable():
        return text
    return _UNSAFE.sub(_spelt, text.replace("\r\n", "\n"))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at it."""
    with suppress(OSError, ValueError):
        return stream is not None and stream.isatty()
    return False


def _spelt(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"
