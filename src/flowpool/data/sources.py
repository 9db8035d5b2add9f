"""Which table a source of rows is: by its type, its ending, or what is said of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from flowpool.data.databases import DUCKDB_ENDINGS, SQLITE_ENDINGS, DuckQuery, database_table
from flowpool.data.dialect import COMMA, DELIMITERS, Dialect
from flowpool.data.encodings import form_of
from flowpool.data.excel import EXCEL_ENDINGS, Workbook
from flowpool.data.files import (
    FORMATS,
    STDIN,
    TEXT_ENDINGS,
    Stdin,
    TextFile,
    check_file,
    format_of,
)
from flowpool.data.reading import RowCursor, Table
from flowpool.data.urls import Url
from flowpool.errors import InvalidInput
from flowpool.folders import is_url, local_path

PARQUET_ENDINGS = (".parquet", ".pq")
_GLOB = frozenset("*?[")
# A folder of a path that is a column, as Hive names them, and its value where a row has none.
_PARTITION = re.compile(r"(?:(?<=[/\\])|^)([^/\\=]+)=([^/\\]*)(?=[/\\])")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


class SourceOptions(Struct, frozen=True):
    """What `read` gets to know of a source beside its name."""

    sql: str | None = None
    table: str | None = None
    format: str | None = None
    delimiter: str | None = None
    encoding: str | None = None

    def check(self, source: Any) -> None:
        """Raises `InvalidInput` for what isn't meant for such a source, or can't be meant."""
        is_path = isinstance(source, (str, Path))
        if (self.sql is not None or self.table is not None) and not (is_path or source is None):
            raise InvalidInput("sql= and table= are for databases: use where= for other rows.")
        for name in ("format", "delimiter", "encoding"):
            value = getattr(self, name)
            if value is not None and not is_path:
                raise InvalidInput(f"{name}={value!r} is for files: leave it out.")
        if self.format is not None and self.format not in FORMATS:
            raise InvalidInput(
                f"format={self.format!r}: use one of {', '.join(map(repr, FORMATS))}."
            )
        form_of(self.encoding)

    def dialect(self, name: str, kind: str) -> Dialect:
        """How a file of text is written; raises `InvalidInput` for a delimiter where nothing has one."""
        if self.delimiter is not None and kind not in DELIMITERS:
            raise InvalidInput(f"{name}: delimiter= is for CSV and TSV: leave it out.")
        return Dialect(DELIMITERS.get(kind, COMMA), self.delimiter, self.encoding)


def table_of_source(source: Any, options: SourceOptions) -> Table:
    if source is None and options.sql is not None:
        return DuckQuery(None, options.sql, None)
    if isinstance(source, (str, Path)):
        return _path_table(str(source), options)
    if isinstance(source, AsyncIterable):
        raise InvalidInput("an async iterable is read by Pool itself: pass it there as it is.")
    from flowpool.data.frames import Items, frame_table

    found = frame_table(source)
    if found is not None:
        return found
    if isinstance(source, Mapping):
        raise InvalidInput("items is one dict: pass a list of dicts, one for each item.")
    if not isinstance(source, Iterable):
        raise InvalidInput(
            f"items is {type(source).__name__}: pass dicts in a list or any iterable, a data frame, "
            "or the path of a file or folder of rows."
        )
    return Items(source)


def _path_table(name: str, options: SourceOptions) -> Table:
    from flowpool.data.folder import Documents, folder_table, globbed

    if name == STDIN:
        kind = options.format or "jsonl"
        return Stdin(kind, options.dialect("stdin", kind))
    if is_url(name):
        urls = Url(name).matches()
        return _several(str(Url(name)), urls, options)
    path = local_path(name)
    name = str(path)
    if path.is_dir() and path.suffix.lower() not in TEXT_ENDINGS:
        if options != SourceOptions():
            raise InvalidInput(
                f"{name} is a folder, whose documents are rows: leave format, sql, table, delimiter and "
                "encoding out."
            )
        return folder_table(path)
    if _GLOB & set(name) and not path.exists():
        paths = globbed(name)
        if all(_holds_rows(one) for one in paths) or options.format is not None:
            return _several(name, paths, options)
        return Documents(name, paths)
    return _file_table(path, options)


def _several(name: str, paths: Sequence[Path | Url], options: SourceOptions) -> Table:
    tables = [_file_table(one, options) for one in paths]
    partitions = partitions_of([str(one) for one in paths])
    return Several(name, tables, partitions) if partitions or len(tables) > 1 else tables[0]


def _file_table(path: Path | Url, options: SourceOptions) -> Table:
    ending = path.suffix.lower()
    kind = options.format or format_of(path)
    if ending in SQLITE_ENDINGS or ending in DUCKDB_ENDINGS:
        _check_no_text(path, options)
        return database_table(_local(path), options.sql, options.table)
    is_workbook = ending in EXCEL_ENDINGS and options.format is None
    if options.sql is not None or (options.table is not None and not is_workbook):
        raise InvalidInput(
            f"{path}: sql= and table= are for databases ({', '.join(SQLITE_ENDINGS)})."
        )
    if is_workbook:
        _check_no_text(path, options)
        return Workbook(path, options.table)
    if kind is not None:
        return TextFile(path, kind, options.dialect(str(path), kind))
    if isinstance(path, Path) and not path.exists():
        raise InvalidInput(f"{path}: no such file{'' if ending else ' or folder'}.")
    _check_no_text(path, options)
    if ending in PARQUET_ENDINGS:
        from flowpool.data.arrow import ParquetFile

        return ParquetFile(path)
    return _document(path)


def _document(path: Path | Url) -> Table:
    from flowpool.data.folder import DOCUMENT_ENDINGS, Documents

    if path.suffix.lower() in DOCUMENT_ENDINGS:
        path = _local(path)
        check_file(path)
        return Documents(str(path), [path])
    raise InvalidInput(
        f"{path}: its rows can't be read: use a file that ends in {', '.join(TEXT_ENDINGS)} (or with .gz, .zst), "
        f"{', '.join(PARQUET_ENDINGS + EXCEL_ENDINGS + SQLITE_ENDINGS + DUCKDB_ENDINGS)}, a document, a folder or "
        "a glob."
    )


def _local(path: Path | Url) -> Path:
    if isinstance(path, Path):
        return path
    raise InvalidInput(f"{path}: only files of rows are read from a URL: copy it to this machine.")


def _check_no_text(path: Path | Url, options: SourceOptions) -> None:
    for name in ("delimiter", "encoding"):
        if getattr(options, name) is not None:
            raise InvalidInput(
                f"{path}: {name}= is for files of text: leave it out, or say format= where it is one."
            )


def _holds_rows(path: Path) -> bool:
    return format_of(path) is not None or path.suffix.lower() in PARQUET_ENDINGS + EXCEL_ENDINGS


class Several(Table):
    """Row files one after another. partitions: the columns that each file's path has for all of its rows."""

    def __init__(
        self, name: str, tables: Sequence[Table], partitions: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.name = name
        self.waits = any(table.waits for table in tables)
        self._tables = tables
        self._partitions = partitions or [{}] * len(tables)
        lengths = [table.length for table in tables]
        self.length = (
            sum(one for one in lengths if one is not None) if None not in lengths else None
        )

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        for table, columns in zip(self._tables, self._partitions, strict=True):
            rows = table.rows(reading)
            yield from (columns | row for row in rows) if columns else rows


def partitions_of(paths: Sequence[str]) -> list[dict[str, Any]]:
    """The columns that paths name as Hive does: `year=2024/lang=de/part.parquet`; none where they don't.

    >>> partitions_of(["rows/year=2024/a.csv", "rows/year=__HIVE_DEFAULT_PARTITION__/b.csv"])
    [{'year': 2024}, {'year': None}]
    """
    found = [dict(_PARTITION.findall(path)) for path in paths]
    names = dict.fromkeys(name for columns in found for name in columns)
    for name in names:
        texts = {unquote(columns[name]) for columns in found if name in columns} - {_NO_VALUE}
        is_whole = all(text.isdecimal() and str(int(text)) == text for text in texts)
        for columns in found:
            text = unquote(columns.get(name, _NO_VALUE))
            columns[name] = None if text == _NO_VALUE else int(text) if is_whole else text
    return found if names else []
