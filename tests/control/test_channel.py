"""The control channel: who is heard, what comes back, and what a stale or strange file does."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.helpers import until

from flowpool import Pool, Skill
from flowpool.control import messages, server
from flowpool.control.client import NobodyAtWork, RunBusy, look, looks, order
from flowpool.control.messages import (
    MOST_REQUEST,
    Address,
    ControlReply,
    control_file,
    read_address,
    write_address,
)
from flowpool.control.server import MOST_AT_ONCE, ControlServer, listening
from flowpool.errors import InvalidInput, StoreRefused
from flowpool.pool import RUNNING
from flowpool.run.progress import Snapshot
from flowpool.run.session import Change
from flowpool.settings import Settings
from flowpool.store.file import open_store


class Run:
    """A run as the server knows it, which notes what it is told."""

    def __init__(self, name: str = "mood") -> None:
        self.name = name
        self.settings = Settings(max_flows=100, max_cost=10.0)
        self.orders: list[Any] = []
        self.hears = True

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(100, 7, 40, rate=2.0)

    @property
    def samples(self) -> list[Any]:
        return []

    @property
    def is_paused(self) -> bool:
        return "pause" in self.orders

    def change(self, by: str, **given: Any) -> list[Change]:
        changed = Settings.checked(**{**msgspec.structs.asdict(self.settings), **given})
        self.settings, before = changed, self.settings
        return [
            Change(name, getattr(before, name), value, "shell")
            for name, value in given.items()
            if getattr(before, name) != value
        ]

    def pause(self, by: str) -> bool:
        self.orders.append("pause")
        return self.orders.count("pause") == 1

    def go(self, by: str) -> bool:
        self.orders.append("go")
        return True

    def stop(self, by: str) -> None:
        self.orders.append(("stop", by))

    def cancel(self, by: str) -> None:
        self.orders.append(("cancel", by))

    def is_heard(self, seconds: float) -> bool:
        return self.hears


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A store that this process holds, as a run at work does."""
    path = tmp_path / "run.db"
    with open_store(path):
        yield path


@pytest.fixture
def run(store: Path) -> Iterator[Any]:
    run: Any = Run()
    with listening(run, store, 1):
        yield run


def address_of(store: Path) -> Address:
    address = read_address(control_file(store))
    assert address is not None
    return address


def say(store: Path, data: bytes, *, ends: bool = True) -> bytes:
    """What comes back for these bytes, up to the end."""
    address = address_of(store)
    with socket.create_connection(("127.0.0.1", address.port), 5) as connection:
        connection.settimeout(10)
        got = b""
        try:
            connection.sendall(data)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                got += piece
        except ConnectionError:  # refused with bytes unread
            pass
        return got


# What is asked and done.


def test_a_look_tells_how_the_run_stands(store: Path, run: Run) -> None:
    view = look(store)
    assert view is not None
    assert (view.name, view.pid, view.paused) == ("mood", os.getpid(), False)
    assert (view.sample.done, view.sample.running, view.sample.rate) == (40, 7, 2.0)
    assert view.sample.eta == 30.0
    assert view.settings == {"max_flows": 100, "max_cost": 10.0, "max_tokens_total": None}
    assert view.sample.at == pytest.approx(time.time(), abs=60)


