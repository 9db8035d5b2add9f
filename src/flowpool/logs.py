"""The logger "flowpool": what a program's log may keep of a run. Few lines; no prompt, answer or key in any.

Nothing is shown unless the program configures logging. Warnings say what ends or changes a run; INFO what it
learned, gave up and came to.
"""

from __future__ import annotations

import logging

from flowpool.errors import CallError

log = logging.getLogger("flowpool")
log.addHandler(logging.NullHandler())


def in_short(error: CallError) -> str:
    """A failure's kind and status: a provider's own words may hold a prompt."""
    status = f", HTTP {error.status}" if error.status is not None else ""
    return f"{type(error).__name__}{status}"
