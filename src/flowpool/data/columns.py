"""Columns of Arrow from rows of Python, and columns of several tables made alike.

A column whose values are of kinds that have no type in common becomes text: JSON for what isn't text.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flowpool.data.cells import as_text, encodable, typed

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
    rows: Sequence[Mapping[str, Any]],
    types: Mapping[str, Any],
    kinds: Mapping[str, str],
    as_text: set[str],
    can_hold: Callable[[Any], bool],
) -> Any:
    """An Arrow table of rows; `types` and `kinds` have the types of Arrow and of JSON that are known by column.

    as_text: the columns that are text whatever they hold; those that become text are added. can_hold: whether what
    the table is for has room for an array's type.
    """
    import pyarrow as pa

    arrays = {}
    for name, values in columns_of(rows).items():
        array = None
        if name not in as_text:
            array = _typed_array(Column(values, kinds.get(name, "")), types.get(name), name)
            if array is None or not can_hold(array):
                array = None
                as_text.add(name)
                _tell_of_text(name)
        arrays[encodable(name)] = pa.array(_texts(values), pa.string()) if array is None else array
    return pa.Table.from_arrays(list(arrays.values()), names=list(arrays))


def array_of(values: list[Any], kind: Any = None, name: str = "") -> Any:
    """The values as an Arrow array: of this type if they fit it, else of the one they have in common, else text."""
    import pyarrow as pa

    array = _typed_array(values, kind, name)
    return pa.array(texts(values, name), pa.string()) if array is None else array


def _typed_array(values: list[Any], kind: Any, name: str) -> Any:
    """As `array_of`; None for values without a type in common."""
    import pyarrow as pa

    kind = kind or _known(name)
    if kind is None and isinstance(values, Column) and values.is_empty:
        kind = _of_json(values.kind)
    tries = [(_as_they_are, kind), (_all_encodable, kind)] if kind is not None else []
    tries += [(_as_they_are, None), (_all_plain, None), (_all_encodable, None)]
    for prepare, wanted in tries:
        try:
            array = pa.array(prepare(values), wanted)
        except Exception:  # Arrow's and Python's own, by what the values are
            continue
        # Arrow makes dates of dates and times together, and so loses the times.
        is_mixed = wanted is None and any(type(v) is datetime.datetime for v in values)
        if not (is_mixed and pa.types.is_date(array.type)):
            return array
    return None


class NoCommonType(Exception):
    """A column whose values don't fit the type that its parts have in common. column: its name."""

    def __init__(self, column: str) -> None:
        self.column = column
        super().__init__(column)


def unified(schemas: Iterable[Any]) -> Any:
    """The schema that tables of all these can be brought to."""
    import pyarrow as pa

    kinds: dict[str, Any] = {}
    for schema in schemas:
        for field in schema:
            before = kinds.get(field.name)
            kind = kinds[field.name] = _common(before, field.type)
            was_other = before is not None and before not in (pa.string(), pa.null())
            if was_other and pa.types.is_string(kind):
                _tell_of_text(field.name)
    return pa.schema(list(kinds.items()))


def with_text(schema: Any, column: str) -> Any:
    """The schema with this column as text, which is logged."""
    import pyarrow as pa

    _tell_of_text(column)
    return schema.set(schema.get_field_index(column), pa.field(column, pa.string()))


def conformed(batch: Any, schema: Any) -> Any:
    """The batch as a table with this schema; columns that it lacks are null. Raises `NoCommonType`."""
    import pyarrow as pa

    arrays = []
    for field in schema:
        at = batch.schema.get_field_index(field.name)
        if at < 0:
            arrays.append(pa.nulls(batch.num_rows, field.type))
            continue
        array = batch.column(at)
        try:
            arrays.append(array if array.type.equals(field.type) else _converted(array, field.type))
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            raise NoCommonType(field.name) from None
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


def _all_encodable(values: list[Any]) -> list[Any]:
    return [encodable(typed(value)) for value in values]


def texts(values: list[Any], name: str) -> list[str | None]:
    """The values of a column that has no type in common as text, which is logged."""
    _tell_of_text(name)
    return _texts(values)


def _texts(values: list[Any]) -> list[str | None]:
    return [None if value is None else encodable(as_text(value)) for value in values]


def _tell_of_text(name: str) -> None:
    _log.warning("The column %r has values that no one type holds: it becomes text.", name)
