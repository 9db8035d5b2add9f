"""A process that a test starts beside others: it says when it is ready, and ends with the test."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self, TypeVar


class Child:
    """`process` is there for as long as the test is within it."""

    def __init__(self, command: Sequence[str], environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"


C = TypeVar("C", bound=Child)


def start(stack: ExitStack, children: list[C]) -> list[C]:
    """The children, all of them ready; they end with the stack."""
    for child in children:
        stack.enter_context(child)
    for child in children:
        child.wait_ready()
    return children
