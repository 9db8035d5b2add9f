"""`flowpool init`: writes a commented pipeline file, and a few rows to try it on."""

from __future__ import annotations

import click

from flowpool.cli.options import model_option

HEAD = """\
# A flowpool pipeline: rows in, a model's answers out. Run it with
#   flowpool run {name} --dry-run    shows the prompts and the cost, and asks nothing
#   flowpool run {name}              runs it; killed, the same words go on
# Options of the command line stand over what is written here.
# For an editor's help: flowpool schema > flowpool.schema.json
# yaml-language-server: $schema=flowpool.schema.json

# Where the rows come from: a .csv, .tsv, .jsonl, .parquet or SQLite file, a folder or glob of documents.
input:
  path: {rows}
  # limit: 10            the first ten rows, or 10-20
  # where: "stars >= 4"  only rows like that
  # columns: {{text: body}}  the prompt's variable by the data's column

# Where the answers go: a .csv, .tsv, .jsonl or .parquet file. The rows' own columns stand beside them.
output:
  path: {answers}
  # meta: true           adds _status, _error, _attempts, _seconds, _cost, ...
{column}
# The run's terms; all of them may be left out. Limits are found out by themselves.
run:
  # limits: {{rpm: 500}}
  # max_flows: 20        most rows in progress at once
  max_cost: 5            # dollars, a ceiling that is never passed; needs max_tokens below
  retries: 5

"""
_CLASSIFY = """\
skill:
  model: {model}
  prompt: |
    What kind of message is this?

    {{text}}
  output:
    choices: [question, complaint, praise, spam]
  options:
    max_tokens: 500        # with what a model may think before it answers
"""
_SUMMARISE = """\
skill:
  model: {model}
  prompt: |
    Summarise this text in one sentence.

    {{text}}
  options:
    max_tokens: 800
"""
_EXTRACT = """\
skill:
  model: {model}
  prompt: |
    Take these facts out of the message.

    {{text}}
  output:
    fields:
      name: string?          # ? may be missing
      amount: number?
      mood: good | neutral | bad
      topics: [string]
  options:
    max_tokens: 1000
"""
_SCRAPE = """\
steps:
  - tool: fetch              # the page at the row's url; addresses of this machine are refused
    key: page
    options: {{timeout: 30}}
  - tool: to_markdown        # its text, without menus
    key: text
    inputs: {{source: page}}
  - skill:
      model: {model}
      prompt: |
        Summarise this page in one sentence.

        {{text}}
      options:
        max_tokens: 800
    key: summary
"""
TASKS = {
    "classify": _CLASSIFY,
    "summarise": _SUMMARISE,
    "extract": _EXTRACT,
    "scrape": _SCRAPE,
}
COLUMNS = {"classify": "kind", "summarise": "summary"}
_MESSAGES = """\
id,text
1,"Where is my parcel? I ordered it two weeks ago. Ada Okoro"
2,"Thank you, the kettle for 29.90 works well and looks lovely."
3,"You have won 1,000,000 dollars, send us your bank details!"
4,"The screen broke on the second day and nobody answers my calls."
"""
_ADDRESSES = "url\nhttps://example.com/\nhttps://www.iana.org/help/example-domains\n"


@click.command()
@click.argument("path", metavar="PIPELINE.yaml", default="pipeline.yaml")
@click.option(
    "--task",
    type=click.Choice(list(TASKS)),
    default="classify",
    help="What it is to do. [classify]",
)
@model_option("The model to ask. [gpt-5-mini]", default="gpt-5-mini")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def init(path: str, task: str, model: str, force: bool) -> int:
    """Write a commented pipeline file to start from, and a few rows to try it on.

    \b
    Example:
      flowpool init --task extract && flowpool run pipeline.yaml --dry-run
    """
    from flowpool.folders import local_path

    file = local_path(path)
    if file.exists() and not force:
        raise click.ClickException(
            f"{path} exists: name another file, or overwrite it with --force."
        )
    rows = "urls.csv" if task == "scrape" else "rows.csv"
    answers = "answers.jsonl" if task in ("extract", "scrape") else "answers.csv"
    column = f"  column: {COLUMNS[task]}\n" if task in COLUMNS else ""
    text = HEAD.format(name=path, rows=rows, answers=answers, column=column)
    try:
        file.write_text(text + TASKS[task].format(model=model), encoding="utf-8")
        beside = file.parent / rows
        is_new = not beside.exists()
        if is_new:
            beside.write_text(_ADDRESSES if task == "scrape" else _MESSAGES, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path}: can't be written: {error.strerror}.") from None
    click.echo(
        f"Wrote {path}{f' and {beside}, rows to try it on' if is_new else ''}. Next:", err=True
    )
    click.echo(f"  flowpool run {path} --dry-run", err=True)
    return 0
