"""Files of records that are to be added to: what they hold, and an unfinished record at their end set aside.

Nothing else of a file is touched: a row that is odd in another way stays as it stands.
"""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from flowpool.data.append import ByteSink, open_to_append, replaced
from flowpool.data.compression import PACKED, open_to_read, unpacking_errors
from flowpool.data.delimited import UNCLOSED, UNEVEN, UNREADABLE, CsvRecord, Delimited
from flowpool.data.dialect import Dialect
from flowpool.data.encodings import Form, as_utf8
from flowpool.data.lines import LONGEST
from flowpool.data.reading import RowCursor
from flowpool.errors import InvalidInput

# Bytes of a line that are read at once, so that a file without line ends stays out of memory.
_CHUNK = 1 << 20
_ASIDE = ".cut"
_log = logging.getLogger("flowpool.data")


class Existing(Struct, frozen=True, kw_only=True):
    """What a CSV holds that is added to, and how it is written. rows: whole ones, under `names`.

    begun: its text, where that is no more than the beginning of a header.
    """

    rows: int = 0
    names: tuple[str, ...] = ()
    delimiter: str = ""
    form: Form = Form()
    line_end: str = "\n"
    separator_line: str = ""
    begun: str = ""


def mended_lines(path: Path) -> int:
    """How many whole lines of JSON the file holds, once an unfinished one is set aside."""
    if not path.exists():
        return 0
    rows = end = at = 0
    with open_to_read(path) as file:
        try:
            if as_utf8(file, None)[1].codec != "utf-8":
                raise InvalidInput(f"{path}: it isn't UTF-8: JSON lines can't be added to it.")
            file.seek(0)
            while line := file.readline(_CHUNK):
                at += len(line)
                if line.endswith(b"\n"):
                    end, rows = at, rows + 1
            problem: Exception | None = None
        except unpacking_errors() as error:
            problem = error
    if problem is None and at == end:
        return rows
    if problem is None and _is_object(path, end):
        _add(path, b"\n")
        return rows + 1
    _set_aside(path, end, rows + 1, is_damaged=_is_damage(problem))
    return rows


def mended_table(path: Path, dialect: Dialect) -> Existing:
    """What a CSV holds, once an unfinished record is set aside: one that `csv` can't take for a whole one.

    Raises `InvalidInput` where nobody can say which is, and for text in another encoding.
    """
    if not path.exists() or not path.stat().st_size:
        return Existing()
    try:
        with open_to_read(path) as file:
            table = Delimited(file, str(path), dialect)
            walk = _Walk(table, str(path))
    except unpacking_errors() as error:  # within its header
        _set_aside(path, 0, 1, is_damaged=_is_damage(error))
        return Existing()
    existing = Existing(
        rows=walk.rows,
        names=table.names,
        delimiter=table.delimiter,
        form=table.form,
        line_end="\r" if table.form.is_cr else table.line_end or "\n",
        separator_line=table.separator_line,
    )
    if not table.line_end and not walk.rows:
        begun = b"".join(table.header_lines).decode("utf-8", "replace")
        return msgspec.structs.replace(existing, begun=begun)
    if walk.is_unfinished:
        end = _end_of(path, dialect, table.form, walk.lines)
        _set_aside(path, end, walk.lines + 1, is_damaged=_is_damage(walk.problem))
    elif walk.lacks_end:
        _log.warning("%s: its last row had no line end: it is taken for a whole one.", path)
        _add(path, existing.form.encode(existing.line_end))
    return existing


