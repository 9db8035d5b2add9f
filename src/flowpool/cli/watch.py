"""`flowpool watch`: a run as it goes, on a page or in the terminal. Writes nothing into the store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from flowpool.cli.options import STORE, STORE_RUN

if TYPE_CHECKING:
    from flowpool.watch.server import PageServer
    from flowpool.watch.source import StoreSource


@click.command()
@STORE
@STORE_RUN
@click.option("--terminal", is_flag=True, help="Fill this terminal with it, and serve no page.")
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="Serve the page there. [any free port]",
)
def watch(store: str, run: str | None, terminal: bool, opens: bool, port: int) -> int:
    """Watch a run while it goes: what holds it back, how far it is, where its time goes, what fails.

    Serves a page on this machine and says its address; whoever has that may also pause, change and stop the run.
    A run that is over can be watched too. Ctrl-C ends the watching, not the run.

    \b
    Examples:
      flowpool watch run.db
      flowpool watch run.db --terminal
    """
    from flowpool.watch.source import StoreSource

    if terminal and (opens or port):
        raise click.UsageError("--terminal serves no page: leave out --open and --port.")
    source = StoreSource(store, run)
    try:
        if terminal:
            _in_terminal(source)
        else:
            _on_page(source, opens, port)
    except KeyboardInterrupt:
        pass
    finally:
        source.close()
    return 0


def _in_terminal(source: StoreSource) -> None:
    from rich.console import Console

    from flowpool.errors import InvalidInput
    from flowpool.printable import is_terminal

    console = Console()
    if not is_terminal(sys.stdin) or not console.is_terminal or console.is_dumb_terminal:
        raise InvalidInput(
            "--terminal: this is no terminal that can be drawn on (or TERM is dumb): watch the page, without "
            "--terminal, or say `flowpool status`."
        )
    from flowpool.watch.terminal import watch_in_terminal

    watch_in_terminal(source, console)


def _is_opened(server: PageServer) -> bool:
    try:
        return server.open()
    except OSError:  # no room for the file that leads there
        return False


def _on_page(source: StoreSource, opens: bool, port: int) -> None:
    import threading

    from flowpool.cli.streams import say, show
    from flowpool.errors import InvalidInput
    from flowpool.watch.server import PageServer

    try:
        server = PageServer(source, port)
    except OSError as error:
        raise InvalidInput(f"--port {port}: {error.strerror}: name another, or none.") from None
    try:
        show(server.address)
        say("Whoever has this address may watch and steer the run. Ctrl-C ends the watching.")
        if opens and not _is_opened(server):
            say("No browser could be started: open the address in one.")
        threading.Event().wait()
    finally:
        server.close()
