"""Rows of Parquet files and of everything that speaks Arrow: a batch at a time, never the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowpool.data.files import check_file
from flowpool.data.reading import RowCursor, Table
from flowpool.errors import InvalidInput

if TYPE_CHECKING:
    from flowpool.data.urls import Url

# Rows made into Python objects at once: enough that a batch's own cost is small beside that of its rows, few enough
# that rows with long documents fit into memory.
BATCH = 256
# Bytes: a row group is read as it is needed, not kept whole.
_READ_BUFFER = 1 << 20


def load_pyarrow(purpose: str) -> Any:
    """The package; raises `InvalidInput` with the command that installs it."""
    try:
        import pyarrow
    except ImportError:
        raise InvalidInput(f"{purpose}: pip install 'flowpool[parquet]'") from None
    return pyarrow


class ParquetFile(Table):
    """A Parquet file, read a piece of a row group at a time."""

    def __init__(self, path: Path | Url) -> None:
        check_file(path)
        load_pyarrow("to read Parquet")
        self.path = path if isinstance(path, Path) else None
        self.waits = self.path is None
        self._source = path
        self.name = str(path)
        with self._open() as file:
            self._schema = file.schema_arrow
            self.length = file.metadata.num_rows
        self.columns = checked_names(self.name, self._schema.names)

    @property
    def schema(self) -> Any:
        return self._schema

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        with self._open() as file:
            yield from batch_rows(
                file.iter_batches(batch_size=BATCH, use_threads=False), self.name, reading
            )

    def _open(self) -> Any:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile as Opened

        try:
            # Without pre_buffer a row group's pages are read as they are needed.
            source = self.path or self._source.open("rb")
            return Opened(source, buffer_size=_READ_BUFFER, pre_buffer=False)
        except (ArrowException, OSError) as error:
            raise InvalidInput(f"{self.name}: not a whole Parquet file: {_line(error)}.") from None


class ArrowTable(Table):
    """An Arrow table, record batch or dataset."""

    library = "pyarrow"

    def __init__(self, source: Any) -> None:
        self._source = source
        self.name = f"the {type(source).__name__}"
        self._schema = source.schema
        self.columns = checked_names(self.name, self._schema.names)
        is_table = hasattr(source, "num_rows")
        self.length = source.num_rows if is_table else None
        self.frame = source if is_table else None
        self.waits = not is_table

    @property
    def schema(self) -> Any:
        return self._schema

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        source = self._source
        batches: Iterable[Any]
        if self.frame is not None:
            batches = (source.slice(at, BATCH) for at in range(0, source.num_rows, BATCH))
        else:
            batches = source.to_batches(batch_size=BATCH)
        return batch_rows(batches, self.name, reading)


class ArrowStream(Table):
    """Whatever hands out Arrow batches by `__arrow_c_stream__`. It may do so once only: a reader does."""

    library = "pyarrow"
    waits = True

    def __init__(self, source: Any) -> None:
        load_pyarrow(f"to read a {type(source).__name__}")
        self._source = source
        self.name = f"the {type(source).__name__}"
        self.once = type(source).__name__ == "RecordBatchReader"
        self._schema = getattr(source, "schema", None) if self.once else None
        if self._schema is not None:
            self.columns = checked_names(self.name, self._schema.names)

    @property
    def schema(self) -> Any:
        return self._schema

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        from pyarrow import RecordBatchReader

        with RecordBatchReader.from_stream(self._source) as stream:
            checked_names(self.name, stream.schema.names)
            yield from batch_rows(stream, self.name, reading)


def checked_names(name: str, columns: Iterable[Any]) -> tuple[str, ...]:
    """The columns' names as text; raises `InvalidInput` for one that stands there twice."""
    names = tuple(map(str, columns))
    if len(set(names)) < len(names):
        double = next(column for column in names if names.count(column) > 1)
        raise InvalidInput(f"{name}: the column {double!r} is there twice: rename one.")
    return names


def batch_rows(batches: Iterable[Any], name: str, reading: RowCursor) -> Iterator[dict[str, Any]]:
    """The rows of record batches as dicts. A row that can't be made one is bad on its own."""
    reading.name, reading.unit, reading.number = name, "row", 0
    coming = iter(batches)
    convert: Callable[[Any], Any] | None = None
    while True:
        try:
            batch = next(coming, None)
        except Exception as error:
            raise InvalidInput(f"{name}, after row {reading.number}: {_line(error)}.") from error
        if batch is None:
            return
        convert = convert or _microseconds(batch.schema)
        for start in range(0, batch.num_rows, BATCH):
            yield from _piece_rows(convert(batch.slice(start, BATCH)), reading)


def _piece_rows(piece: Any, reading: RowCursor) -> Iterator[dict[str, Any]]:
    before = reading.number
    try:
        rows = piece.to_pylist()
    except Exception:
        rows = None
    for index in range(piece.num_rows):
        reading.number = before + index + 1
        if rows is not None:
            yield rows[index]
            continue
        try:
            row = piece.slice(index, 1).to_pylist()[0]
        except Exception as error:
            reading.bad(f"{_line(error)}.")
        else:
            yield row


def _microseconds(schema: Any) -> Callable[[Any], Any]:
    """What makes times of nanoseconds ones that Python's datetime holds, for batches of this schema."""
    import pyarrow as pa

    fields = []
    for field in schema:
        kind = field.type
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            kind = pa.timestamp("us", kind.tz)
        elif pa.types.is_duration(kind) and kind.unit == "ns":
            kind = pa.duration("us")
        elif pa.types.is_time64(kind) and kind.unit == "ns":
            kind = pa.time64("us")
        fields.append(field.with_type(kind))
    target = pa.schema(fields)
    if target.equals(schema):
        return lambda batch: batch
    return lambda batch: batch.cast(target, safe=False)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