class _Walk:
    """One pass over a CSV's records. rows, lines: of those that are whole, the header's lines among them.

    is_unfinished: whether there is more after them. lacks_end: whether the last row has all but its line end.
    problem: what a packed file broke off with.
    """

    def __init__(self, table: Delimited, path: str) -> None:
        self.rows = 0
        self.lines = len(table.header_lines) + bool(table.separator_line)
        self.is_unfinished = self.lacks_end = False
        self.problem: Exception | None = None
        self._unclosed: tuple[int, int] | None = None  # rows and lines before it
        self._after = self._alike = 0  # records after that, and those that have all cells
        last: CsvRecord | None = None
        try:
            for record in table.records(RowCursor(path)):
                self._take(last, path)
                last = record
        except unpacking_errors() as error:
            self._take(last, path)
            self.is_unfinished, self.problem = True, error
            return
        self._end(last, len(table.names), path)

    def _take(self, record: CsvRecord | None, path: str) -> None:
        """A record that others follow."""
        if record is None:
            return
        if record.flaw == UNREADABLE:
            raise InvalidInput(f"{path}, line {self.lines + 1}: {record.problem}")
        if self._unclosed is not None:
            self._after += 1
            self._alike += not record.flaw and bool(record.cells)
        elif record.flaw == UNCLOSED:
            self._unclosed = self.rows, self.lines
        self.rows += bool(record.cells or record.flaw)
        self.lines += len(record.lines)

    def _end(self, last: CsvRecord | None, width: int, path: str) -> None:
        if last is None:
            return
        has_end = last.lines[-1].endswith(b"\n")
        if last.flaw == UNREADABLE and not has_end:  # cut within a character
            self.is_unfinished = True
            return
        is_short = last.flaw == UNEVEN and len(last.cells) < width
        before = self.rows, self.lines
        self._take(last, path)
        if self._unclosed is not None:
            # Rows after a quote that isn't closed are its cell's, or none of its business.
            if self._alike and (has_end or 2 * self._alike > self._after):
                raise InvalidInput(
                    f"{path}, line {self._unclosed[1] + 1}: a quote is never closed, and rows follow it: close it, "
                    "or name another file."
                )
            self.is_unfinished = True
            self.rows, self.lines = self._unclosed
        elif is_short and not has_end:
            self.is_unfinished = True
            self.rows, self.lines = before
        else:
            self.lacks_end = not has_end


def _is_damage(problem: Exception | None) -> bool:
    """Whether a packed file has more after what it broke off with; one that is cut has nothing."""
    return problem is not None and not isinstance(problem, EOFError)


def _is_object(path: Path, start: int) -> bool:
    with open_to_read(path) as file:
        file.seek(start)
        try:
            return isinstance(msgspec.json.decode(file.read(LONGEST)), dict)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False


def _end_of(path: Path, dialect: Dialect, form: Form, lines: int) -> int:
    """Where the first `lines` lines end, in bytes; raises `InvalidInput` where nobody can say."""
    end = len(form.mark)
    with open_to_read(path) as file:
        text, _ = as_utf8(file, dialect.encoding)
        for _ in range(lines):
            line = text.readline()
            end += len(line if form.codec == "utf-8" else form.encode(line.decode()))
    newline = form.encode("\r" if form.is_cr else "\n")
    with open_to_read(path) as file:
        file.seek(end - len(newline))
        if file.read(len(newline)) == newline:
            return end
    raise InvalidInput(
        f"{path}, line {lines + 1}: it is unfinished: complete it, or name another file."
    )


def _add(path: Path, data: bytes) -> None:
    sink = open_to_append(path)
    sink.write(data)
    sink.close()


def _set_aside(path: Path, end: int, line: int, *, is_damaged: bool = False) -> None:
    """Cuts a file off at `end`; keeps what stood there in a file beside it, the whole of one that is damaged."""
    aside, number = path.with_name(path.name + _ASIDE), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}{_ASIDE}{number}")
    is_packed = path.suffix.lower() in PACKED
    with aside.open("xb") as kept:
        if is_damaged:
            with path.open("rb") as whole:
                shutil.copyfileobj(whole, kept)
        else:
            with open_to_read(path) as file, suppress(*unpacking_errors()):
                file.seek(end)
                while piece := file.read(_CHUNK):
                    kept.write(piece)
    if is_packed:
        replaced(path, lambda sink: _copy(path, end, sink))
    else:
        os.truncate(path, end)
    if aside.stat().st_size:
        words = "%s, line %d: an unfinished row was cut off: it is kept in %s."
        _log.warning(words, path, line, aside)
    else:
        aside.unlink()


def _copy(path: Path, end: int, sink: ByteSink) -> None:
    with open_to_read(path) as file:
        while end > 0 and (line := file.readline(min(_CHUNK, end))):
            sink.write(line)
            end -= len(line)
