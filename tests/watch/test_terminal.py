"""The view that fills a terminal: a real pseudo-terminal, and how it is left."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers import until
from tests.watch.stores import Live, live, make_store

from flowpool.errors import NotFinished
from flowpool.watch.shown import shown
from flowpool.watch.source import StoreSource
from flowpool.watch.terminal import TerminalKeys

ALTERNATE, NORMAL, SHOWN = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"
COMMAND = (sys.executable, "-m", "flowpool.cli", "watch", "run.db", "--terminal")


class Terminal:
    """A command in a terminal of its own: what it wrote so far, and keys for it."""

    def __init__(
        self, folder: Path, command: tuple[str, ...] = COMMAND, term: str = "xterm"
    ) -> None:
        self.ours, self.its = pty.openpty()
        self.before = termios.tcgetattr(self.its)
        self.written = b""
        size = {"COLUMNS": "100", "LINES": "40"}
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=self.its,
            stdout=self.its,
            stderr=self.its,
            env=os.environ | size | {"TERM": term},
            start_new_session=True,
        )

    def read(self) -> bytes:
        while select.select([self.ours], [], [], 0.02)[0]:
            self.written += os.read(self.ours, 65536)
        return self.written

    def shows(self, words: bytes) -> None:
        until(lambda: words in self.read(), process=self.process)

    def press(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def end(self) -> int:
        until(lambda: self.read() is not None and self.process.poll() is not None)
        self.read()
        return self.process.wait()

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self.its) == self.before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.its)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Any]:
    make_store(tmp_path / "run.db")
    opened: list[Terminal] = []

    def open_terminal(**options: Any) -> Terminal:
        opened.append(Terminal(tmp_path, **options))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


def test_it_fills_the_screen_and_q_leaves_it_as_it_was(terminal: Any) -> None:
    shown_in = terminal()
    shown_in.shows(b"203 of 203")
    assert ALTERNATE in shown_in.written
    assert not shown_in.is_as_before()
    shown_in.press(b"q")
    assert shown_in.end() == 0
    assert shown_in.written.rindex(NORMAL) > shown_in.written.rindex(ALTERNATE)
    assert SHOWN in shown_in.written[shown_in.written.rindex(b"203 of 203") :]
    assert shown_in.is_as_before()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_leaves_the_terminal_as_it_was_too(terminal: Any, number: int, code: int) -> None:
    shown_in = terminal()
    shown_in.shows(b"203 of 203")
    shown_in.process.send_signal(number)
    assert shown_in.end() == code
    assert NORMAL in shown_in.written
    assert shown_in.is_as_before()


CRASHES = """
from rich.console import Console
from flowpool.watch.source import StoreSource
from flowpool.watch.terminal import watch_in_terminal
source = StoreSource("run.db")
view, looks = source.view, []
def failing():
    looks.append(1)
    if len(looks) > 1:
        raise RuntimeError("a bug")
    return view()
source.view = failing
watch_in_terminal(source, Console())
"""


def test_so_does_a_crash_and_it_is_seen(terminal: Any) -> None:
    shown_in = terminal(command=(sys.executable, "-c", CRASHES))
    assert shown_in.end() == 1
    assert b"a bug" in shown_in.written[shown_in.written.rindex(NORMAL) :]
    assert shown_in.is_as_before()


def test_a_dumb_terminal_is_refused_with_words(terminal: Any) -> None:
    shown_in = terminal(term="dumb")
    assert shown_in.end() == 2
    assert b"this is no terminal that can be drawn on" in shown_in.written
    assert ALTERNATE not in shown_in.written


def test_a_pipe_is_refused_with_words(tmp_path: Path) -> None:
    make_store(tmp_path / "run.db")
    done = subprocess.run(COMMAND, cwd=tmp_path, capture_output=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert b"this is no terminal" in done.stderr
    assert done.stdout == b""


class Pressed:
    """Keys of a run that is watched, with what stands for its process."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        make_store(folder / "run.db")
        self.process = Live(live(**changes))
        self.source = StoreSource(
            folder / "run.db", look=self.process.look, order=self.process.order
        )
        self.keys = TerminalKeys(self.source)
        self.look()

    def look(self) -> None:
        self.keys.now = shown(self.source.view())

    def press(self, keys: str) -> None:
        for key in keys:
            self.keys.press(key)


@pytest.fixture
def pressed(tmp_path: Path) -> Iterator[Pressed]:
    pressed = Pressed(tmp_path)
    yield pressed
    pressed.source.close()


def test_p_pauses_and_goes_on(pressed: Pressed) -> None:
    pressed.press("p")
    assert pressed.keys.said == "done: pause"
    pressed.look()
    pressed.press("p")
    assert [what for what, _ in pressed.process.orders] == ["pause", "go"]


def test_plus_and_minus_change_how_many_flows_there_may_be(tmp_path: Path) -> None:
    pressed = Pressed(tmp_path, settings={"max_flows": 8})
    pressed.press("+-")
    assert pressed.process.orders == [("set", {"max_flows": 10}), ("set", {"max_flows": 6})]
    pressed.source.close()


def test_without_a_number_they_begin_at_what_is_in_flight(pressed: Pressed) -> None:
    pressed.press("+")
    assert pressed.process.orders == [("set", {"max_flows": 20})]


def test_an_arrow_and_other_keys_do_nothing(pressed: Pressed) -> None:
    pressed.press("\x1b[A\n zP")
    assert pressed.process.orders == []
    assert not pressed.keys.leaves


def test_what_cant_be_done_is_said_and_stays_a_while(pressed: Pressed) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise NotFinished("nobody is at work on it")

    pressed.source._order = refuse
    pressed.press("p")
    assert pressed.keys.said == "Not done: nobody is at work on it"
    pressed.keys._said_at = time.monotonic() - 60
    assert pressed.keys.said == ""


def test_a_run_that_is_over_takes_no_orders(pressed: Pressed) -> None:
    pressed.process.view = None
    pressed.look()
    pressed.press("p+")
    assert pressed.process.orders == []
    assert pressed.keys.said == "It takes no orders: nobody is at work on it."
