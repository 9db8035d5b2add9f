"""Rows of SQLite and DuckDB: a table or a query, fetched as they are read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from flowpool.data.files import check_file
from flowpool.data.reading import RowCursor, Table
from flowpool.errors import InvalidInput

SQLITE_ENDINGS = (".db", ".sqlite", ".sqlite3")
DUCKDB_ENDINGS = (".duckdb", ".ddb")
# Rows fetched at once, as of files: see `arrow.BATCH`.
_BATCH = 256
_NO_ROWS = "gives no rows: write a SELECT."


def database_table(path: Path, sql: str | None, table: str | None) -> Table:
    """The rows of a query or a table of a database file; of its only table when neither is named.

    Neither a query nor a view in the file reaches another file.
    """
    check_file(path)
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"SQLite format 3\0"):
        return SqliteQuery(path, sql, table)
    if head[8:12] == b"DUCK":
        return DuckQuery(path, sql, table)
    raise InvalidInput(f"{path}: neither an SQLite nor a DuckDB database.")


class SqliteQuery(Table):
    """A query over an SQLite file, which is opened to read only."""

    waits = True
    path: Path

    def __init__(self, path: Path, sql: str | None, table: str | None) -> None:
        self.path = path
        with closing(self._connect()) as database:
            tables = [
                name
                for (name,) in _asked(
                    database.execute,
                    str(path),
                    "select name from sqlite_master where type in ('table', 'view') "
                    "and name not like 'sqlite_%' order by name",
                )
            ]
            self.name, self._sql = _chosen(str(path), tables, sql, table)
            # Neither runs the query, which may take long: the first says what is wrong in it, in its own words.
            _asked(database.execute, self.name, f"explain {self._sql}")
            try:
                cursor = database.execute(f"select * from ({self._sql}\n) limit 0")
            except sqlite3.Error:
                raise InvalidInput(f"{self.name}: {self._sql!r} {_NO_ROWS}") from None
            self.columns = _unique(self.name, _as_written([c[0] for c in cursor.description]))

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        names = self.columns
        assert names is not None
        broken = False

        def text(value: bytes) -> str:
            nonlocal broken
            try:
                return value.decode()
            except UnicodeDecodeError:
                broken = True
                return value.decode("utf-8", "replace")

        with closing(self._connect()) as database:
            database.text_factory = text
            for reading.number, row in enumerate(_asked(database.execute, self.name, self._sql), 1):
                if broken:
                    broken = False
                    reading.bad("a text that isn't UTF-8.")
                else:
                    yield dict(zip(names, row, strict=True))

    def _connect(self) -> sqlite3.Connection:
        # A reader's thread may not be the one that closes it.
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        database = sqlite3.connect(uri, uri=True, check_same_thread=False)
        database.set_authorizer(_allow_no_other_file)
        return database


class DuckQuery(Table):
    """A query over a DuckDB file, or over nothing but what the query itself names, such as `from 'rows.csv'`.

    Over a file it reaches nothing else: views in it may name any other.
    """

    waits = True

    def __init__(self, path: Path | None, sql: str | None, table: str | None) -> None:
        self.path = path
        self.name = str(path or "the query")
        with self._connect() as database:
            if path is not None:
                found = _asked(
                    database.execute,
                    self.name,
                    "select table_name from information_schema.tables order by table_name",
                )
                names = [name for (name,) in found.fetchall()]
                self.name, self._sql = _chosen(self.name, names, sql, table)
            else:
                self._sql = _bare(sql or "")
            self._check_select(database)
            # Made, not run: only reading it does that.
            relation = _asked(database.sql, self.name, self._sql)
            self.columns = _unique(self.name, relation.columns)

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        names = self.columns
        assert names is not None
        with self._connect() as database:
            result = _asked(database.execute, self.name, self._sql)
            while batch := _fetched(result, self.name, reading):
                for row in batch:
                    reading.number += 1
                    yield dict(zip(names, row, strict=True))

    def _check_select(self, database: Any) -> None:
        """Raises `InvalidInput` for what doesn't give rows, before any of it is run: a COPY would write at once."""
        kinds = [one.type.name for one in _asked(database.extract_statements, self.name, self._sql)]
        if kinds not in (["SELECT"], ["MULTI"]):  # several in one: a PIVOT
            raise InvalidInput(f"{self.name}: {self._sql!r} {_NO_ROWS}")

    def _connect(self) -> Any:
        try:
            import duckdb
        except ImportError:
            raise InvalidInput("to query with DuckDB: pip install 'flowpool[duckdb]'") from None
        is_file = self.path is not None
        try:
            return duckdb.connect(
                str(self.path or ":memory:"),
                read_only=is_file,
                config={"enable_external_access": not is_file},
            )
        except duckdb.Error as error:
            raise InvalidInput(f"{self.name}: can't be opened: {_line(error)}.") from None


def _allow_no_other_file(action: int, *_: object) -> int:
    """SQLite asks before each action of a query: ATTACH and VACUUM INTO would open or write another file."""
    refused = (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH)
    return sqlite3.SQLITE_DENY if action in refused else sqlite3.SQLITE_OK


def _fetched(result: Any, name: str, reading: RowCursor) -> list[Any]:
    try:
        rows: list[Any] = result.fetchmany(_BATCH)
        return rows
    except Exception as error:
        raise InvalidInput(f"{name}, after row {reading.number}: {_line(error)}.") from error


def _asked(ask: Callable[[str], Any], name: str, sql: str) -> Any:
    try:
        return ask(sql)
    except Exception as error:
        raise InvalidInput(f"{name}: {_line(error)}.") from None


def _chosen(name: str, tables: list[str], sql: str | None, table: str | None) -> tuple[str, str]:
    """What to call the rows, and the query for them."""
    if sql is not None:
        return f"{name}, the query", _bare(sql)
    there = ", ".join(tables) or "none"
    if table is None:
        if len(tables) != 1:
            raise InvalidInput(f"{name}: say which rows: table=... (there are: {there}) or sql=...")
        table = tables[0]
    if table not in tables:
        raise InvalidInput(f"{name}: no table {table!r} (there are: {there}).")
    quoted = table.replace('"', '""')
    return f"{name}, table {table}", f'select * from "{quoted}"'


def _bare(sql: str) -> str:
    return sql.strip().rstrip(";").strip()


def _as_written(columns: list[str]) -> list[str]:
    """The names of a query's columns: in brackets SQLite calls a second `n` `n:1`."""
    written = []
    for column in columns:
        name, _, number = column.rpartition(":")
        written.append(name if number.isdecimal() and name in columns else column)
    return written


def _unique(name: str, columns: list[str]) -> tuple[str, ...]:
    if doubles := [column for column in columns if columns.count(column) > 1]:
        raise InvalidInput(f"{name}: the column {doubles[0]!r} is there twice: rename it with AS.")
    return tuple(columns)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
