"""Rows of data frames, of Hugging Face datasets and of anything iterable, without copying the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any

from flowpool.data.arrow import ArrowStream, ArrowTable, checked_names
from flowpool.data.reading import RowCursor, Table
from flowpool.errors import InvalidInput

# Rows made into Python objects at once, as of files: see `arrow.BATCH`.
_BATCH = 256
_LIBRARIES = ("polars", "pandas", "pyarrow", "datasets", "duckdb", "_duckdb")
_IN_MEMORY: tuple[type, ...] = (list, tuple, type(iter([])), type(iter(())))


def frame_table(source: Any) -> Table | None:
    """The table of a frame of a library that is known; None for anything else."""
    library, kind = _library_of(source)
    if library == "polars":
        return {"DataFrame": PolarsFrame, "LazyFrame": PolarsLazyFrame}.get(kind, _no_frame)(source)
    if library == "pandas":
        return (PandasFrame if kind == "DataFrame" else _no_frame)(source)
    if library == "pyarrow":
        stream = kind == "RecordBatchReader"
        return ArrowStream(source) if stream else (_arrow_table(source) or _no_frame(source))
    if library == "datasets":
        return HuggingFace(source)
    if library in ("duckdb", "_duckdb"):
        return DuckRelation(source) if hasattr(source, "columns") else _no_frame(source)
    if hasattr(source, "__arrow_c_stream__"):
        return ArrowStream(source)
    return None


def _library_of(source: Any) -> tuple[str, str]:
    """The library and the name of a source's type, or of the type of a known library that it is a kind of."""
    kinds = [(kind.__module__.partition(".")[0], kind.__name__) for kind in type(source).__mro__]
    return next((kind for kind in kinds if kind[0] in _LIBRARIES), kinds[0])


def _arrow_table(source: Any) -> Table | None:
    return ArrowTable(source) if hasattr(source, "schema") else None


def _no_frame(source: Any) -> Table:
    kind = f"{type(source).__module__.partition('.')[0]}'s {type(source).__name__}"
    raise InvalidInput(f"items is {kind}, which has no rows: pass a data frame.")


class PolarsFrame(Table):
    """A polars DataFrame."""

    library = "polars"

    def __init__(self, frame: Any) -> None:
        self.name = "the DataFrame"
        self.frame = frame
        self.columns = tuple(frame.columns)
        self.length = frame.height

    @property
    def schema(self) -> Any:
        return _arrow_schema(lambda pa: self.frame.head(0).to_arrow().schema)

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        return _counted(self.frame.iter_rows(named=True, buffer_size=_BATCH), reading)


class PolarsLazyFrame(Table):
    """A polars LazyFrame: collected in batches, in order."""

    library = "polars"
    waits = True

    def __init__(self, frame: Any) -> None:
        self.name = "the LazyFrame"
        self._frame = frame
        self._schema = frame.collect_schema()
        self.columns = tuple(self._schema.names())

    @property
    def schema(self) -> Any:
        return _arrow_schema(lambda pa: self._schema.to_frame().to_arrow().schema)

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        return _counted(self._all(), reading)

    def _all(self) -> Iterator[Any]:
        if hasattr(self._frame, "collect_batches"):
            batches = self._frame.collect_batches(maintain_order=True, chunk_size=4096)
        else:
            batches = [self._frame.collect()]
        for batch in batches:
            yield from batch.iter_rows(named=True, buffer_size=_BATCH)


class PandasFrame(Table):
    """A pandas DataFrame. What it counts as missing (NaN, NaT, NA) is None."""

    library = "pandas"

    def __init__(self, frame: Any) -> None:
        self.name = "the DataFrame"
        self.frame = frame
        self.columns = checked_names(self.name, frame.columns)
        self.length = len(frame)

    @property
    def schema(self) -> Any:
        return _arrow_schema(
            lambda pa: pa.Schema.from_pandas(self.frame.head(0), preserve_index=False)
        )

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        return _counted(self._all(), reading)

    def _all(self) -> Iterator[Any]:
        names, frame = self.columns, self.frame
        assert names is not None
        for start in range(0, len(frame), _BATCH):
            piece = frame.iloc[start : start + _BATCH]
            cells = [_pandas_cells(piece.iloc[:, at]) for at in range(len(names))]
            if not cells:
                yield from ({} for _ in range(len(piece)))
            for row in zip(*cells, strict=True):
                yield dict(zip(names, row, strict=True))


def _pandas_cells(series: Any) -> list[Any]:
    """A column's values as Python's own; None where one is missing."""
    values: list[Any] = series.tolist()
    if not series.hasnans:
        return values
    missing = series.isna().tolist()
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]


class DuckRelation(Table):
    """A DuckDB relation, whose query is run at each reading."""

    library = "duckdb"
    waits = True

    def __init__(self, relation: Any) -> None:
        self.name = "the DuckDB relation"
        self._relation = relation
        self.columns = checked_names(self.name, relation.columns)

    @property
    def schema(self) -> Any:
        empty = self._relation.limit(0)
        return _arrow_schema(lambda pa: pa.RecordBatchReader.from_stream(empty).schema)

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        return _counted(self._all(), reading)

    def _all(self) -> Iterator[Any]:
        names, relation = self.columns, self._relation
        assert names is not None
        if hasattr(relation, "iter_rows"):
            cells = relation.iter_rows()
        else:
            relation.execute()
            cells = iter(relation.fetchone, None)
        return (dict(zip(names, row, strict=True)) for row in cells)


class HuggingFace(Table):
    """A Dataset or IterableDataset of Hugging Face."""

    library = "datasets"
    waits = True

    def __init__(self, dataset: Any) -> None:
        if isinstance(dataset, Mapping):
            split = next(iter(dataset), "train")
            raise InvalidInput(f"items is a {type(dataset).__name__}: pass one split: [{split!r}].")
        self.name = f"the {type(dataset).__name__}"
        names = dataset.column_names
        self.columns = None if names is None else tuple(names)
        self.length = len(dataset) if isinstance(dataset, Sized) else None
        self.frame = dataset if self.length is not None else None
        self._dataset = dataset

    @property
    def schema(self) -> Any:
        features = self._dataset.features
        return None if features is None else features.arrow_schema

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        return _counted(iter(self._dataset), reading)


class Items(Table):
    """A list or any other iterable of rows, or of things that are found to be none later on."""

    may_be_empty = True

    def __init__(self, items: Iterable[Any]) -> None:
        self.name = "items"
        self._items = items
        self.once = isinstance(items, Iterator)
        self.length = len(items) if isinstance(items, Sized) else None
        self.waits = not isinstance(items, _IN_MEMORY)

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        return iter(self._items)


def _arrow_schema(schema: Callable[[Any], Any]) -> Any:
    """The types that are known, as an Arrow schema; None without pyarrow, or where Arrow has no such types."""
    try:
        import pyarrow as pa
    except ImportError:
        return None
    try:
        fields = [field for field in schema(pa) if not pa.types.is_null(field.type)]
    except Exception:  # Arrow's own, or that of a type which another library adds
        return None
    return pa.schema(fields)


def _counted(rows: Iterable[Any], reading: RowCursor) -> Iterator[Any]:
    for number, row in enumerate(rows, 1):
        reading.number = number
        yield row
