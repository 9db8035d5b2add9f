"""Columns of Arrow from rows of Python, and columns of several tables made alike.

A column whose values are of kinds that have no type in common becomes text: JSON for what isn't text.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowpool.data.cells import as_text, typed

_log = logging.getLogger("flowpool.data")
_WHOLE = {"_attempts", "_input_tokens", "_output_tokens", "_index"}
_TEXT = {"_status", "_error", "_model"}


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The values by column, None where a row has none; the columns in the order they come up."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


class Column(list[Any]):
    """A column's values. kind: the JSON type that they have, where it is known."""

    def __init__(self, values: Iterable[Any], kind: str = "") -> None:
        super().__init__(values)
        self.kind = kind

    @property
    def is_empty(self) -> bool:
        """Whether it has no value, so that only its kind tells its type."""
        return bool(self.kind) and all(value is None for value in self)


def table_of(
    rows: Sequence[Mapping[str, Any]], types: Mapping[str, Any], kinds: Mapping[str, str]
) -> Any:
    """An Arrow table of rows; `types` and `kinds` have the types of Arrow and of JSON that are known by column."""
    import pyarrow as pa

    columns = columns_of(rows)
    arrays = [
        array_of(Column(values, kinds.get(name, "")), types.get(name), name)
        for name, values in columns.items()
    ]
    return pa.Table.from_arrays(arrays, names=list(columns))


def array_of(values: list[Any], kind: Any = None, name: str = "") -> Any:
    """The values as an Arrow array: of this type if they fit it, else of the one they have in common, else text."""
    import pyarrow as pa

    kind = kind or _known(name)
    if kind is None and isinstance(values, Column) and values.is_empty:
        kind = _of_json(values.kind)
    if kind is not None:
        try:
            return pa.array(values, kind)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            pass
    for prepare in (_as_they_are, _all_plain):
        try:
            array = pa.array(prepare(values))
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            continue
        # Arrow makes dates of dates and times together, and so loses the times.
        if not (pa.types.is_date(array.type) and any(type(v) is datetime.datetime for v in values)):
            return array
    return pa.array(texts(values, name), pa.string())


def unified(schemas: Iterable[Any]) -> Any:
    """The schema that tables of all these can be brought to."""
    import pyarrow as pa

    kinds: dict[str, Any] = {}
    for schema in schemas:
        for field in schema:
            kinds[field.name] = _common(kinds.get(field.name), field.type)
    return pa.schema(list(kinds.items()))


def conformed(batch: Any, schema: Any) -> Any:
    """The batch as a table with this schema; columns that it lacks are null."""
    import pyarrow as pa

    arrays = []
    for field in schema:
        at = batch.schema.get_field_index(field.name)
        if at < 0:
            arrays.append(pa.nulls(batch.num_rows, field.type))
            continue
        array = batch.column(at)
        arrays.append(array if array.type.equals(field.type) else _converted(array, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _converted(array: Any, kind: Any) -> Any:
    import pyarrow as pa

    values = array.to_pylist()
    return pa.array(_texts(values) if pa.types.is_string(kind) else values, kind)


def _common(one: Any, other: Any) -> Any:
    import pyarrow as pa

    if one is None or one.equals(other):
        return other
    try:
        schemas = [pa.schema([("", kind)]) for kind in (one, other)]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return pa.string()


def _known(name: str) -> Any:
    import pyarrow as pa

    while name.endswith("_output"):  # the input has the name itself
        name = name.removesuffix("_output")
    if name in _WHOLE:
        return pa.int64()
    if name in _TEXT:
        return pa.string()
    return pa.float64() if name in ("_seconds", "_cost") else None


def _of_json(kind: str) -> Any:
    """Arrow's type for JSON's; None for those whose parts aren't known."""
    import pyarrow as pa

    simple = {
        "string": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
    }
    return simple.get(kind)


def _as_they_are(values: list[Any]) -> list[Any]:
    return values


def _all_plain(values: list[Any]) -> list[Any]:
    return [typed(value) for value in values]


def texts(values: list[Any], name: str) -> list[str | None]:
    """The values of a column that has no type in common as text, which is logged."""
    _log.warning("The column %r has values of several kinds: it becomes text.", name)
    return _texts(values)


def _texts(values: list[Any]) -> list[str | None]:
    return [None if value is None else as_text(value) for value in values]
