"""What separates the cells of a CSV: recognised by the first records, else given. Pure."""

from __future__ import annotations

import csv
import io
from itertools import islice
from typing import Any

from msgspec import Struct

from flowpool.errors import InvalidInput

COMMA, TAB = ",", "\t"
DELIMITERS = {"csv": COMMA, "tsv": TAB}
_SIGNS = (COMMA, ";", TAB, "|")
_NAMES = {"\\t": TAB, "tab": TAB}
# Records that are looked at.
_LOOKED_AT = 100
# What spreadsheets write as a line of its own before the header.
_SEPARATOR_LINE = "sep="


class Dialect(Struct, frozen=True):
    """How a CSV is written, as it was given: None is what it is recognised as. usual: the format's delimiter."""

    usual: str = COMMA
    delimiter: str | None = None
    encoding: str | None = None


def checked_delimiter(delimiter: Any) -> str | None:
    """The delimiter that is meant; raises `InvalidInput` for what can be none."""
    if delimiter is None:
        return None
    sign = _NAMES.get(delimiter, delimiter) if isinstance(delimiter, str) else ""
    if len(sign) != 1 or sign in '"\r\n':
        raise InvalidInput(f'delimiter={delimiter!r}: use one character, such as ";" or "\\t".')
    return sign


def separator_of(line: bytes) -> str:
    """The delimiter that a file's first line says it has, as `sep=;`; else empty."""
    text = line.decode("utf-8", "replace").strip("\r\n").strip('"')
    sign = text.lower().removeprefix(_SEPARATOR_LINE)
    is_one = len(sign) == 1 and len(text) == len(_SEPARATOR_LINE) + 1
    return sign if is_one and sign != '"' else ""


def recognised(head: str, usual: str) -> str:
    """The delimiter by which most records have as many cells as the header; `usual` where several, or none, do.

    >>> recognised("id;text\\n1;fine, really\\n", usual=",")
    ';'
    """
    end = head.rfind("\n") + 1
    lines = head[:end] if end else head  # the last one may be cut
    best, chosen = (0.5, False, 0), usual
    for sign in _SIGNS:
        share, width = _fit(lines, sign)
        if width > 1 and (share, sign == usual, width) > best and share > 0.5:
            best, chosen = (share, sign == usual, width), sign
    return chosen


def _fit(lines: str, sign: str) -> tuple[float, int]:
    """The share of records that have the header's number of cells, and that number."""
    widths: list[int] = []
    try:
        records = csv.reader(io.StringIO(lines, newline=""), delimiter=sign)
        widths += (len(cells) for cells in islice(records, _LOOKED_AT) if cells)
    except csv.Error:  # reading it says what is wrong
        pass
    if not widths:
        return 0.0, 0
    width, *others = widths
    return (others.count(width) / len(others) if others else 1.0), width
