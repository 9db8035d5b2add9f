"""The transport: one a loop, closed with it, its options and its files."""

from __future__ import annotations

import asyncio
import socket

import pytest

from flowpool.errors import (
    ConnectFailed,
    ConnectionReset,
    InvalidInput,
)
from flowpool.http import transport as transport_module
from flowpool.http.transport import HttpTransport
from flowpool.values import Timeouts

AT_ONCE = 1.0  # seconds: on a busy machine
SOON = Timeouts(total=5)


async def silent(peer) -> None:
    """Reads requests and never answers."""
    while True:
        await peer.request()


def test_closing_ends_calls_under_way_and_later_ones_are_told(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(silent) as server:
            transport = HttpTransport(environ={})
            call = asyncio.ensure_future(transport.send(raw.get(server.url), SOON))
            await raw.until(lambda: bool(server.requests))
            await transport.aclose()
            with pytest.raises(ConnectionReset, match="was closed"):
                await call
            with pytest.raises(RuntimeError, match="make a new one"):
                await transport.send(raw.get(server.url), SOON)
            await raw.until(lambda: not server.live, AT_ONCE)

    run(main())


def test_the_shared_transport_is_one_per_loop_and_closes_with_it(run, raw) -> None:
    kept = []

    async def main() -> None:
        async with raw.Server(raw.polite) as server:
            await transport_module.shared().send(raw.get(server.url), SOON)
            assert transport_module.shared() is transport_module.shared()
            kept.append(transport_module.shared())

    run(main())
    assert repr(kept[0]) == "<HttpTransport []>"


def test_a_transport_moves_on_when_its_loop_is_closed(raw) -> None:
    transport = HttpTransport(environ={}, idle_seconds=0.01)

    async def main() -> None:
        async with raw.Server(raw.polite) as server:
            assert (await transport.send(raw.get(server.url), SOON)).body == b"ok"
            await raw.until(lambda: not server.live)

    asyncio.run(main())
    asyncio.run(main())


def test_a_transport_can_be_closed_after_its_loop(raw) -> None:
    transport = HttpTransport(environ={})

    async def main() -> None:
        with pytest.raises(ConnectFailed):
            await transport.send(raw.get("http://127.0.0.1:1/"), SOON)

    asyncio.run(main())
    asyncio.run(transport.aclose())


def test_a_transport_on_two_loops_at_once_is_refused(raw) -> None:
    transport = HttpTransport(environ={})
    with asyncio.Runner() as first, asyncio.Runner() as second:

        async def fail() -> None:
            with pytest.raises((ConnectFailed, RuntimeError)) as caught:
                await transport.send(raw.get("http://127.0.0.1:1/"), SOON)
            kinds.append(caught.type)

        kinds: list[type] = []
        first.run(fail())
        second.run(fail())
        assert kinds == [ConnectFailed, RuntimeError]


@pytest.mark.parametrize("options", [{"max_body": 0}, {"idle_seconds": 0}])
def test_impossible_options_are_refused(options) -> None:
    with pytest.raises(InvalidInput, match="use"):
        HttpTransport(**options)


class FileLimit:
    """How many files this process may open, set by a test.

    Anything may close a file meanwhile, the garbage collector above all, and a new one takes the lowest number that
    is free. So the first numbers are taken, and a limit is set well among them.
    """

    def __init__(self, resource) -> None:
        self._resource = resource
        self._set = resource.setrlimit
        self._before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._taken = [socket.socket() for _ in range(100)]
        self.next = max(each.fileno() for each in self._taken) + 1

    def set(self, limit: int) -> None:
        self._set(self._resource.RLIMIT_NOFILE, (limit, self._before[1]))

    def unset(self) -> None:
        self._set(self._resource.RLIMIT_NOFILE, self._before)

    def close(self) -> None:
        self.unset()
        for each in self._taken:
            each.close()


@pytest.fixture
def file_limit():
    limit = FileLimit(pytest.importorskip("resource"))
    yield limit
    limit.close()


@pytest.fixture
def fixed_file_limit(file_limit, monkeypatch):
    """A limit that the library can't raise."""
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)
    return file_limit


def test_running_out_of_files_says_how_to_raise_the_limit(run, raw, fixed_file_limit) -> None:
    async def main() -> None:
        async with raw.Server(silent) as server, raw.opened() as transport:
            fixed_file_limit.set(fixed_file_limit.next - 50)
            with pytest.raises(ConnectFailed, match=r"too many open files \(raise the limit"):
                await transport.send(raw.get(server.url), SOON)
            fixed_file_limit.unset()

    run(main())


def test_idle_connections_make_room_when_files_run_out(run, raw, fixed_file_limit) -> None:
    async def main() -> None:
        async with (
            raw.Server(raw.polite) as a,
            raw.Server(raw.polite) as b,
            raw.opened() as transport,
        ):
            with socket.socket() as probe:
                first_idle = probe.fileno()
            await asyncio.gather(*(transport.send(raw.get(a.url), SOON) for _ in range(3)))
            # The library leaves the last eighth of the numbers alone: here it begins after the first connection's.
            fixed_file_limit.set((first_idle + 1) * 8 // 7)
            assert (await transport.send(raw.get(b.url), SOON)).body == b"ok"
            fixed_file_limit.unset()

    run(main())


def test_a_low_soft_limit_of_files_is_raised_by_itself(run, raw, file_limit) -> None:
    async def main() -> None:
        async with raw.Server(raw.polite) as server, raw.opened() as transport:
            file_limit.set(file_limit.next - 50)
            assert (await transport.send(raw.get(server.url), SOON)).body == b"ok"

    run(main())
