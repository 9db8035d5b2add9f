"""What a pool's `items` may be: `read` makes rows of any of it. Rows themselves are checked by the plan."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from flowpool.data.dialect import checked_delimiter
from flowpool.data.files import STDIN
from flowpool.data.reading import RowCursor, Table
from flowpool.data.selection import ALL, Selection, selection
from flowpool.data.sources import SourceOptions, table_of_source
from flowpool.data.urls import Url
from flowpool.errors import InvalidInput
from flowpool.folders import Folders, check_beneath, is_url, local_path

Where = str | Callable[[Mapping[str, Any]], Any]
_GLOB = frozenset("*?[")


class Rows:
    """The rows of a source, as `read` gives them: iterable anew each time, lazily.

    Attributes:
        name: what messages call the source.
        length: the number of rows where that is known without reading them, else None.
        columns: the names that every row has where that is known without reading them, else None. They are text:
            the pandas column 0 is the variable `0`.
        skipped: how many bad rows the reading at hand, or the last one, passed over.
        first_skipped: what was wrong with the first few of them.
        description: the arguments of `read` as plain data, where the same rows can be read by it again; else None.
    """

    def __init__(
        self,
        table: Table,
        wanted: Selection,
        skip_bad_rows: bool = False,
        description: Mapping[str, Any] | None = None,
    ) -> None:
        self._table = table
        self._wanted = wanted
        self._skip = skip_bad_rows
        self._counted: int | None = None
        self.description = description
        self._reading = RowCursor(table.name, skip_bad_rows, table.unit)
        self._opened = False
        self.name = table.name
        self._positions: array[int] | None = None  # of the rows that were read, in their frame

    def __iter__(self) -> Iterator[Any]:
        if self._opened and self._table.once:
            raise InvalidInput(f"{self.name} can be read once only: pass a list, or open it anew.")
        self._opened = True
        self._reading = RowCursor(self._table.name, self._skip, self._table.unit)
        rows = self._table.rows(self._reading)
        if not self._wanted.is_all:
            self._positions = None if self._table.frame is None else array("q")
            rows = self._wanted.of(rows, self._reading, self._positions)
        if self._wanted.is_all and self._table.may_be_empty and not self._skip:
            return rows
        return self._with_end(rows)

    def __repr__(self) -> str:
        count = "" if self.length is None else f", {self.length:,} rows"
        return f"Rows({self.name}{count})"

    @property
    def length(self) -> int | None:
        if self._counted is not None or self._skip:
            return self._counted
        return self._wanted.length(self._table.length)

    def look_through(
        self, check: Callable[[Any, int], None], is_wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """Reads all rows once and has each checked, with its position; from then on the length is known.

        is_wanted: asked after each row, whether to go on; it may not be known then.
        """
        count = 0
        for row in self:
            check(row, count)
            count += 1
            if not is_wanted():
                return
        self._counted = count

    def sampled(self, size: int, seed: int = 0) -> Rows:
        """Some of these rows, each as likely as any other, in their order."""
        size = min(size, self.length or size)
        return Rows(SomeOf(self, size, seed), ALL, description=self.description)

    @property
    def is_sample(self) -> bool:
        """Whether they are `sampled` of others: a run of them isn't the run of all."""
        return isinstance(self._table, SomeOf)

    @property
    def columns(self) -> tuple[str, ...] | None:
        return self._wanted.columns(self._table.columns)

    @property
    def skipped(self) -> int:
        return self._reading.skipped

    @property
    def first_skipped(self) -> tuple[str, ...]:
        return tuple(self._reading.first)

    @property
    def position(self) -> str:
        """Where the row that was read last stands: `rows.jsonl, line 3`."""
        return self._reading.position

    @property
    def waits(self) -> bool:
        """Whether reading may take long, so that it belongs in a thread."""
        return self._table.waits

    @property
    def once(self) -> bool:
        """Whether it can't be opened anew."""
        return self._table.once

    @property
    def path(self) -> Path | None:
        """The file that the rows are of, where they are of one."""
        return self._table.path

    @property
    def frame(self) -> Any:
        """The data frame that the rows are of, or None."""
        return self._table.frame

    def positions(self, count: int) -> Sequence[int] | None:
        """Where the first `count` rows stand in their frame; None when they are just its rows."""
        if self._wanted.is_all:
            return None
        # Too few are known of a run that was cut, or never began.
        if self._positions is None or len(self._positions) < count:
            found, reading = array("q"), RowCursor(self.name, skip=True)
            for _ in islice(self._wanted.of(self._table.rows(reading), reading, found), count):
                pass
            self._positions = found
        return self._positions

    @property
    def table_length(self) -> int:
        """How many rows the whole source has; 0 where that isn't known."""
        return self._table.length or 0

    @property
    def library(self) -> str:
        """The library whose kind of frame the rows are of: "pandas", "polars", "pyarrow", ...; else empty."""
        return self._table.library

    @property
    def schema(self) -> Any:
        """The types of the source's columns as an Arrow schema, where it has one; else None."""
        return self._table.schema

    @property
    def renamed(self) -> Mapping[str, str]:
        """The variables' names by the source's columns, where they differ."""
        return self._wanted.names

    def _with_end(self, rows: Iterator[Any]) -> Iterator[Any]:
        """The rows; at their end logs what was skipped, and raises `InvalidInput` when there was none."""
        reading, none = self._reading, True
        for row in rows:
            none = False
            yield row
        reading.log_skipped(self.name)
        if none:
            why = f": {reading.first[0]}" if reading.first else " to run."
            there = "no rows" if self._wanted.is_all else "no rows are left by the selection"
            raise InvalidInput(f"{self.name}: {there}: there is nothing{why}")


