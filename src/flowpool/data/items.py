"""What a pool's `items` may be, made into an iterator of rows. Rows themselves are checked by the plan."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

from flowpool.data.files import read_rows
from flowpool.errors import InvalidInput

Rows = Iterator[Any] | AsyncIterator[Any]


def open_rows(items: Any) -> tuple[Rows, int | None]:
    """The rows of `items` and their number, where it is known without reading them.

    Raises `InvalidInput` for what holds no rows: nothing at all, one dict, a path that isn't there.
    """
    if isinstance(items, (str, Path)):
        return read_rows(items), None
    if isinstance(items, Mapping):
        raise InvalidInput("items is one dict: pass a list of dicts, one for each item.")
    if isinstance(items, AsyncIterable):
        return aiter(items), None
    rows = _frame_rows(items)
    if rows is None:
        if not isinstance(items, Iterable):
            raise InvalidInput(
                f"items is {type(items).__name__}: pass dicts in a list or any iterable, "
                "a data frame, or the path of a JSONL or CSV file."
            )
        rows = items
    length = len(rows) if isinstance(rows, Sized) else None
    if length == 0:
        raise InvalidInput("items is empty: there is nothing to run.")
    return iter(rows), length


def _frame_rows(items: Any) -> Iterable[Any] | None:
    """The rows of a pandas, polars or Arrow frame as dicts; None for anything else."""
    library = type(items).__module__.partition(".")[0]
    if library == "polars" and hasattr(items, "iter_rows"):
        rows: Iterable[Any] = items.to_dicts()
    elif library == "pandas" and hasattr(items, "to_dict"):
        rows = items.to_dict("records")
    elif library == "pyarrow" and hasattr(items, "to_pylist"):
        rows = items.to_pylist()
    else:
        return None
    return rows
