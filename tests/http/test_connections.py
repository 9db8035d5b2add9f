"""What becomes of a call and its connection: cancelled, timed out, reset, repeated, or one of thousands."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import sys

import pytest

from flowpool.errors import (
    AttemptTimeout,
    ConnectFailed,
    ConnectionReset,
    ConnectTimeout,
    ReadTimeout,
)
from flowpool.values import Timeouts

AT_ONCE = 1.0  # seconds: on a busy machine
SOON = Timeouts(total=5)


def counts(transport) -> tuple[str, ...]:
    """Connections open, free and being made, and calls waiting for one."""
    found = re.search(r"(\d+) open, (\d+) free, (\d+) being made, (\d+) calls", repr(transport))
    assert found
    return found.groups()


def settled(server) -> tuple[str, ...]:
    """The `counts` of a transport that holds each of the server's connections free, and does nothing more."""
    live = str(len(server.live))
    return (live, live, "0", "0")


async def silent(peer) -> None:
    """Reads requests and never answers."""
    while True:
        await peer.request()


def test_a_cancelled_call_closes_its_connection_at_once(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(silent) as server, raw.opened() as transport:
            call = asyncio.ensure_future(transport.send(raw.get(server.url), SOON))
            await raw.until(lambda: bool(server.requests))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await raw.until(lambda: not server.live, AT_ONCE)

    run(main())


@pytest.mark.parametrize(
    ("timeouts", "error"),
    [
        (Timeouts(total=0.05), AttemptTimeout),
        (Timeouts(read=0.05, total=5), ReadTimeout),
        (Timeouts(read=0.05, total=0.05), AttemptTimeout),
    ],
)
def test_a_timed_out_call_closes_its_connection_at_once(run, raw, timeouts, error) -> None:
    async def main() -> None:
        async with raw.Server(silent) as server, raw.opened() as transport:
            with pytest.raises(error, match=rf"127\.0\.0\.1:{server.port}"):
                await transport.send(raw.get(server.url), timeouts)
            await raw.until(lambda: not server.live, AT_ONCE)
            assert len(server.requests) == 1

    run(main())


def test_timeouts_hold_on_a_reused_connection_too(run, raw) -> None:
    async def handler(peer) -> None:
        await peer.request()
        peer.answer()
        await silent(peer)

    async def main() -> None:
        async with raw.Server(handler) as server, raw.opened() as transport:
            await transport.send(raw.get(server.url), Timeouts(total=600))
            with pytest.raises(AttemptTimeout):
                await transport.send(raw.get(server.url), Timeouts(total=0.05))
            await raw.until(lambda: not server.live, AT_ONCE)
            assert server.accepted == 1

    run(main())


def test_a_dripping_answer_meets_the_attempt_timeout_and_not_the_read_timeout(run, raw) -> None:
    async def handler(peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            peer.send(b"x")
            await asyncio.sleep(0.02)

    with pytest.raises(AttemptTimeout):
        run(raw.once(handler, timeouts=Timeouts(read=0.1, total=0.3)))


def test_an_answer_slower_than_the_idle_time_is_awaited(run, raw) -> None:
    async def handler(peer) -> None:
        await peer.request()
        await asyncio.sleep(0.1)
        peer.answer()
        await peer.gone()

    assert run(raw.once(handler, idle_seconds=0.02)).body == b"ok"


def test_a_connect_timeout_is_told_apart(run, raw) -> None:
    async def main() -> None:
        # A listener that never accepts and whose backlog is full drops further connections.
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            await asyncio.sleep(0.02)
            async with raw.opened() as transport:
                request = raw.get(f"http://127.0.0.1:{port}/")
                with pytest.raises(ConnectTimeout, match=r"within 0\.05 s"):
                    await transport.send(request, Timeouts(connect=0.05, total=5))
                with pytest.raises(AttemptTimeout):
                    await transport.send(request, Timeouts(connect=5, total=0.05))
                calls = [
                    asyncio.ensure_future(transport.send(request, Timeouts(connect=0.1)))
                    for _ in range(500)
                ]
                done = await asyncio.gather(*calls, return_exceptions=True)
                assert {type(each) for each in done} == {ConnectTimeout}
                assert counts(transport) == ("0", "0", "0", "0")
            for filler in fillers:
                filler.close()

    run(main())


def test_a_refused_connection_says_what_to_do(run, raw) -> None:
    async def main() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            async with raw.opened() as transport:
                with pytest.raises(ConnectFailed) as caught:
                    await transport.send(raw.get(f"http://127.0.0.1:{port}/"), SOON)
        assert str(caught.value) == (
            f"could not connect to 127.0.0.1:{port}: connection refused (is the server running?)"
        )

    run(main())


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_fresh_connection_that_ends_without_an_answer_is_never_repeated(run, raw, ending) -> None:
    async def handler(peer) -> None:
        await peer.request()
        await getattr(peer, ending)()

    async def main() -> None:
        async with raw.Server(handler) as server, raw.opened() as transport:
            with pytest.raises(ConnectionReset, match="without an answer"):
                await transport.send(raw.get(server.url), SOON)
            await asyncio.sleep(0.05)
            assert (server.accepted, len(server.requests)) == (1, 1)

    run(main())


def test_a_server_that_closes_what_it_accepts_resets_the_call(run, raw) -> None:
    async def handler(peer) -> None:
        await peer.reset()

    with pytest.raises((ConnectionReset, ConnectFailed)):
        run(raw.once(handler))


class Accepted:
    """A server whose connections the test answers and closes itself, so that it is sure who was first."""

    def __init__(self) -> None:
        self.peers: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"

    async def accept(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        peer, _ = await loop.sock_accept(self.listener)
        self.peers.append(peer)
        return peer

    async def answer(self, peer: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        assert (await loop.sock_recv(peer, 65536)).endswith(b"\r\n\r\n")
        await loop.sock_sendall(peer, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async def serve_one(self) -> socket.socket:
        peer = await self.accept()
        await self.answer(peer)
        return peer

    def close(self) -> None:
        for sock in (self.listener, *self.peers):
            sock.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what the other end received")
def test_a_call_on_connections_closed_while_idle_is_repeated_once(run, raw) -> None:
    async def main() -> None:
        server = Accepted()
        async with raw.opened() as transport:
            try:
                warm = [
                    asyncio.ensure_future(transport.send(raw.get(server.url), SOON)) for _ in "abc"
                ]
                for peer in [await server.accept() for _ in warm]:
                    await server.answer(peer)
                await asyncio.gather(*warm)
                last = asyncio.ensure_future(server.serve_one())
                await asyncio.sleep(0)
                for peer in server.peers:
                    peer.close()
                answer = await transport.send(raw.get(server.url), SOON)
                await last
                assert answer.body == b"ok"
                assert len(server.peers) == 4
            finally:
                server.close()

    run(main())


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_request_that_the_server_received_whole_is_not_sent_again(run, raw, ending) -> None:
    async def handler(peer) -> None:
        await peer.request()
        peer.answer()
        await peer.request()
        await getattr(peer, ending)()

    async def main() -> None:
        async with raw.Server(handler) as server, raw.opened() as transport:
            await transport.send(raw.get(server.url), SOON)
            with pytest.raises(ConnectionReset) as caught:
                await transport.send(raw.get(server.url), SOON)
            assert type(caught.value) is ConnectionReset
            assert (server.accepted, len(server.requests)) == (1, 2)

    run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what the other end received")
def test_the_repeat_itself_is_never_repeated(run, raw) -> None:
    async def main() -> None:
        server = Accepted()

        async def serve() -> None:
            peer = await server.accept()
            await asyncio.get_running_loop().sock_recv(peer, 65536)
            peer.close()

        async with raw.opened() as transport:
            try:
                first = asyncio.ensure_future(transport.send(raw.get(server.url), SOON))
                peer = await server.serve_one()
                await first
                second = asyncio.ensure_future(serve())
                await asyncio.sleep(0)
                peer.close()
                with pytest.raises(ConnectionReset):
                    await transport.send(raw.get(server.url), SOON)
                await second
                assert len(server.peers) == 2
            finally:
                server.close()

    run(main())


def test_a_connection_closed_by_the_server_while_idle_is_not_used(run, raw) -> None:
    async def handler(peer) -> None:
        await peer.request()
        peer.answer()
        await peer.close()

    async def main() -> None:
        async with raw.Server(handler) as server, raw.opened() as transport:
            for _ in range(3):
                await transport.send(raw.get(server.url), SOON)
                await raw.until(lambda: " 0 open" in repr(transport))
            assert len(server.requests) == 3

    run(main())


def test_an_idle_connection_is_dropped_after_its_time(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(raw.polite) as server, raw.opened(idle_seconds=0.05) as transport:
            await transport.send(raw.get(server.url), SOON)
            assert len(server.live) == 1
            await raw.until(lambda: not server.live, 1.0)

    run(main())


def test_calls_one_after_another_share_a_connection(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(raw.polite) as server, raw.opened() as transport:
            for body in (b"", b"a", b"b" * 100_000):
                await transport.send(raw.get(server.url, method="POST", body=body), SOON)
            assert server.accepted == 1
            assert [len(each.split(b"\r\n\r\n", 1)[1]) for each in server.requests] == [
                0,
                1,
                100_000,
            ]

    run(main())


def test_five_thousand_calls_are_in_flight_at_once(run, raw) -> None:
    count = 5000

    async def main() -> None:
        everyone = asyncio.Event()

        async def handler(peer) -> None:
            await peer.request()
            if len(peer.server.requests) == count:
                everyone.set()
            await everyone.wait()
            peer.answer()
            await peer.gone()

        async with raw.Server(handler) as server, raw.opened() as transport:
            request = raw.get(server.url)
            calls = [transport.send(request, Timeouts(total=60)) for _ in range(count)]
            answers = await asyncio.gather(*calls)
            assert len(answers) == server.accepted == count

    run(main())


def test_a_burst_of_calls_does_not_flood_the_listen_backlog(run, raw) -> None:
    """What a server's queue can't hold waits a second or more for its packets to be sent again."""

    async def main() -> None:
        everyone = asyncio.Event()
        being_made: list[int] = []

        async def handler(peer) -> None:
            await peer.request()
            being_made.append(int(counts(transport)[2]))
            if len(peer.server.requests) == 1000:
                everyone.set()
            await everyone.wait()
            peer.answer()
            await peer.gone()

        async with raw.Server(handler) as server, raw.opened() as transport:
            request = raw.get(server.url)
            calls = [asyncio.ensure_future(transport.send(request, SOON)) for _ in range(1000)]
            await asyncio.sleep(0)
            assert counts(transport) == ("0", "0", "32", "1000")
            await asyncio.gather(*calls)
            assert max(being_made) <= 256

    run(main())


def test_random_cancels_leak_no_connection_and_never_mix_two_calls(run, raw) -> None:
    rng = random.Random(7)
    name = re.compile(rb"GET /(\d+) HTTP/1\.1\r\n(?:[a-z-]+: [^\r\n]*\r\n)+\r\n")

    async def echo(peer) -> None:
        while True:
            request = await peer.request()
            match = name.fullmatch(request)
            assert match, request
            await asyncio.sleep(rng.choice([0, 0, 0.001, 0.01]))
            dice = rng.random()
            if dice < 0.05:
                await peer.reset()
            elif dice < 0.1:
                peer.answer(match[1], headers="connection: close\r\n")
                return
            peer.answer(match[1])

    async def main() -> None:
        async with raw.Server(echo) as server, raw.opened() as transport:

            async def call(number: int) -> bool:
                await asyncio.sleep(rng.random() * 0.5)
                timeouts = Timeouts(total=rng.choice([0.004, 5, 5]))
                try:
                    answer = await transport.send(raw.get(f"{server.url}{number}"), timeouts)
                except (AttemptTimeout, ConnectionReset):
                    return False
                assert answer.body == b"%d" % number
                return True

            tasks = [asyncio.ensure_future(call(number)) for number in range(1500)]
            for task in rng.sample(tasks, 400):
                asyncio.get_running_loop().call_later(rng.random() * 0.5, task.cancel)
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(
                end in (True, False) or isinstance(end, asyncio.CancelledError) for end in ends
            )
            assert sum(end is True for end in ends) > 500
            await raw.until(lambda: counts(transport) == settled(server))

    run(main())


def test_a_burst_cancelled_while_connecting_leaves_nothing(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(silent) as server, raw.opened() as transport:
            for turns in range(12):
                calls = [
                    asyncio.ensure_future(transport.send(raw.get(server.url), SOON))
                    for _ in range(40)
                ]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
                await asyncio.sleep(0.02)
            # A call cancelled as it got its new connection leaves it to the next one.
            await raw.until(lambda: counts(transport) == settled(server))
            assert len(server.live) <= 40

    run(main())


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize("answers_first", [False, True])
def test_a_server_that_only_ever_closes_plain_connections_may_speak_tls(
    run, raw, ending, answers_first
) -> None:
    async def handler(peer) -> None:
        await peer.request()
        if answers_first and server_of[0].accepted == 1:
            peer.answer(headers="connection: close\r\n")
            return
        await getattr(peer, ending)()

    server_of = []

    async def main() -> None:
        async with raw.Server(handler) as server, raw.opened() as transport:
            server_of.append(server)
            if answers_first:
                await transport.send(raw.get(server.url), SOON)
            with pytest.raises(ConnectionReset, match="without an answer") as caught:
                await transport.send(raw.get(server.url), SOON)
            assert ("https://" in str(caught.value)) != answers_first

    run(main())
