"""The command line. This file only says where its start is: `flowpool --help` must load little."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command in `argv` (by default the process's own); returns the exit code."""
    from flowpool.cli.app import run_app

    return run_app(argv)
