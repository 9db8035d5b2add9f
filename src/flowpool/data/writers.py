"""The writer for a file's name, in every format, and what is checked before anything is written."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from flowpool.data.dialect import DELIMITERS, Dialect, checked_delimiter
from flowpool.data.encodings import form_of
from flowpool.data.files import STDIN, format_of
from flowpool.data.layout import Choice, Layout
from flowpool.data.text_writers import DelimitedWriter, JsonlWriter, OutputFile
from flowpool.data.urls import Url, UrlWriter, spooled
from flowpool.data.writer import Writer as Writer
from flowpool.errors import InvalidInput, OutputExists
from flowpool.folders import is_url, local_path
from flowpool.values import UNKNOWN_ANSWERS, AnswerColumns

if TYPE_CHECKING:
    from flowpool.data.rows import Rows

STDOUT = STDIN
_ENDINGS = (".jsonl", ".ndjson", ".csv", ".tsv")


class WriteOptions(TypedDict, total=False):
    """What may be said of a file of results; see `open_writer`."""

    meta: Choice
    inputs: Choice
    output: str | None
    append: bool
    overwrite: bool
    spreadsheet_safe: bool
    format: str | None
    delimiter: str | None
    encoding: str | None


def open_writer(
    path: str | Path,
    rows: Rows | None = None,
    answers: AnswerColumns = UNKNOWN_ANSWERS,
    **options: Unpack[WriteOptions],
) -> Writer:
    """A writer for a .jsonl, .csv, .tsv (also .gz, .zst), .parquet or .xlsx file, or `"-"` for standard output.

    A URL (`s3://...`, with flowpool[urls]) is written as a temporary file, and uploaded when the writer is closed.

    rows: where the items come from, if it matters: their columns keep the names and types that they have there.
    answers: what is known of the answers' columns; `output` names that of one without fields otherwise.

    meta, inputs, output: which columns there are, as in `Results`.
    append: adds to what the file holds, as that is written. An unfinished row at its end is set aside, in a file
        beside it; columns that it doesn't have are refused.
    overwrite: lets a file that holds something be replaced.
    spreadsheet_safe: an apostrophe before cells of text that begin with = + - @, in CSV and TSV.
    format: "jsonl", "csv", "tsv", "parquet" or "xlsx", where no ending tells.
    delimiter, encoding: of a CSV; a comma and UTF-8, or what the file has that is added to.

    Raises `InvalidInput` at once for a path that can't be written, or holds something and neither is said.
    """
    _check_options(options)
    if is_url(path):
        return _url_writer(Url(str(path)), rows, answers, options)
    file = None if str(path) == STDOUT else local_path(path)
    if file is None and sys.stdout is None:
        raise InvalidInput("standard output is closed: name a file for the output.")
    if file is not None:
        check_target(file, rows, may_exist=_may_exist(options))
    kind = options.get("format") or ("jsonl" if file is None else _format(file))
    layout = _layout(rows, answers, options)
    writer = _writer(str(path), file, kind, layout, rows, options)
    if writer.there and rows is not None and (names := _names(rows)):
        writer.check_fits(layout.columns(names))
    return writer


def _layout(rows: Rows | None, answers: AnswerColumns, options: WriteOptions) -> Layout:
    layout = Layout(
        options.get("output") or answers.name,
        options.get("inputs", True),
        options.get("meta", False),
        {} if rows is None else {variable: column for column, variable in rows.renamed.items()},
        answers,
    )
    if rows is not None:
        _check_inputs(layout, rows)
    return layout


def _url_writer(
    url: Url, rows: Rows | None, answers: AnswerColumns, options: WriteOptions
) -> Writer:
    """Rows go into a temporary file, which is uploaded whole: nothing can be added to what is there already."""
    if not _may_exist(options) and url.exists():
        raise OutputExists(str(url))
    path = spooled(url, append=options.get("append", False))
    try:
        return UrlWriter(url, path.parent, open_writer(path, rows, answers, **options))
    except BaseException:
        shutil.rmtree(path.parent, ignore_errors=True)
        raise


def _writer(
    path: str,
    file: Path | None,
    kind: str,
    layout: Layout,
    rows: Rows | None,
    options: WriteOptions,
) -> Writer:
    if kind in DELIMITERS:
        delimiter = checked_delimiter(options.get("delimiter"))
        dialect = Dialect(DELIMITERS[kind], delimiter, options.get("encoding"))
        form_of(dialect.encoding)
        target = OutputFile(file, options.get("append", False))
        safe = options.get("spreadsheet_safe", False)
        return DelimitedWriter(path, layout, target, dialect, safe)
    _refuse_text_options(options)
    if kind == "parquet":
        return _parquet_writer(file, layout, rows, options)
    if kind == "xlsx":
        return _excel_writer(file, layout, options)
    if kind == "jsonl":
        return JsonlWriter(path, layout, OutputFile(file, options.get("append", False)))
    raise InvalidInput(f'format={kind!r}: use "jsonl", "csv", "tsv", "parquet" or "xlsx".')


def _names(rows: Rows) -> tuple[str, ...]:
    """The names that the rows have, or the first of them has, where it costs nothing to look."""
    if rows.columns is not None or rows.once or rows.waits:
        return rows.columns or ()
    with suppress(InvalidInput):  # said when they are read
        first = next(iter(rows), None)
        return tuple(map(str, first)) if isinstance(first, Mapping) else ()
    return ()


def _check_inputs(layout: Layout, rows: Rows) -> None:
    """Raises `InvalidInput` for a wanted column that the rows don't have, where they can be looked at."""
    if rows.columns is not None:
        layout.check_inputs([dict.fromkeys(rows.columns)])
    elif not rows.once and not rows.waits:
        layout.check_inputs(rows)