def read(
    source: Any = None,
    *,
    columns: Mapping[str, str] | None = None,
    limit: int | slice | None = None,
    where: Where | None = None,
    sample: float | None = None,
    seed: int = 0,
    sql: str | None = None,
    table: str | None = None,
    format: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    skip_bad_rows: bool = False,
) -> Rows:
    """Rows of anything, as a pool's items: read lazily, in bounded memory, anew at each iteration.

    source: the path, or with flowpool[urls] the URL, of a .jsonl, .json, .csv or .tsv file (also .gz or .zst), a
        .parquet file or an Excel workbook (.xlsx, .xls, .xlsb, .ods); an SQLite or DuckDB database; a folder or
        glob of documents, each a row of `path`, `name` and `content`; a glob of row files; `"-"` for JSON lines on
        standard input; a pandas, polars or Arrow frame, a DuckDB relation, a Hugging Face dataset; any iterable of
        dicts. Without a source, `sql` is asked of DuckDB alone.
    columns: the prompt's variable by the data's column, as `{"text": "body"}`; other columns keep their names.
    where: the rows to take: a function of a row, or words such as `"stars >= 4 and lang == 'de'"`. It sees the
        data's own columns.
    sample: some of those: a number of rows, each as likely as any other (all are read, in their order), or a
        share such as `0.01`, row by row. `seed` decides which.
    limit: the first so many of those, or `slice(10, 20)`.
    sql, table: which rows of a database, or which sheet of a workbook. With one table or sheet it needs neither.
    format: "jsonl", "json" (an array of objects, or objects one after another), "csv", "tsv" or "lines" (each line
        as the variable `line`), where no ending tells.
    delimiter: what separates a CSV's cells: one sign. Otherwise what its first records show: comma, semicolon,
        tab or bar.
    encoding: a text file's, as "cp1252" or "shift_jis". Otherwise UTF-8, or UTF-16 where the bytes show it.
    skip_bad_rows: pass over rows that can't be read; they are counted in `skipped` and logged at the end.
        Otherwise the first one raises `InvalidInput` with its file and line.

    Raises `InvalidInput` at once for what holds no rows: nothing at all, a path that isn't there.

    >>> rows = read([{"body": "one", "n": 1}, {"body": "two", "n": 5}], columns={"text": "body"}, where="n > 3")
    >>> list(rows)
    [{'text': 'two', 'n': 5}]
    """
    wanted = selection(columns, where, sample, seed, limit)
    if isinstance(source, Rows):
        raise InvalidInput("these are rows already: pass all of read's options at once.")
    options = SourceOptions(sql, table, format, checked_delimiter(delimiter), encoding)
    options.check(source)
    found = table_of_source(source, options)
    if found.length == 0:
        raise InvalidInput(f"{found.name} is empty: there is nothing to run.")
    if found.columns is not None:  # text, whatever they are in a frame
        names = {str(column): variable for column, variable in wanted.names.items()}
        wanted = replace(wanted, names=names)
        if problem := wanted.lacks(found.columns):
            raise InvalidInput(f"{found.name}: {problem}")
    description = _description(source, where)
    if description is not None:
        description |= {
            "columns": columns,
            "limit": _listed(limit),
            "where": where,
            "sample": sample,
            "seed": seed,
        }
        description |= {
            "sql": sql,
            "table": table,
            "format": format,
            "delimiter": delimiter,
            "encoding": encoding,
            "skip_bad_rows": skip_bad_rows,
        }
        description = {
            name: value for name, value in description.items() if value not in (None, 0, False)
        }
    return Rows(found, wanted, skip_bad_rows, description)


