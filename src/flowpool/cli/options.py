"""Options that several commands share, and what they say as a pipeline's input, output and run settings.

Loads nothing but click: the help is made of them. What reads them loads the rest when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from flowpool.pipeline.spec import Input, Output, Pipeline, RunOptions
    from flowpool.values import Limits

Decorator = Callable[[Any], Any]
P = TypeVar("P", "Input", "Output", "RunOptions")


def grouped(*options: Decorator) -> Decorator:
    """One decorator of several, in the order in which the help shows them."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def model_option(words: str, **more: Any) -> Decorator:
    """The model, where a command has its own words or default for it."""
    return click.option("--model", "-m", metavar="M", help=words, **more)


def timeout_option(words: str, **more: Any) -> Decorator:
    """The most seconds of a call."""
    return click.option("--timeout", type=float, metavar="S", help=words, **more)


def seed_option(words: str, **more: Any) -> Decorator:
    """What chance begins with."""
    return click.option("--seed", type=int, metavar="N", help=words, **more)


def rate_options(words: str) -> Decorator:
    """`--rpm` and `--tpm`; `words` end with what they are where nobody says them."""
    return grouped(
        click.option("--rpm", type=float, metavar="N", help=words.format("requests")),
        click.option("--tpm", type=float, metavar="N", help=words.format("tokens")),
    )


STORE = click.argument("store", metavar="RUN.db")
BASE_URL = click.option(
    "--base-url",
    metavar="URL",
    help="Another endpoint that speaks OpenAI's API, or the provider's own. [the provider's]",
)
PROVIDER = click.option(
    "--provider",
    metavar="NAME",
    help="Whose API it speaks, where the model's name doesn't tell it. [the name's; OpenAI's at a --base-url]",
)
FORCE = click.option("--force", is_flag=True, help="Overwrite the output if it exists.")
STORE_RUN = click.option(
    "--run", metavar="NAME", help="The run of this name or number. [the only one]"
)
TRUSTED = click.option(
    "--trusted",
    is_flag=True,
    help="Let the file name Python functions to run, files outside of its folder, and addresses that are sent "
    "keys.",
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
MAX_TOKENS_TOTAL = click.option(
    "--max-tokens-total",
    type=int,
    metavar="N",
    help="Tokens that the run never uses more than. [no ceiling]",
)
DEADLINE = click.option(
    "--deadline",
    type=float,
    metavar="S",
    help="Seconds after which the run ends with what it has. [none]",
)
LOG = click.option(
    "--log",
    metavar="PATH",
    help="Add a line of JSON to this file for each row that ends, each attempt that fails, and what else happens; "
    "- is stderr. No prompt or answer is in it. [none]",
)
QUIET = click.option(
    "--quiet", "-q", is_flag=True, help="Show no progress, only the closing line and errors."
)

OUTPUT_DELIMITER = click.option(
    "--output-delimiter",
    metavar="C",
    help="What separates the cells of a CSV that is written. [a comma; with --append the file's own]",
)
OUTPUT_ENCODING = click.option(
    "--output-encoding",
    metavar="NAME",
    help="Of a CSV that is written, as utf-8-sig for Excel. [UTF-8; with --append the file's own]",
)

INPUT = grouped(
    click.option(
        "--input",
        "-i",
        "path",
        metavar="PATH",
        help="Rows to run over: a .jsonl, .json, .csv, .tsv (also .gz, .zst), .parquet, .xlsx or SQLite file, a "
        "URL, a folder or glob of documents, or - for stdin. [- where something is piped in]",
    ),
    click.option(
        "--input-format",
        metavar="KIND",
        help="What the input is where no ending tells: jsonl, json, csv, tsv, or lines, each as {line}. "
        "[by the ending; stdin is jsonl, or lines where the prompt has {line} or pages are fetched]",
    ),
    click.option(
        "--delimiter", metavar="C", help="What separates a CSV's cells. [what its first rows show]"
    ),
    click.option(
        "--encoding",
        metavar="NAME",
        help="The input's, as cp1252 or shift_jis. [UTF-8, or UTF-16 where it shows]",
    ),
    click.option("--sql", metavar="QUERY", help="Rows of a database, or of DuckDB alone. [none]"),
    click.option(
        "--table", metavar="NAME", help="A database's table, or a workbook's sheet. [its only one]"
    ),
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
    seed_option("Chooses which ones are sampled. [0]"),
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
        help="Where each row goes with its answer: a .jsonl, .csv, .tsv (also .gz, .zst), .parquet or .xlsx file, "
        "or a URL; - for JSON lines on stdout. [-]",
    ),
    click.option(
        "--output-format",
        metavar="KIND",
        help="What to write: jsonl, csv, tsv, parquet or xlsx. [by the ending]",
    ),
    OUTPUT_DELIMITER,
    OUTPUT_ENCODING,
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
    FORCE,
    click.option(
        "--spreadsheet-safe",
        is_flag=True,
        help="Put an apostrophe before cells that a spreadsheet would take for a formula.",
    ),
)