def _check_options(options: WriteOptions) -> None:
    if odd := options.keys() - WriteOptions.__annotations__.keys():
        raise InvalidInput(f"write({min(odd)}=...): there is no such option.")
    if options.get("append") and options.get("overwrite"):
        raise InvalidInput("append and overwrite: say one of them.")


def _refuse_text_options(options: WriteOptions) -> None:
    if options.get("spreadsheet_safe"):
        raise InvalidInput("spreadsheet_safe: only CSV and TSV have cells that become formulas.")
    for name in ("delimiter", "encoding"):
        if options.get(name) is not None:
            raise InvalidInput(f"{name}=: only CSV and TSV have one of their own: leave it out.")


def _parquet_writer(
    file: Path | None, layout: Layout, rows: Rows | None, options: WriteOptions
) -> Writer:
    from flowpool.data.parquet import ParquetWriter, parts_of

    if file is None:
        raise InvalidInput("Parquet can't go to standard output: name a file.")
    _refuse_left(parts_of(file), options)
    schema = None if rows is None else rows.schema
    return ParquetWriter(file, layout, append=options.get("append", False), schema=schema)


def _excel_writer(file: Path | None, layout: Layout, options: WriteOptions) -> Writer:
    from flowpool.data.excel_writer import ExcelWriter, lines_of

    if file is None:
        raise InvalidInput("Excel can't go to standard output: name a file.")
    _refuse_left(lines_of(file), options)
    return ExcelWriter(file, layout, append=options.get("append", False))


def _refuse_left(path: Path, options: WriteOptions) -> None:
    """Raises `InvalidInput` where rows of a run that was cut would be dropped unasked."""
    if path.exists() and not _may_exist(options):
        raise InvalidInput(
            f"{path} holds rows of a run that was cut: append=True goes on from them, "
            "overwrite=True drops them."
        )


def _may_exist(options: WriteOptions) -> bool:
    return options.get("append", False) or options.get("overwrite", False)


def _format(path: Path) -> str:
    if path.suffix.lower() in (".parquet", ".pq"):
        return "parquet"
    if path.suffix.lower() == ".xlsx":
        return "xlsx"
    kind = format_of(path)
    if kind is None and path.exists() and not path.is_file():
        return "jsonl"  # a pipe or device
    if kind is None or kind == "json":
        raise InvalidInput(
            f"{path}: no such format: use a name that ends in {', '.join(_ENDINGS)} (or with .gz, .zst) "
            ".parquet or .xlsx."
        )
    return kind


def check_target(path: Path, rows: Rows | None = None, *, may_exist: bool) -> None:
    """Raises `InvalidInput` for a file that can't be written, or holds something. rows: what is read."""
    _check_length(path)
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder: name a file.")
    if not path.parent.is_dir():
        raise InvalidInput(f"{path}: there is no folder {path.parent}.")
    if rows is not None and rows.path is not None and _is_same_file(path, rows.path):
        raise InvalidInput(f"{path} is the input: name another file for the output.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InvalidInput(f"{path}: can't be written: you may not write there.")
    if not may_exist and path.is_file() and path.stat().st_size:
        raise OutputExists(path)


def _check_length(path: Path) -> None:
    """Raises `InvalidInput` for a name that is longer than the file system has any."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidInput(
                f"{path}: the name is too long: name another file, with a shorter one."
            ) from None


def _is_same_file(path: Path, other: Path) -> bool:
    return path.exists() and other.exists() and path.samefile(other)
