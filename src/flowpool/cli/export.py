"""`flowpool export`: rows of a store, as the same writers write them that runs use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from flowpool.cli.options import FORCE, OUTPUT_DELIMITER, OUTPUT_ENCODING, STORE, STORE_RUN

if TYPE_CHECKING:
    from flowpool.data.rows import Rows
    from flowpool.results import Record
    from flowpool.store.reading import Reader
    from flowpool.store.rows import RunInfo
    from flowpool.values import AnswerColumns


@click.command()
@STORE
@click.argument("path", metavar="OUT", default="-")
@STORE_RUN
@click.option(
    "--meta", is_flag=True, help="Add the columns _status, _error, _attempts, _seconds, _cost, ..."
)
@click.option(
    "--attempts",
    is_flag=True,
    help="A row for each attempt instead: its times, status, tokens, cost and request id.",
)
@click.option(
    "--only",
    type=click.Choice(["done", "failed", "pending"]),
    help="Only the items that ended so. [all items]",
)
@click.option(
    "--format",
    metavar="KIND",
    help="What to write: jsonl, csv, tsv, parquet or xlsx. [by the ending]",
)
@OUTPUT_DELIMITER
@OUTPUT_ENCODING
@FORCE
def export(
    store: str,
    path: str,
    run: str | None,
    meta: bool,
    attempts: bool,
    only: str | None,
    format: str | None,
    output_delimiter: str | None,
    output_encoding: str | None,
    force: bool,
) -> int:
    """Take a run's results out of its store, inputs beside answers, in the order of the items.

    OUT ends in .jsonl, .csv, .tsv (also .gz, .zst), .parquet or .xlsx; without it, JSON lines go to stdout. It may
    be asked while the run is at work: what has no answer yet has none in the output.

    \b
    Examples:
      flowpool export run.db results.parquet --meta
      flowpool export run.db --attempts > attempts.jsonl
    """
    from flowpool.checkpoint.checkpoint import pick_run
    from flowpool.cli.streams import say
    from flowpool.data.writers import WriteOptions, open_writer
    from flowpool.errors import InvalidInput, OutputExists
    from flowpool.store.damage import refuses_damage
    from flowpool.store.reading import Reader

    info = pick_run(store, run)
    with refuses_damage(store):
        rows, answers = _rows(store, info), _answers(info)
    shown: bool | list[str] = meta and not attempts
    if only == "failed" and not shown:
        shown = ["_error"]
    options: WriteOptions = {
        "meta": shown,
        "overwrite": force,
        "format": format,
        "delimiter": output_delimiter,
        "encoding": output_encoding,
    }
    try:
        writer = open_writer(path, rows, answers, **options)
    except OutputExists as error:
        raise InvalidInput(f"{error.problem}: name another file, or say --force.") from None
    with Reader(store) as reader, writer:
        for record in _attempts(reader, info) if attempts else reader.records(info.id):
            if only in (None, record.status.name.lower()):
                writer.write(record)
    if not writer.rows:
        raise InvalidInput(
            f"{store}: run {info.name!r} has nothing like that: nothing was written."
        )
    if path != "-":
        say(f"{writer.rows:,} rows -> {path}")
    if not attempts and only is None:
        _say_what_is_missing(store, info)
    return 0


def _say_what_is_missing(store: str, run: RunInfo) -> None:
    """Says which rows of the output have no answer, or aren't there."""
    from flowpool.cli.status import count_words, rest_words
    from flowpool.cli.streams import say
    from flowpool.store.reading import Reader
    from flowpool.values import Status

    with Reader(store) as reader:
        counts = reader.counts(run.id)
    if run.complete and counts[Status.DONE] == sum(counts.values()):
        return
    rest = "" if run.complete else f"; {rest_words(run)}"
    say(f"The run isn't done: {count_words(counts)}{rest}. Rows that aren't done have no answer.")


def _attempts(reader: Reader, run: RunInfo) -> Iterator[Record]:
    """Each attempt as a record whose variables are its columns, which is how they get columns of a file."""
    from flowpool.results import Record
    from flowpool.values import Status

    for row in reader.attempts(run.id):
        yield Record(row["item"], row, Status.DONE, {})


def _rows(store: str, run: RunInfo) -> Rows | None:
    """Where the items came from, for the names of their columns; None where that is gone, or not the store's."""
    from flowpool.data.rows import read_again
    from flowpool.errors import InvalidInput
    from flowpool.folders import folders, local_path

    try:
        allowed = folders(local_path(store).parent)
        return None if run.source is None else read_again(run.source, allowed)
    except InvalidInput:
        return None


def _answers(run: RunInfo) -> AnswerColumns:
    """What is known of its answers' columns: those of a skill that is alone or a chain's last step."""
    from flowpool.chain import DEFAULT_KEY
    from flowpool.data.layout import OUTPUT
    from flowpool.encoding import decode
    from flowpool.errors import InvalidInput
    from flowpool.structured import answer_of
    from flowpool.values import AnswerColumns

    definition = {} if run.definition is None else decode(run.definition.encode())
    name, skill = OUTPUT, definition if "model" in definition else None
    if "steps" in definition:
        last = definition["steps"][-1]
        last = last[-1] if isinstance(last, list) else last
        name = last.get("key", DEFAULT_KEY)
        skill = None if isinstance(definition["steps"][-1], list) else last.get("skill")
    if skill is None:
        return AnswerColumns(name)
    try:
        return answer_of(skill.get("output")).columns(name)
    except InvalidInput:  # a type that this process doesn't have
        return AnswerColumns(name)
