"""Results as data frames: of a library that is asked for, or the frame that came in with the answers beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flowpool.data.arrow import load_pyarrow
from flowpool.data.columns import Column, array_of, columns_of, texts
from flowpool.data.layout import Layout
from flowpool.errors import InvalidInput

if TYPE_CHECKING:
    from flowpool.data.rows import Rows
    from flowpool.record import Record

Columns = dict[str, Column]
_OF_POLARS = {"string": "String", "integer": "Int64", "number": "Float64", "boolean": "Boolean"}
_OF_PANDAS = {"string": "object", "integer": "Int64", "number": "float64", "boolean": "boolean"}


def frame_of(library: str, records: Sequence[Record], rows: Rows | None, layout: Layout) -> Any:
    """A frame of this library with a row a record.

    Where the rows came as such a frame, it is that frame with further columns: the same rows, types, order and
    index. Raises `InvalidInput` when the library isn't there.
    """
    build = _BUILDERS.get(library)
    if build is None:
        raise InvalidInput(
            "the items were no data frame: use to_pandas(), to_polars() or to_arrow()."
        )
    layout.learn(records)
    if rows is not None and rows.frame is not None and rows.library == library and layout.has_all:
        positions = _positions(records, rows)
        answers = _with_kinds([layout.answers(record) for record in records], layout)
        return build(rows.frame, positions, answers, None)
    columns = _with_kinds([layout.row(record) for record in records], layout)
    return build(None, None, columns, None if rows is None else rows.schema)


def _with_kinds(rows: list[dict[str, Any]], layout: Layout) -> Columns:
    kinds = layout.kinds
    columns = columns_of(rows)
    return {name: Column(values, kinds.get(name, "")) for name, values in columns.items()}


def _positions(records: Sequence[Record], rows: Rows) -> list[int] | None:
    """Where the records' rows stand in the frame; None when they are all of it, in order."""
    chosen = rows.positions(1 + max((record.index for record in records), default=-1))
    if chosen is not None:
        return [chosen[record.index] for record in records]
    indexes = [record.index for record in records]
    return None if indexes == list(range(rows.table_length)) else indexes


def _polars(frame: Any, positions: list[int] | None, columns: Columns, schema: Any) -> Any:
    pl = _load("polars")
    if frame is None and schema is not None:
        return pl.from_arrow(_arrow(None, None, columns, schema))
    if positions is not None:
        frame = frame[positions]
    taken = () if frame is None else frame.columns
    series = [_polars_series(pl, name, values) for name, values in _renamed(columns, taken).items()]
    return pl.DataFrame(series) if frame is None else frame.with_columns(series)


def _polars_series(pl: Any, name: str, values: Column) -> Any:
    if values.is_empty and values.kind in _OF_POLARS:
        return pl.Series(name, values, getattr(pl, _OF_POLARS[values.kind]))
    kinds = {type(value) for value in values} - {type(None)}
    if len(kinds) <= 1 or kinds == {int, float}:
        with suppress(pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
            return pl.Series(name, values, strict=False)
    return pl.Series(name, texts(values, name))


def _pandas(frame: Any, positions: list[int] | None, columns: Columns, schema: Any) -> Any:
    pd = _load("pandas")
    if frame is None:
        return pd.DataFrame({name: _series(pd, values) for name, values in columns.items()})
    found = frame.copy(deep=False) if positions is None else frame.iloc[positions]
    more_levels = ("",) * (frame.columns.nlevels - 1)
    for name, values in _renamed(columns, frame.columns).items():
        # An array goes in by position, whatever the index is.
        found[(name, *more_levels) if more_levels else name] = _series(pd, values).array
    return found


def _series(pd: Any, values: Column) -> Any:
    """A column of pandas that keeps whole numbers and truth values what they are beside missing ones."""
    if values.is_empty and values.kind in _OF_PANDAS:
        return pd.Series(values, dtype=_OF_PANDAS[values.kind])
    kinds = {type(value) for value in values}
    whole = kinds - {type(None)}
    if kinds != whole and whole in ({int}, {bool}):
        try:
            return pd.Series(values, dtype="Int64" if whole == {int} else "boolean")
        except OverflowError:
            return pd.Series(values, dtype=object)
    if whole & {list, dict} or len(whole - {int, float}) > 1:
        return pd.Series(values, dtype=object)
    return pd.Series(values)


def _arrow(frame: Any, positions: list[int] | None, columns: Columns, schema: Any) -> Any:
    pa = load_pyarrow("to make an Arrow table")
    if frame is None:
        types = {} if schema is None else {field.name: field.type for field in schema}
        arrays = [array_of(values, types.get(name), name) for name, values in columns.items()]
        return pa.Table.from_arrays(arrays, names=list(columns))
    found = frame if positions is None else frame.take(positions)
    for name, values in _renamed(columns, frame.schema.names).items():
        found = found.append_column(name, array_of(values, name=name))
    return found


def _duckdb(frame: Any, positions: list[int] | None, columns: Columns, schema: Any) -> Any:
    duckdb = _load("duckdb")
    return duckdb.from_arrow(_arrow(None, None, columns, schema))


def _datasets(frame: Any, positions: list[int] | None, columns: Columns, schema: Any) -> Any:
    datasets = _load("datasets")
    if frame is None:
        return datasets.Dataset(_arrow(None, None, columns, schema))
    found = frame if positions is None else frame.select(positions)
    for name, values in _renamed(columns, frame.column_names).items():
        found = found.add_column(name, array_of(values, name=name).to_pylist())
    return found


_BUILDERS: dict[str, Callable[[Any, list[int] | None, Columns, Any], Any]] = {
    "polars": _polars,
    "pandas": _pandas,
    "pyarrow": _arrow,
    "duckdb": _duckdb,
    "datasets": _datasets,
}


def _renamed(columns: Columns, taken: Any) -> Columns:
    """The columns under names that the frame hasn't taken: some of its own may be no variables of the items."""
    renamed: Columns = {}
    for name, values in columns.items():
        while name in taken:
            name += "_output"
        renamed[name] = values
    return renamed


def _load(library: str) -> Any:
    from importlib import import_module

    try:
        return import_module(library)
    except ImportError:
        raise InvalidInput(f"to make a frame of {library}: pip install {library}") from None
