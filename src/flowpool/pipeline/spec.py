"""What a run is told beside its runner: where rows come from, where answers go, and its terms. Plain data, checked.

A pipeline's file has these as `input`, `output` and `run`; the command line's options stand over them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from msgspec import Struct

from flowpool.errors import InvalidInput
from flowpool.values import Limits

S = TypeVar("S", bound=Struct)


class Input(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the rows come from, as `flowpool.read` is told it; `limit` is 10 or "10-20", counted from 1."""

    path: str | None = None
    sql: str | None = None
    table: str | None = None
    columns: dict[str, str] | None = None
    where: str | None = None
    sample: int | float | None = None
    seed: int = 0
    limit: int | str | None = None
    format: Literal["jsonl", "csv", "tsv", "lines"] | None = None
    skip_bad_rows: bool = False

    def reading(self) -> dict[str, Any]:
        """The arguments of `flowpool.read` beside its source."""
        return {
            "columns": self.columns,
            "limit": span(self.limit),
            "where": self.where,
            "sample": self.sample,
            "seed": self.seed,
            "sql": self.sql,
            "table": self.table,
            "format": self.format,
            "skip_bad_rows": self.skip_bad_rows,
        }


class Output(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the answers go. `ordered` None: in order into a file, as they end to standard output.

    column: of an answer without fields. inputs, meta: as in `Results`.
    """

    path: str = "-"
    format: Literal["jsonl", "csv", "tsv", "parquet"] | None = None
    column: str | None = None
    inputs: bool | list[str] = True
    meta: bool | list[str] = False
    ordered: bool | None = None
    append: bool = False
    overwrite: bool = False
    spreadsheet_safe: bool = False


class RunOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a pool is told; seconds and dollars. store: a path, or False for none."""

    max_flows: int | Literal["auto"] = "auto"
    limits: Limits | None = None
    max_cost: float | None = None
    max_tokens_total: int | None = None
    deadline: float | None = None
    timeout: float | None = None
    retries: int | None = None
    on_error: Literal["collect", "stop", "raise"] = "collect"
    dedupe: bool = False
    key: str | None = None
    store: str | bool | None = None
    retry_failed: bool = False

    def pool(self) -> dict[str, Any]:
        """The arguments of `Pool` that are told here."""
        beside = ("store", "retry_failed")
        return {name: getattr(self, name) for name in self.__struct_fields__ if name not in beside}


class Pipeline(Struct, frozen=True):
    """A runner and what its run is told."""

    runner: Any
    input: Input = Input()
    output: Output = Output()
    run: RunOptions = RunOptions()


def span(limit: int | str | None) -> int | slice | None:
    """Which rows a limit means: 10 the first ten, "10-20" those from the tenth to the twentieth.

    >>> span("10-20")
    slice(9, 20, None)
    """
    if limit is None:
        return None
    first, dash, last = str(limit).partition("-")
    try:
        start, stop = (int(first) - 1, int(last)) if dash else (0, int(first))
    except ValueError:
        start = stop = 0
    if not 0 <= start < stop:
        raise InvalidInput(f"limit {limit}: write 10 for the first ten rows, or 10-20.")
    return slice(start, stop) if dash else stop


def changed(base: S, told: Mapping[str, Any]) -> S:
    """`base` with those of `told` in place that are something."""
    from msgspec.structs import replace

    return replace(base, **{name: value for name, value in told.items() if value is not None})


def split_error(error: Exception) -> tuple[str, str]:
    """What msgspec says of data that don't fit, and where: ("Expected `int`, got `str`", ".limits.rpm")."""
    words, _, where = str(error).partition(" - at `$")
    return words.rstrip("."), where.rstrip("`")
