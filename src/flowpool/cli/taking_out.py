"""What `flowpool export` does: rows of a store, as the same writers put them that runs use."""

from __future__ import annotations

from collections.abc import Iterator

from flowpool.chain import DEFAULT_KEY
from flowpool.checkpoint.checkpoint import pick_run
from flowpool.cli.report import say
from flowpool.data.layout import OUTPUT
from flowpool.data.rows import Rows, read_again
from flowpool.data.writers import WriteOptions, open_writer
from flowpool.encoding import decode
from flowpool.errors import InvalidInput
from flowpool.results import Record
from flowpool.store.reading import Reader
from flowpool.store.rows import RunInfo
from flowpool.values import Status


def take_out(
    store: str,
    path: str,
    name: str | None,
    meta: bool,
    attempts: bool,
    only: str | None,
    format: str | None,
    force: bool,
) -> int:
    """Writes a run's items or attempts to `path`; returns the exit code."""
    run = pick_run(store, name)
    options: WriteOptions = {"meta": meta and not attempts, "overwrite": force, "format": format}
    try:
        writer = open_writer(path, _rows(run), _key(run), **options)
    except InvalidInput as error:
        raise InvalidInput(
            str(error).replace("say overwrite=True or append=True", "say --force")
        ) from None
    with Reader(store) as reader, writer:
        for record in _attempts(reader, run) if attempts else reader.records(run.id):
            if only in (None, record.status.name.lower()):
                writer.write(record)
    if not writer.rows:
        raise InvalidInput(f"{store}: run {run.name!r} has nothing like that: nothing was written.")
    if path != "-":
        say(f"{writer.rows:,} rows -> {path}")
    return 0


def _attempts(reader: Reader, run: RunInfo) -> Iterator[Record]:
    """Each attempt as a record whose variables are its columns, which is how they get columns of a file."""
    for row in reader.attempts(run.id):
        yield Record(row["item"], row, Status.DONE, {})


def _rows(run: RunInfo) -> Rows | None:
    """Where the items came from, for the names of their columns; None where that is gone."""
    try:
        return None if run.source is None else read_again(run.source)
    except InvalidInput:
        return None


def _key(run: RunInfo) -> str:
    """The column of its answers without fields: a chain's last key."""
    told = {} if run.definition is None else decode(run.definition.encode())
    if "steps" not in told:
        return OUTPUT
    last = told["steps"][-1]
    key: str = (last[-1] if isinstance(last, list) else last).get("key", DEFAULT_KEY)
    return key
