"""Options that several commands share, in groups. Loads nothing but click: the help is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]


def grouped(*options: Decorator) -> Decorator:
    """One decorator of several, in the order in which the help shows them."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


STORE_RUN = click.option(
    "--run", metavar="NAME", help="The run of this name or number. [the only one]"
)
TRUSTED = click.option(
    "--trusted", is_flag=True, help="Let the file name Python functions to import and run."
)
MAX_FLOWS = click.option(
    "--max-flows", metavar="N|auto", help="Most rows in progress at once. [auto]"
)
MAX_COST = click.option(
    "--max-cost",
    type=float,
    metavar="USD",
    help="Dollars that the run never spends more than; needs max_tokens in the model's options. [no ceiling]",
)
DEADLINE = click.option(
    "--deadline",
    type=float,
    metavar="S",
    help="Seconds after which the run ends with what it has. [none]",
)
QUIET = click.option(
    "--quiet", "-q", is_flag=True, help="Show no progress, only the closing line and errors."
)

INPUT = grouped(
    click.option(
        "--input",
        "-i",
        "path",
        metavar="PATH",
        help="Rows to run over: a .jsonl, .csv, .tsv (also .gz, .zst), .parquet or SQLite file, a folder or glob "
        "of documents, or - for stdin. [- where something is piped in]",
    ),
    click.option(
        "--input-format",
        metavar="KIND",
        help="What the input is where no ending tells: jsonl, csv, tsv, or lines, each as {line}. "
        "[by the ending; stdin is jsonl, or lines where the prompt has {line} or pages are fetched]",
    ),
    click.option("--sql", metavar="QUERY", help="Rows of a database, or of DuckDB alone. [none]"),
    click.option("--table", metavar="NAME", help="A database's table. [its only one]"),
    click.option(
        "--columns",
        multiple=True,
        metavar="VAR=COL,...",
        help="The prompt's variable by the data's column, as text=body. [the columns' names]",
    ),
    click.option(
        "--where",
        metavar="TEXT",
        help="Only rows like that, as \"stars >= 4 and lang == 'de'\". [all]",
    ),
    click.option(
        "--sample", metavar="N|P", help="Some of the rows: 100 of them, or a share as 0.01. [all]"
    ),
    click.option("--seed", type=int, metavar="N", help="Chooses which ones are sampled. [0]"),
    click.option(
        "--limit", metavar="N|A-B", help="Only the first N rows, or rows A to B from 1 on. [all]"
    ),
    click.option(
        "--skip-bad-rows", is_flag=True, help="Pass over rows that can't be read, and count them."
    ),
)

OUTPUT = grouped(
    click.option(
        "--output",
        "-o",
        metavar="PATH",
        help="Where each row goes with its answer: a .jsonl, .csv, .tsv (also .gz, .zst) or .parquet file; - for "
        "JSON lines on stdout. [-]",
    ),
    click.option(
        "--output-format",
        metavar="KIND",
        help="What to write: jsonl, csv, tsv or parquet. [by the ending]",
    ),
    click.option(
        "--as", "column", metavar="NAME", help="The column of an answer without fields. [output]"
    ),
    click.option("--no-inputs", is_flag=True, help="Leave the input's columns out."),
    click.option(
        "--meta",
        is_flag=True,
        help="Add the columns _status, _error, _attempts, _seconds, _input_tokens, _output_tokens, _cost.",
    ),
    click.option(
        "--ordered/--unordered",
        default=None,
        help="Write in the order of the rows, or each as it ends. [in order into a file]",
    ),
    click.option(
        "--append",
        is_flag=True,
        help="Add to an output that exists. Keeps no store, as it can't tell which rows the file has.",
    ),
    click.option("--force", is_flag=True, help="Overwrite the output if it exists."),
    click.option(
        "--spreadsheet-safe",
        is_flag=True,
        help="Put an apostrophe before cells that a spreadsheet would take for a formula.",
    ),
)

LIMITS = grouped(
    MAX_FLOWS,
    click.option(
        "--rpm", type=float, metavar="N", help="Most requests a minute. [what the provider takes]"
    ),
    click.option(
        "--tpm", type=float, metavar="N", help="Most tokens a minute. [what the provider takes]"
    ),
    MAX_COST,
    click.option(
        "--max-tokens-total",
        type=int,
        metavar="N",
        help="Tokens that the run never uses more than. [no ceiling]",
    ),
    DEADLINE,
    click.option(
        "--timeout", type=float, metavar="S", help="Seconds that an attempt may take. [600]"
    ),
    click.option(
        "--retries",
        type=int,
        metavar="N",
        help="Further attempts after one that failed and may work the next time. [5]",
    ),
    click.option(
        "--on-error",
        type=click.Choice(["collect", "stop", "raise"]),
        help="After a failed row: go on (collect), start no more (stop) or cancel all (raise). [collect]",
    ),
    click.option("--dedupe", is_flag=True, help="Send identical calls once."),
)

KEEPING = grouped(
    click.option(
        "--store",
        metavar="PATH",
        help="The file that keeps every answer, so that the same words go on after a kill. [beside an output file, "
        "as OUTPUT.flowpool.db, until every row is done]",
    ),
    click.option("--no-store", is_flag=True, help="Keep nothing but the output."),
    click.option(
        "--resume", is_flag=True, help="Refuse to begin: only go on with what a store keeps."
    ),
    click.option(
        "--retry-errors", is_flag=True, help="Try again the rows that failed in the run before."
    ),
    click.option(
        "--no-cache", is_flag=True, help="Begin anew: drop what the store beside the output keeps."
    ),
)

TRYING = grouped(
    click.option(
        "--dry-run",
        is_flag=True,
        help="Show the first prompts, and the rows, tokens, cost and time to expect; ask the provider nothing.",
    ),
    click.option(
        "--pilot",
        type=click.IntRange(2),
        metavar="N",
        help="Run a sample of N rows first and forecast cost and time; their answers are kept. [none]",
    ),
    click.option("--yes", "-y", is_flag=True, help="After the pilot, go on without asking."),
    QUIET,
)