def test_orders_are_carried_out_and_said_in_words(store: Path, run: Run) -> None:
    assert order(store, "set", max_flows=50, max_cost=20) == (
        "max_flows from 100 to 50; max_cost from $10 to $20"
    )
    assert order(store, "set", max_flows=50) == "nothing is another than it was"
    assert order(store, "pause") == "paused: 0 calls in flight end"
    assert order(store, "pause") == "it is paused already"
    assert order(store, "go") == "it goes on"
    assert order(store, "stop").startswith("stopped: ")
    assert order(store, "cancel").startswith("cancelled: ")
    assert run.orders == ["pause", "pause", "go", ("stop", "shell"), ("cancel", "shell")]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"max_flows": 0}, "max_flows=0: use 1 or more"),
        ({"max_cost": -1.0}, "max_cost=-1.0: use dollars above 0"),
        ({"retries": 3}, "retries can't be changed of a run at work"),
        ({"__class__": 3}, "__class__ can't be changed"),
    ],
)
def test_what_a_run_refuses_comes_back_as_its_words(
    store: Path, run: Run, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        order(store, "set", **values)
    assert says in str(refused.value)
    assert run.settings == Settings(max_flows=100, max_cost=10.0)


def test_an_order_that_a_busy_loop_has_not_heeded_says_so(store: Path, run: Run) -> None:
    run.hears = False
    assert order(store, "pause").endswith("; its loop is busy now, and heeds it as soon as it can")


def test_several_runs_of_a_store_are_told_apart_by_name_or_number(store: Path, run: Run) -> None:
    other: Any = Run("other")
    with listening(other, store, 2):
        assert {number: view.name for number, view in looks(store).items()} == {
            1: "mood",
            2: "other",
        }
        with pytest.raises(
            InvalidInput, match=r"several runs are at work.*1 \(mood\), 2 \(other\)"
        ):
            order(store, "pause")
        with pytest.raises(InvalidInput, match="no run 'third' is at work"):
            order(store, "pause", "third")
        order(store, "pause", "other")
        order(store, "pause", "1")
        assert (run.orders, other.orders) == (["pause"], ["pause"])
        assert look(store, "2") is not None
        assert look(store, "third") is None
    order(store, "go")
    assert run.orders == ["pause", "go"]


def test_text_of_others_comes_printable(store: Path) -> None:
    run: Any = Run("\x1b[2J\ud800")
    with listening(run, store, 1):
        view = look(store)
    assert view is not None
    assert view.name == "\\x1b[2J\\ud800"


# Who is heard.


def test_the_file_is_for_its_user_alone_whatever_the_umask(store: Path) -> None:
    before = os.umask(0)
    try:
        with listening(Run(), store, 1):
            file = control_file(store)
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert len(address_of(store).token) >= 40
            assert address_of(store).token not in repr(address_of(store))
    finally:
        os.umask(before)
    assert not file.exists()


def test_it_listens_on_the_loopback_address_alone(store: Path, run: Run) -> None:
    [one] = server._servers.values()
    assert one._listener.getsockname()[0] == "127.0.0.1"


def test_each_process_has_a_token_of_its_own(store: Path) -> None:
    tokens = set()
    for _ in range(3):
        with listening(Run(), store, 1):
            tokens.add(address_of(store).token)
    assert len(tokens) == 3


@pytest.mark.parametrize("token", ["", "x", "é", "\ud800", None, 5])
def test_a_wrong_token_is_refused_and_nothing_is_done(store: Path, run: Run, token: Any) -> None:
    line = json.dumps({"token": token, "what": "pause"}).encode() + b"\n"
    reply = msgspec.json.decode(say(store, line), type=ControlReply)
    assert (reply.how, reply.views) == ("stranger", {})
    assert address_of(store).token not in str(reply)
    assert run.orders == []


def test_a_token_that_is_nearly_right_is_wrong(store: Path, run: Run) -> None:
    token = address_of(store).token
    for near in (token[:-1], token + "x", token.swapcase()):
        line = json.dumps({"token": near, "what": "cancel"}).encode() + b"\n"
        assert b"stranger" in say(store, line)
    assert run.orders == []


GARBAGE = [
    b"",
    b"\n",
    b"{}\n",
    b"[]\n",
    b"null\n",
    b"\xff\xfe\x00\n",
    b'{"token": ',
    b"[" * 10_000 + b"\n",
    b'{"a":' * 3_000 + b"\n",
    b"x" * (MOST_REQUEST + 10),
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n" + b'{"what":"cancel"}\n',
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100 + b"\n",
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_refused_and_the_next_is_heard(store: Path, run: Run, data: bytes) -> None:
    got = say(store, data)
    assert got == b"" or msgspec.json.decode(got, type=ControlReply).how == "stranger"
    assert run.orders == []
    assert look(store) is not None


def test_random_garbage_does_nothing(store: Path, run: Run) -> None:
    """Bytes of chance, and right requests with some of their bytes changed: they lack the token or the sense."""
    chance = random.Random(13)
    [one] = server._servers.values()
    token = address_of(store).token
    right = json.dumps({"token": token, "what": "look", "run": None, "values": {"a": 1}}).encode()
    for _ in range(5000):
        line = bytearray(right) if chance.random() < 0.7 else bytearray(chance.randbytes(200))
        for _ in range(chance.randint(1, 6)):
            line[chance.randrange(len(line))] = chance.randrange(256)
        reply = one.reply(bytes(line))
        assert reply.how in ("stranger", "done", "refused")
        msgspec.json.encode(reply)
    assert run.orders == []


def test_a_right_token_with_senseless_values_is_refused(store: Path, run: Run) -> None:
    token = address_of(store).token
    for request in (
        {"what": "explode"},
        {"what": "set", "values": {"max_flows": []}},
        {"what": "set", "values": {"max_flows": None}},
        {"what": "set", "values": {"max_flows": 1e400}},
        {"what": "set", "values": {"max_flows": "many"}},
        {"what": "set", "values": {"max_cost": "5"}},
        {"what": "pause", "run": 7},
    ):
        line = json.dumps({"token": token, **request}).encode() + b"\n"
        assert b'"done"' not in say(store, line)
    assert (run.orders, run.settings) == ([], Settings(max_flows=100, max_cost=10.0))


def test_who_sends_nothing_is_let_go_and_holds_up_nobody(
    store: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.3)
    port = address_of(store).port
    with ExitStack() as open_ones:
        for _ in range(MOST_AT_ONCE - 1):
            idle = socket.create_connection(("127.0.0.1", port), 5)
            open_ones.enter_context(idle).sendall(b"{")
        assert look(store) is not None
        last = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        last.settimeout(10)
        assert last.recv(10) == b""


def test_a_line_that_trickles_in_is_cut_off(
    store: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.3)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", address_of(store).port), 5) as slow:
        slow.settimeout(10)
        with suppress(OSError):  # reset or broken, as the system has it
            while time.monotonic() - began < 10:
                slow.sendall(b"{")
                time.sleep(0.05)
    assert time.monotonic() - began < 10


# Where nobody is, or somebody else.


def test_without_a_run_there_is_nothing_to_look_at_or_to_steer(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    assert look(path) is None
    assert looks(path) == {}
    with pytest.raises(StoreRefused, match="no such file"):
        order(path, "pause")
    with open_store(path):
        pass
    with pytest.raises(NobodyAtWork, match="nobody is at work on it"):
        order(path, "pause")


def test_a_run_that_does_not_listen_is_named(store: Path) -> None:
    with pytest.raises(NobodyAtWork, match=r"in use by .*process \d+.* can't be steered"):
        order(store, "pause")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def test_the_file_of_a_killed_run_is_seen_as_stale(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with open_store(path):
        pass
    write_address(control_file(path), Address(socket.gethostname(), 1, free_port(), "t" * 43))
    assert look(path) is None
    with pytest.raises(NobodyAtWork):
        order(path, "pause")
    run: Any = Run()
    with open_store(path), listening(run, path, 1):
        assert look(path) is not None
    assert not control_file(path).exists()


@pytest.mark.parametrize(
    "says", [b"SSH-2.0-x\r\n", b"HTTP/1.1 400 Bad\r\n\r\n", b"{}\n", b"", None]
)
def test_a_stranger_at_a_stale_address_is_no_run(tmp_path: Path, says: bytes | None) -> None:
    path = tmp_path / "run.db"
    with open_store(path):
        pass
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        write_address(
            control_file(path),
            Address(socket.gethostname(), 1, stranger.getsockname()[1], "t" * 43),
        )

        def answer() -> None:
            connection, _ = stranger.accept()
            with connection:
                if says is None:
                    time.sleep(1.3)
                else:
                    connection.sendall(says)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert look(path) is None
        thread.join(10)


def test_another_runs_server_at_a_stale_address_is_no_run(
    store: Path, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "stale.db"
    with open_store(path):
        pass
    here = address_of(store)
    write_address(control_file(path), Address(here.host, here.pid, here.port, "t" * 43))
    assert look(path) is None
    with pytest.raises(NobodyAtWork):
        order(path, "cancel")
    assert run.orders == []


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"nonsense", b'{"host":"h","pid":1,"port":99999,"token":"t"}']
)
def test_a_file_that_holds_nonsense_is_no_address(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.db"
    control_file(path).write_bytes(content)
    assert look(path) is None


def test_a_run_on_another_machine_is_named(store: Path) -> None:
    write_address(control_file(store), Address("elsewhere", 1, 1, "t"))
    with pytest.raises(InvalidInput, match="at work on elsewhere: ask there"):
        look(store)


def test_the_file_of_a_run_that_was_killed_on_another_machine_is_stale(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with open_store(path):
        pass
    write_address(control_file(path), Address("elsewhere", 1, 1, "t"))
    assert look(path) is None
    with pytest.raises(NobodyAtWork):
        order(path, "pause")


def test_a_file_that_is_another_users_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.db"
    write_address(control_file(path), Address("h", 1, 1, "t"))

    def refuse(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InvalidInput, match="steer the run as the user who started it"):
        look(path)


def test_a_run_that_hangs_is_said_so_after_a_second(store: Path, run: Run) -> None:
    free = threading.Event()

    class Hanging(Run):
        @property
        def snapshot(self) -> Snapshot:
            free.wait(20)
            return super().snapshot

    hanging: Any = Hanging("hanging")
    with listening(hanging, store, 2):
        began = time.monotonic()
        with pytest.raises(RunBusy, match=r"no answer within 1 s: it is too busy, or stopped"):
            look(store)
        assert time.monotonic() - began < 5.0
        free.set()


def test_an_order_that_nobody_waits_for_any_more_is_dropped(
    store: Path, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As by a run that was stopped by a signal, and takes up what came meanwhile once it goes on."""
    held, taken = threading.Event(), threading.Event()

    def late(connection: socket.socket, most: int, seconds: float) -> bytes:
        held.wait(20)
        line = messages.read_line(connection, most, seconds)
        taken.set()
        return line

    monkeypatch.setattr(server, "read_line", late)
    monkeypatch.setattr("flowpool.control.client.ORDERED", 0.3)
    with pytest.raises(RunBusy, match="stopped, and the order is dropped: give it again"):
        order(store, "cancel")
    held.set()
    assert taken.wait(20)
    until(lambda: "dropped an order that came too late (cancel)" in caplog.text)
    assert run.orders == []
    request = {"token": address_of(store).token, "what": "pause", "until": time.time() - 1}
    [one] = server._servers.values()
    refused = one.reply(json.dumps(request).encode())
    assert (refused.how, refused.words.split(" and ")[0]) == (
        "refused",
        "the order (pause) came too late",
    )
    assert run.orders == []


# Where nothing can listen.


def test_where_nothing_can_listen_the_run_goes_on_and_says_so_once(
    simulate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket, "create_server", refuse)
    sim = simulate()
    sim.run(sim.pool(items=3, store=tmp_path / "run.db"))
    assert sim.ledger.answers == 3
    said = [record.getMessage() for record in caplog.records if "steered" in record.getMessage()]
    assert len(said) == 1
    assert "can't be steered from another shell: Operation not permitted" in said[0]
    assert not control_file(tmp_path / "run.db").exists()


def test_where_others_could_read_the_file_nobody_listens(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that has no modes."""

    def readable(path: Path, data: bytes) -> None:
        path.write_bytes(data)
        path.chmod(0o644)

    monkeypatch.setattr(messages, "write_whole", readable)
    with pytest.raises(PermissionError, match="others could read it"):
        ControlServer(store)
    assert not control_file(store).exists()


def test_a_run_that_is_over_leaves_no_file_and_no_listener(simulate: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    sim = simulate()
    pool = sim.pool(items=2, store=path)
    ports: list[int] = []

    async def main() -> None:
        running = asyncio.ensure_future(pool.arun())
        await asyncio.sleep(0.5)
        ports.append(address_of(path).port)
        await running

    sim.run(main())
    assert not control_file(path).exists()
    assert server._servers == {}
    with pytest.raises(OSError):  # noqa: PT011 (refused, as the system has it)
        socket.create_connection(("127.0.0.1", ports[0]), 2).recv(1)


# A real run, in this process.


def test_a_run_of_this_process_is_looked_at_and_steered(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    free = threading.Event()

    def work(text: str) -> str:
        free.wait(20)
        return text

    pool = Pool(work, [{"text": str(n)} for n in range(9)], max_flows=2, store=path, progress=False)
    runner = threading.Thread(target=pool.run)
    runner.start()
    until(lambda: (view := look(path)) is not None and view.sample.running == 2)
    view = look(path)
    assert view is not None
    [lane] = view.sample.lanes
    assert (lane.in_flight, lane.window, view.settings["max_flows"]) == (2, 2, 2)
    assert order(path, "set", max_flows=4) == "max_flows from 2 to 4"
    until(lambda: pool.status[RUNNING] == 4)
    assert order(path, "pause") == "paused: 4 calls in flight end"
    assert pool.snapshot.paused
    free.set()
    until(lambda: pool.status[RUNNING] == 0)
    assert order(path, "go") == "it goes on"
    runner.join(20)
    assert pool.results == [str(n) for n in range(9)]


def test_a_busy_loop_is_looked_at_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    begun, free = threading.Event(), threading.Event()

    async def blocks(text: str) -> str:
        begun.set()
        free.wait(20)
        return text

    pool = Pool(blocks, [{"text": "a"}], store=path, progress=False)
    runner = threading.Thread(target=pool.run)
    runner.start()
    assert begun.wait(20)
    view = look(path)
    assert view is not None
    assert view.sample.running == 1
    words = order(path, "pause")
    assert words.endswith("heeds it as soon as it can")
    free.set()
    runner.join(20)


def test_a_ceiling_that_is_refused_from_a_shell_says_what_to_do(
    tmp_path: Path, simulate: Any
) -> None:
    path = tmp_path / "run.db"
    sim = simulate()
    pool = sim.pool(Skill(sim.model(), prompt="{text}"), items=4, max_flows=1, store=path)
    said: list[str] = []

    async def main() -> None:
        running = asyncio.ensure_future(pool.arun())
        await asyncio.sleep(0.5)
        request = {"token": address_of(path).token, "what": "set", "values": {"max_cost": 20}}
        [one] = server._servers.values()
        said.append(one.reply(json.dumps(request).encode()).words)
        await running

    sim.run(main())
    assert said[0].startswith("max_cost=20: the run at work began without one")
