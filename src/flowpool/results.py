"""What a run gives back: a record an item, and the list of outputs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from msgspec import Struct

from flowpool import prices
from flowpool.attachments import brief
from flowpool.data.layout import OUTPUT, Choice, Layout
from flowpool.structured import plain
from flowpool.values import NO_USAGE, Prices, Status, Usage

if TYPE_CHECKING:
    from flowpool.data.rows import Rows
    from flowpool.data.writers import WriteOptions


class CallCost(Struct, frozen=True):
    """What one call used: of `provider/model`, at the prices that somebody told of it or the list's."""

    model: str
    usage: Usage
    prices: Prices | None = None

    @property
    def cost(self) -> float | None:
        """Dollars; None where the list has no price for the model."""
        if self.prices is not None:
            return prices.told(self.prices).cost(self.usage)
        provider, _, model = self.model.partition("/")
        rates = prices.rates(provider, model) if model else None
        return None if rates is None else rates.cost(self.usage)


def known_sum(costs: Iterable[float | None]) -> float | None:
    """The sum of those that are known; None when none is."""
    known = [cost for cost in costs if cost is not None]
    return math.fsum(known) if known else None


class Record(Struct, frozen=True):
    """How one item ended.

    `duration` is in seconds, from the item's start to its end; `started` in seconds of the run's loop clock;
    `attempts` counts requests and function calls; `error` is the exception, or None.
    """

    index: int
    variables: Any
    status: Status
    output: Any = None
    error: Exception | None = None
    started: float = 0.0
    duration: float = 0.0
    attempts: int = 0
    usage: Usage = NO_USAGE
    model: str = ""
    steps: list[dict[str, Any]] | None = None
    bills: tuple[CallCost, ...] = ()

    @property
    def calls(self) -> tuple[CallCost, ...]:
        """What each of the item's calls used, failed ones included where the provider told."""
        if self.bills or not self.model:
            return self.bills
        return (CallCost(self.model, self.usage),)

    @property
    def cost(self) -> float | None:
        """Dollars of the calls whose model has a known price; None when none has."""
        return known_sum(call.cost for call in self.calls)

    def as_dict(self) -> dict[str, Any]:
        """The record as plain data: what `history` has for each item."""
        return {
            "index": self.index,
            "variables": brief(self.variables),
            "status": int(self.status),
            "output": plain(self.output, repr),
            "error": _in_words(self.error),
            "duration": round(self.duration, 6),
            "attempts": self.attempts,
            "model": self.model,
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
        }


class Results(list[Any]):
    """One output an item, in the items' order; None where an item has none.

    `records` has a `Record` an item; `failed` those that failed or were cancelled; `errors` their exceptions.
    `earlier` has the calls that items made which failed then and were run again.

    As a table (`frame`, `to_pandas`, `to_polars`, `to_arrow`, `write`) it has a row an item: the input's columns,
    beside them the answer's. An answer with fields (a dict, a typed object) is a column a field; any other is the
    column `output`, or what a chain's last key is. An answer's column that the input has too is called
    `NAME_output`. All of them take:

    meta: True for the columns `_status _error _attempts _seconds _input_tokens _output_tokens _cost`, or which of
        them; `_index` and `_model` too when named.
    inputs: False leaves the input's columns out; or which of them.
    output: another name for the column of an answer without fields.
    """

    def __init__(
        self,
        records: Iterable[Record],
        rows: Rows | None = None,
        output: str = OUTPUT,
        earlier: Iterable[CallCost] = (),
    ) -> None:
        self.records = list(records)
        self.earlier = tuple(earlier)
        self._rows = rows
        self._output = output
        super().__init__(record.output for record in self.records)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_rows": None}  # where they came from may not travel

    @property
    def failed(self) -> list[Record]:
        """The records of items that have no output: failed, cancelled or never started."""
        return [record for record in self.records if record.status is not Status.DONE]

    @property
    def errors(self) -> list[Exception]:
        """The exceptions of the failed items, in order."""
        return [record.error for record in self.failed if record.error is not None]

    @property
    def usage(self) -> Usage:
        """Tokens used by all items, failed attempts included where the provider reports them."""
        used: tuple[CallCost | Record, ...] = (*self.earlier, *self.records)
        return reduce(add, (one.usage for one in used), NO_USAGE)

    @property
    def cost(self) -> float | None:
        """Dollars of all items whose model has a known price; None when none has."""
        bills: tuple[CallCost | Record, ...] = (*self.earlier, *self.records)
        return known_sum(bill.cost for bill in bills)

    def frame(self, *, meta: Choice = False, output: str | None = None) -> Any:
        """The data frame that came in, with the answers beside it: same kind, rows, types, order and index.

        A polars LazyFrame comes back as a DataFrame, an Arrow dataset as a table. Raises `InvalidInput` where the
        items were no frame.
        """
        library = self._rows.library if self._rows is not None else ""
        return self._as_frame(library, meta, True, output)

    def to_pandas(
        self, *, meta: Choice = False, inputs: Choice = True, output: str | None = None
    ) -> Any:
        """A pandas DataFrame with a row an item."""
        return self._as_frame("pandas", meta, inputs, output)

    def to_polars(
        self, *, meta: Choice = False, inputs: Choice = True, output: str | None = None
    ) -> Any:
        """A polars DataFrame with a row an item."""
        return self._as_frame("polars", meta, inputs, output)

    def to_arrow(
        self, *, meta: Choice = False, inputs: Choice = True, output: str | None = None
    ) -> Any:
        """An Arrow table with a row an item."""
        return self._as_frame("pyarrow", meta, inputs, output)

    def write(self, path: str | Path, **options: Unpack[WriteOptions]) -> None:
        """Writes a .jsonl, .csv, .tsv (also .gz, .zst) or .parquet file with a row an item; "-" is JSON on stdout.

        append, overwrite: what to do with a file that holds something, which is an error otherwise.
        spreadsheet_safe: an apostrophe before cells of text that begin with = + - @, in CSV and TSV.
        format: "jsonl", "csv", "tsv" or "parquet", where no ending tells.

        >>> import tempfile
        >>> from flowpool import Pool
        >>> results = Pool(lambda n: n * n, [{"n": 2}, {"n": 3}]).run()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     results.write(f"{folder}/squares.csv")
        ...     print(Path(f"{folder}/squares.csv").read_text())
        n,output
        2,4
        3,9
        <BLANKLINE>
        """
        from flowpool.data.writers import open_writer

        with open_writer(path, self._rows, self._output, **options) as writer:
            writer.layout.learn(self.records)
            for record in self.records:
                writer.write(record)

    def _as_frame(self, library: str, meta: Choice, inputs: Choice, output: str | None) -> Any:
        from flowpool.data.frames_out import frame_of

        return frame_of(library, self.records, self._rows, self._layout(meta, inputs, output))

    def _layout(self, meta: Choice, inputs: Choice, output: str | None) -> Layout:
        names = {} if self._rows is None else self._rows.renamed
        names = {variable: column for column, variable in names.items()}
        return Layout(output or self._output, inputs, meta, names)


def _in_words(error: Exception | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"