LIMITS = grouped(
    MAX_FLOWS,
    rate_options("Most {} a minute. [what the provider takes]"),
    MAX_COST,
    MAX_TOKENS_TOTAL,
    DEADLINE,
    timeout_option("Seconds that an attempt may take. [600]"),
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
    click.option(
        "--on-empty",
        type=click.Choice(["ask", "skip", "fail"]),
        help="A row that has nothing for a column in the prompt: ask all the same and tell of it (ask), make no "
        "call (skip), or fail without one (fail). [ask]",
    ),
    click.option(
        "--constant-prompt",
        is_flag=True,
        help="Let the prompt be the same for every row, which is refused otherwise.",
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
    LOG,
    QUIET,
)


def with_options(pipeline: Pipeline, options: Mapping[str, Any]) -> Pipeline:
    """The pipeline with what the command line says over what its file does. Opens nothing."""
    from flowpool.pipeline.spec import Pipeline

    return Pipeline(
        pipeline.runner,
        _input(pipeline.input, options),
        _output(pipeline.output, options),
        _run(pipeline.run, options),
    )


def _input(base: Input, options: Mapping[str, Any]) -> Input:
    if options["sql"] is not None and options["path"] is None:  # the file's path isn't meant
        base = type(base)()
    return _changed(
        base,
        options,
        format=options["input_format"],
        columns=pairs(options["columns"], "--columns") or None,
        sample=_sample(options["sample"]),
    )


def _output(base: Output, options: Mapping[str, Any]) -> Output:
    return _changed(
        base,
        options,
        path=options["output"],
        format=options["output_format"],
        inputs=False if options["no_inputs"] else None,
        ordered=options["ordered"],
        overwrite=options["force"] or None,
        delimiter=options["output_delimiter"],
        encoding=options["output_encoding"],
    )


def _run(base: RunOptions, options: Mapping[str, Any]) -> RunOptions:
    if options["no_store"] and options["store"]:
        raise click.ClickException("--store and --no-store: say one of them.")
    return _changed(
        base,
        options,
        max_flows=flows(options["max_flows"]),
        limits=_limits(base.limits, options["rpm"], options["tpm"]),
        retry_failed=options["retry_errors"] or None,
        store=False if options["no_store"] else options["store"],
    )


def _changed(base: P, options: Mapping[str, Any], **more: Any) -> P:
    """`base` with the options that are called like its fields, and `more`; None and unset flags change nothing.

    Raises what the command line says for a value that isn't of its field's kind.
    """
    import msgspec

    from flowpool.pipeline.spec import changed, split_error

    named = {name: options.get(name) for name in base.__struct_fields__}
    named = {name: None if value is False else value for name, value in named.items()}
    try:
        whole = changed(base, {**named, **more})
        return msgspec.convert(msgspec.to_builtins(whole), type(base))
    except msgspec.ValidationError as error:
        words, where = split_error(error)
        raise click.ClickException(f"{where.lstrip('.') or 'options'}: {words}.") from None


def is_given(options: Mapping[str, Any], name: str) -> bool:
    """Whether the option was said."""
    return options.get(name) not in (None, False, ())


def option_of(name: str) -> str:
    """The option as it is said, by the name of its value."""
    return f"--{name.replace('_', '-')}"


def flows(text: str | None) -> int | str | None:
    """What --max-flows says."""
    if text is None or text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise click.ClickException(f'--max-flows {text}: use 1 or more, or "auto".') from None


def pairs(texts: Iterable[str], what: str, *, split: bool = True) -> dict[str, str]:
    """NAME=VALUE, given several times or, where they are split, separated by commas."""
    found: dict[str, str] = {}
    for text in texts:
        for pair in text.split(",") if split else [text]:
            name, equals, value = (part.strip() for part in pair.partition("="))
            if not (name and equals and value):
                raise click.ClickException(f"{what} {text}: write NAME=VALUE.")
            if name in found:
                raise click.ClickException(
                    f"{what} {name}={value}: {name} is {found[name]} already."
                )
            found[name] = value
    return found


def _sample(text: str | None) -> int | float | None:
    if text is None:
        return None
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise click.ClickException(
            f"--sample {text}: write 100 for a hundred rows, or 0.01."
        ) from None


def _limits(base: Limits | None, rpm: float | None, tpm: float | None) -> Limits | None:
    from flowpool.pipeline.spec import changed
    from flowpool.values import Limits

    for name, value in (("rpm", rpm), ("tpm", tpm)):
        if value is not None and not value > 0:
            raise click.ClickException(f"--{name} {value:g}: use a rate above 0.")
    if rpm is None and tpm is None:
        return None
    return changed(base or Limits(), {"rpm": rpm, "tpm": tpm})
