"""The commands by name, each loaded when it is called, and what becomes of their errors.

Must not import what a command needs: `flowpool --help` is answered from the table below.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from flowpool import __version__

INTERRUPTED = 130
FAILED, BAD_INPUT = 1, 2
COMMANDS = {
    "map": "Ask a model about every row: one prompt, many rows.",
    "run": "Run a skill, chain or pipeline that a file describes over rows.",
    "status": "Say how the runs of a store stand.",
    "set": "Change settings of a run that is at work.",
    "pause": "Hold a run that is at work: no more calls are sent.",
    "go": "Let a paused run go on.",
    "stop": "End a run that is at work.",
    "resume": "Go on with a run that a store keeps.",
    "retry": "Try again what failed in a run that a store keeps.",
    "export": "Take a run's results out of its store.",
    "report": "Write a page about a run, or about two beside each other.",
    "trace": "Write a run as a trace that Perfetto and Chrome open.",
    "init": "Write a commented pipeline file to start from.",
    "schema": "Print the JSON Schema of pipeline files, for editors.",
    "limits": "Find out a provider's limits with a few small calls.",
    "sim": "Serve a simulated provider, to test against without a key.",
    "demo": "See what pooling gains, measured on this machine. Needs no key.",
}
# Commands that stand in another's file.
_FILES = {"retry": "resume"}


class _Commands(click.Group):
    """Knows its commands' names and words; their modules are imported one at a time, when called."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        _show_warnings()
        return load_command(name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def load_command(name: str) -> click.Command:
    """The command of this name, out of its file."""
    command = getattr(import_module(f"flowpool.cli.{_FILES.get(name, name)}"), name)
    assert isinstance(command, click.Command)
    return command


def _show_warnings() -> None:
    """The package's warnings go to the standard error stream of the moment."""
    import logging

    from flowpool.cli.streams import say

    class Warnings(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(self.format(record))

    logging.getLogger("flowpool").addHandler(Warnings(logging.WARNING))


def _show_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"flowpool {__version__}")
        ctx.exit()


@click.group(
    cls=_Commands,
    # What is missing here is looked up in the table; these let click suggest near names.
    commands={name: click.Command(name, short_help=words) for name, words in COMMANDS.items()},
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
@click.pass_context
def app(ctx: click.Context) -> None:
    """Run one prompt, skill or chain over many inputs at once.

    Start with `flowpool demo`, which needs no key; then `flowpool map` for a prompt over rows, or `flowpool
    init` and `flowpool run` for a pipeline in a file.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run_app(argv: Sequence[str] | None) -> int:
    """The exit code of a command line: 0 all done, 1 some failed, 2 bad input, 130 interrupted."""
    from flowpool.cli.streams import fill_closed

    fill_closed()
    try:
        words = sys.argv[1:] if argv is None else argv
        code = app.main(argv, prog_name="flowpool", standalone_mode=False, obj=tuple(words))
    except click.ClickException as error:
        return _refuse(_usage(error))
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        from flowpool.errors import FlowpoolError, InvalidInput

        if not isinstance(error, FlowpoolError):
            raise
        if not isinstance(error, InvalidInput):
            return _refuse(str(error), FAILED)
        from flowpool.cli.words import in_shell_words

        return _refuse(in_shell_words(str(error)))
    return code if isinstance(code, int) else 0


def _usage(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    more = f" (see {ctx.command_path} --help)" if ctx is not None else ""
    return error.format_message() + more


def _refuse(message: str, code: int = BAD_INPUT) -> int:
    from flowpool.cli.streams import say

    say(f"flowpool: {' '.join(message.split())}")
    return code