def read_again(description: Mapping[str, Any], allowed: Folders | None) -> Rows:
    """The rows that a `Rows.description` describes; raises as `check_source` does."""
    arguments = dict(description)
    check_source(allowed, arguments.get("path"), arguments.get("sql"))
    if isinstance(arguments.get("limit"), (list, tuple)):
        arguments["limit"] = slice(*arguments["limit"])
    return read(arguments.pop("path", None), **arguments)


def check_source(allowed: Folders | None, path: str | None, sql: str | None) -> None:
    """Raises `InvalidInput` for a source that leads out of the folders; None allows every source."""
    if allowed is None or path == STDIN:
        return
    if path is None:
        if sql is not None:
            raise InvalidInput(
                "sql without a database may read and write any file: name the database, "
                "or load it with trusted=True (--trusted)."
            )
        return
    from flowpool.data.folder import documents_in, globbed

    check_beneath(path, allowed)
    found = local_path(path)
    if found.is_dir():
        files = documents_in(found)
    else:
        files = globbed(str(found)) if _GLOB & set(path) and not found.exists() else []
    for file in files:  # each may be a link
        check_beneath(file, allowed)


def _description(source: Any, where: Any) -> dict[str, Any] | None:
    if callable(where) or str(source) == STDIN or not isinstance(source, (str, Path, type(None))):
        return None
    if is_url(source):  # what is secret in it belongs into no store
        return None if Url(str(source)).is_secret else {"path": source}
    return {} if source is None else {"path": os.path.abspath(local_path(source))}


def _listed(limit: Any) -> Any:
    return [limit.start, limit.stop] if isinstance(limit, slice) else limit


def as_rows(
    items: Any, columns: Mapping[str, str] | None = None, limit: int | slice | None = None
) -> Rows:
    """`items` as rows; raises `InvalidInput` for what holds none."""
    if not isinstance(items, Rows):
        return read(items, columns=columns, limit=limit)
    if columns or limit is not None:
        raise InvalidInput("columns= and limit= belong to read(), where these rows come from.")
    return items


class SomeOf(Table):
    """A sample of other rows."""

    def __init__(self, rows: Rows, size: int, seed: int) -> None:
        self.name = rows.name
        self.columns = rows.columns
        self.length = size
        self.waits = rows.waits
        self._rows = rows
        self._seed = seed

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        return selection(None, None, self.length, self._seed, None).of(
            iter(self._rows), reading, None
        )
