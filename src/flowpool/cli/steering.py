"""What the commands share that steer a run at work: `set`, `pause`, `go`, `stop`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from flowpool.cli.options import STORE, grouped

if TYPE_CHECKING:
    from flowpool.control.messages import Order

STEERED = grouped(
    STORE,
    click.option(
        "--run",
        metavar="NAME",
        help="The run of this name or number, where several are at work. [the only one]",
    ),
)


def steer(store: str, what: Order, run: str | None, fix: str, **values: int | float | str) -> int:
    """Has the run at work do something, and says what was done. fix: a command for where nobody is at work, of
    which {} is the store.
    """
    from flowpool.cli.streams import show
    from flowpool.control.client import NobodyAtWork, order
    from flowpool.errors import FlowpoolError

    try:
        words = order(store, what, run, **values)
    except NobodyAtWork as nobody:
        raise FlowpoolError(f"{nobody}: {fix.format(shlex.quote(store))}") from None
    show(f"{store}: {words}")
    return 0
