"""What a run gives back: a record an item, and the list of outputs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, Unpack, cast, overload

from flowpool import wiring
from flowpool.data.layout import Choice, Layout
from flowpool.errors import NotFinished
from flowpool.record import CallCost as CallCost
from flowpool.record import Record as Record
from flowpool.record import TableList, Tabular, known_sum
from flowpool.summary import Summary
from flowpool.usage import NO_USAGE, Usage
from flowpool.values import UNKNOWN_ANSWERS, AnswerColumns, Output, Status

Known = TypeVar("Known")

if TYPE_CHECKING:
    from flowpool.data.rows import Rows
    from flowpool.data.writers import WriteOptions


class Results(Tabular, list[Output]):
    """One output an item, in the items' order; None where an item has none.

    `records` has a `Record` an item; `failed` those that failed or were cancelled; `errors` their exceptions.
    `earlier` has the calls that items made which failed then and were run again. A slice has its items' records.

    As a table (`frame`, `to_pandas`, `to_polars`, `to_arrow`, `write`) it has a row an item: the input's columns,
    beside them the answer's. An answer with fields (a dict, a typed object) is a column a field; any other is the
    column `output`, or what a chain's last key is. An answer's column that the input has too is called
    `NAME_output`. All of them take:

    meta: True for the columns `_status _error _attempts _seconds _input_tokens _output_tokens _cost`, or which of
        them; `_index` and `_model` too when named.
    inputs: False leaves the input's columns out; or which of them: one that no item has is refused.
    output: another name for the column of an answer without fields.
    """

    def __init__(
        self,
        records: Iterable[Record[Output]],
        rows: Rows | None = None,
        answers: AnswerColumns = UNKNOWN_ANSWERS,
        earlier: Iterable[CallCost] = (),
        stopped: str = "",
        *,
        interrupted: bool = False,
        ending: Any = None,
    ) -> None:
        """ending: the `Snapshot` of the run's end, where it is known."""
        self.records = TableList(records)
        self.earlier = tuple(earlier)
        self._rows = rows
        self._answers = answers
        self._stopped = stopped
        self._interrupted = interrupted
        self._ending = ending
        super().__init__(cast("Output", record.output) for record in self.records)

    @overload
    def __getitem__(self, at: SupportsIndex) -> Output: ...

    @overload
    def __getitem__(self, at: slice) -> Results[Output]: ...

    def __getitem__(self, at: SupportsIndex | slice) -> Output | Results[Output]:
        if isinstance(at, slice):
            return Results(self.records[at], self._rows, self._answers)
        return super().__getitem__(at)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_rows": None}  # where they came from may not travel

    @property
    def failed(self) -> list[Record[Output]]:
        """The records of items that have no output: failed, cancelled or never started."""
        return TableList(record for record in self.records if record.status is not Status.DONE)

    @property
    def errors(self) -> list[Exception]:
        """The exceptions of the failed items, in order."""
        return [record.error for record in self.failed if record.error is not None]

    @property
    def stopped(self) -> str:
        """What ended the run before its end, and where; empty where nothing did."""
        return self._stopped

    def raise_if_incomplete(self: Results[Known | None]) -> Results[Known]:
        """These results where every item has its output; else raises `NotFinished`, which says what is missing.

        >>> from flowpool import Pool
        >>> Pool(lambda n: n * n, [{"n": 2}, {"n": 3}]).run().raise_if_incomplete()
        [4, 9]
        """
        failed = [record for record in self.records if record.status is Status.FAILED]
        if not self._stopped and not self.failed:
            return cast("Results[Known]", self)
        words = [f"{len(failed):,} failed"] if failed else []
        if rest := len(self.failed) - len(failed):
            words.append(f"{rest:,} were cancelled or not started")
        if self._stopped:
            words.append(self._stopped)
        if failed:
            error = failed[0].error
            words.append(
                f"first failure: items[{failed[0].index}]: {type(error).__name__}: {error}"
            )
        done = len(self.records) - len(self.failed)
        raise NotFinished(f"{done:,} of {len(self.records):,} items are done: {'; '.join(words)}")

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

    def summary(self) -> Summary:
        """What became of the run, to print or to end a notebook's cell with: its counts, pace and cost, where its
        time went and what held it back the longest, its failures by kind with what to do, and its slowest items.

        >>> from flowpool import Pool
        >>> print(Pool(lambda n: 6 // n, [{"n": 2}, {"n": 0}]).run().summary())  # doctest: +ELLIPSIS
        1 done, 1 failed in ...
        """
        summary: Summary = wiring.load("summary").summary_of(self, self._ending)
        return summary

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

    def write(
        self, path: str | Path, *, partial: bool = False, **options: Unpack[WriteOptions]
    ) -> None:
        """Writes a .jsonl, .csv, .tsv (also .gz, .zst), .parquet or .xlsx file, a row an item; "-" is stdout.

        partial: True also writes the results of a run that Ctrl-C ended, which raises `NotFinished` otherwise: most
            rows would have no answer. Those of a run that something else stopped are written with a warning.
        append, overwrite: what to do with a file that holds something, which is an error otherwise.
        spreadsheet_safe: an apostrophe before cells of text that begin with = + - @, in CSV and TSV.
        format: "jsonl", "csv", "tsv", "parquet" or "xlsx", where no ending tells.

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

        if self._stopped and not partial:
            if self._interrupted:
                raise NotFinished(
                    f"{self._stopped}: {path} was not written: pool.retry() runs the rest, "
                    "write(..., partial=True) writes what there is, and Pool(..., store=...) keeps the answers for "
                    "the next time."
                )
            words = f"{self._stopped}: {path} has rows without an answer (partial=)"
            warnings.warn(words, RuntimeWarning, stacklevel=2)
        with open_writer(path, self._rows, self._answers, **options) as writer:
            self._check_inputs(writer.layout)
            writer.layout.learn(self.records)
            for record in self.records:
                writer.write(record)

    def _as_frame(self, library: str, meta: Choice, inputs: Choice, output: str | None) -> Any:
        from flowpool.data.frames_out import frame_of

        return frame_of(library, self.records, self._rows, self._layout(meta, inputs, output))

    def _layout(self, meta: Choice, inputs: Choice, output: str | None) -> Layout:
        names = {} if self._rows is None else self._rows.renamed
        names = {variable: column for column, variable in names.items()}
        layout = Layout(output or self._answers.name, inputs, meta, names, self._answers)
        self._check_inputs(layout)
        return layout

    def _check_inputs(self, layout: Layout) -> None:
        if self.records:
            layout.check_inputs(record.variables for record in self.records)
