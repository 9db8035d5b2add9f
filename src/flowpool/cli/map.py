"""`flowpool map`: its options, and their words. What they do is in `run_pipeline`, which the help doesn't load."""

from __future__ import annotations

from typing import Any

import click

from flowpool.cli.options import (
    BASE_URL,
    INPUT,
    KEEPING,
    LIMITS,
    OUTPUT,
    PROVIDER,
    TRYING,
    grouped,
    model_option,
)

MODEL = grouped(
    model_option("The model to ask, as in gpt-5-mini. [$FLOWPOOL_MODEL]"),
    PROVIDER,
    BASE_URL,
    click.option(
        "--option",
        "-O",
        "model_options",
        multiple=True,
        metavar="NAME=VALUE",
        help="An option of the call, as max_tokens=200 or temperature=0; as many as you like. [none]",
    ),
    click.option("--system", metavar="TEXT", help="What the model reads first. [nothing]"),
)
ANSWER = grouped(
    click.option("--choices", metavar="A,B,...", help="Let the answer be one of these. [any text]"),
    click.option(
        "--fields",
        metavar="NAME:TYPE,...",
        help="Let the answer have these fields, each a column: name, age:integer?, kind:a|b. [none]",
    ),
    click.option(
        "--schema", metavar="FILE", help="Let the answer fit the JSON Schema in this file. [none]"
    ),
    click.option("--json", is_flag=True, help="Let the answer be any JSON."),
)
FETCH = grouped(
    click.option(
        "--fetch",
        is_flag=True,
        help="Fetch each row's url first, and give the prompt the page's text as {page}.",
    ),
    click.option(
        "--allow-private",
        is_flag=True,
        help="Let --fetch read addresses of this machine and its network.",
    ),
)


@click.command()
@click.argument("prompt")
@grouped(MODEL, INPUT, OUTPUT, ANSWER, FETCH, LIMITS, KEEPING, TRYING)
def map(prompt: str, **options: Any) -> int:
    """Ask a model about every row: one prompt, many rows, each row's answer beside it.

    Each {name} in the prompt is a column of the row; a prompt in a file is given as @prompt.txt. Exit code: 0 all
    done, 1 some failed, 2 something can't work (nothing was paid), 130 after Ctrl-C. Killed at any moment and run
    again with the same words it goes on: a store beside the output keeps every answer until all rows are done.

    \b
    Examples:
      flowpool map "Classify: {text}" -m gpt-5-mini -i rows.csv -o out.csv --choices spam,ham
      cat urls.txt | flowpool map --fetch "Summarise: {page}" -m gpt-5-mini > out.jsonl
    """
    from flowpool.cli.run_pipeline import run_prompt

    return run_prompt(prompt, options)
