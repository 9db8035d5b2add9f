"""Writes the commands' own help into docs/cli.md, below its mark: `python docs/make_cli.py`. A test holds it.

The words are the commands'; the layout is made here, since click's differs from release to release.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from flowpool.cli.app import COMMANDS, load_command

PAGE = Path(__file__).parent / "cli.md"
MARK = "<!-- what follows is written by docs/make_cli.py -->\n"
WIDTH = 96
NAMES_WIDTH = 32  # of the column that names the options; longer ones have a line of their own


def written(page: str) -> str:
    """The page with every command's help below its mark."""
    head, mark, _ = page.partition(MARK)
    assert mark, f"no {MARK!r} in {PAGE}"
    return head + mark + "\n".join(_sections())


def _sections() -> Iterator[str]:
    for name in COMMANDS:
        command = load_command(name)
        text = "\n".join([_usage(name, command), *_purpose(command), "", *_options(command)])
        yield f"\n## flowpool {name}\n\n```text\n{text}\n```"
    yield ""


def _usage(name: str, command: click.Command) -> str:
    arguments = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            shown = parameter.metavar or str(parameter.name).upper()
            arguments.append(shown if parameter.required else f"[{shown}]")
    return " ".join(["Usage: flowpool", name, "[OPTIONS]", *arguments])


def _purpose(command: click.Command) -> Iterator[str]:
    """The paragraphs of a command's help; one that begins with a \\b keeps its lines."""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield ""
        if paragraph.startswith("\b"):
            yield from ("  " + line for line in paragraph.splitlines()[1:])
        else:
            yield from textwrap.wrap(
                paragraph,
                WIDTH,
                initial_indent="  ",
                subsequent_indent="  ",
                break_on_hyphens=False,
            )


def _options(command: click.Command) -> Iterator[str]:
    yield "Options:"
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            names = "  " + _names(parameter)
            lines = textwrap.wrap(
                parameter.help or "", WIDTH - NAMES_WIDTH - 2, break_on_hyphens=False
            )
            if len(names) > NAMES_WIDTH:
                yield names
                names = ""
            for line in lines:
                yield f"{names:{NAMES_WIDTH}}  {line}"
                names = ""


def _names(option: click.Option) -> str:
    short_first = sorted(option.opts, key=len)
    names = ", ".join(short_first)
    if option.secondary_opts:
        names += f" / {', '.join(option.secondary_opts)}"
    if option.is_flag or option.count:
        return names
    if isinstance(option.type, click.Choice) and not option.metavar:
        return f"{names} [{'|'.join(map(str, option.type.choices))}]"
    return f"{names} {option.metavar or option.type.name.upper()}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
