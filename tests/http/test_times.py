"""What the transport says of its time: how long a connection took, and how long until the answer began."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from flowpool.errors import BodyCut, ConnectFailed, ConnectTimeout, ReadTimeout
from flowpool.http.transport import HttpTransport
from flowpool.values import Timeouts

SOON = Timeouts(total=5)
# Seconds that a test's server or resolver takes, and what of them a clock of milliseconds may lose.
WAIT, BLUR = 0.1, 0.01


async def slow_names(host: str, port: int) -> list[str]:
    await asyncio.sleep(WAIT)
    return ["127.0.0.1"]


async def no_names(host: str, port: int) -> list[str]:
    await asyncio.sleep(WAIT)
    raise OSError("no such name")


async def thoughtful(peer) -> None:
    """Thinks before each answer, and again in the middle of it."""
    while True:
        await peer.request()
        await asyncio.sleep(WAIT)
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
        await asyncio.sleep(2 * WAIT)
        peer.send(b"cd")


def test_a_kept_connection_takes_no_time_and_a_new_one_does(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(raw.polite) as server, raw.opened(resolve=slow_names) as transport:
            url = f"http://slow.test:{server.port}/"
            first = await transport.send(raw.get(url), SOON)
            assert first.connect > WAIT - BLUR
            assert (await transport.send(raw.get(url), SOON)).connect == 0.0

    run(main())


def test_the_first_byte_is_counted_from_the_request_and_the_body_is_not(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(thoughtful) as server, raw.opened(resolve=slow_names) as transport:
            url = f"http://slow.test:{server.port}/"
            clock = asyncio.get_running_loop().time
            for _ in range(2):  # on a new connection and on a kept one
                began = clock()
                response = await transport.send(raw.get(url), SOON)
                took = clock() - began
                assert response.body == b"abcd"
                assert response.first_byte > WAIT - BLUR
                assert took - response.connect - response.first_byte > 2 * WAIT - BLUR

    run(main())


def test_a_compressed_answer_keeps_its_times(run, raw) -> None:
    async def zipped(peer) -> None:
        await peer.request()
        await asyncio.sleep(WAIT)
        peer.answer(gzip.compress(b"ok"), headers="content-encoding: gzip\r\n")
        await peer.gone()

    response = run(raw.once(zipped))
    assert response.body == b"ok"
    assert response.first_byte > WAIT - BLUR


def test_a_connection_that_fails_says_how_long_that_took(run, raw) -> None:
    async def main() -> None:
        async with raw.opened(resolve=no_names) as transport:
            with pytest.raises(ConnectFailed) as caught:
                await transport.send(raw.get("http://nowhere.test/"), SOON)
            assert caught.value.connect > WAIT - BLUR
            assert caught.value.first_byte == 0.0

    run(main())


def test_a_connection_that_does_not_come_says_how_long_it_was_waited_for(run, raw) -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    async def main() -> None:
        async with raw.opened(resolve=never) as transport:
            with pytest.raises(ConnectTimeout) as caught:
                await transport.send(raw.get("http://slow.test/"), Timeouts(connect=WAIT))
            assert caught.value.connect > WAIT - BLUR

    run(main())


def test_silence_after_the_request_is_waiting_for_the_first_byte(run, raw) -> None:
    async def silent(peer) -> None:
        await peer.request()
        await peer.gone()

    async def main() -> None:
        async with raw.Server(silent) as server, raw.opened(resolve=slow_names) as transport:
            url = f"http://slow.test:{server.port}/"
            with pytest.raises(ReadTimeout) as caught:
                await transport.send(raw.get(url), Timeouts(read=WAIT))
            assert caught.value.connect > WAIT - BLUR
            assert caught.value.first_byte > WAIT - BLUR

    run(main())


def test_an_answer_that_is_cut_had_its_first_byte_when_it_had(run, raw) -> None:
    async def cut(peer) -> None:
        await peer.request()
        await asyncio.sleep(WAIT)
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
        await asyncio.sleep(2 * WAIT)
        await peer.close()

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        with pytest.raises(BodyCut) as caught:
            await raw.once(cut)
        took = clock() - began
        assert WAIT - BLUR < caught.value.first_byte < took - 2 * WAIT + BLUR

    run(main())


def test_a_slow_proxy_is_part_of_the_connection(run, raw) -> None:
    async def refusing(peer) -> None:
        await peer.request()
        await asyncio.sleep(WAIT)
        peer.answer(status="503 Not now")
        await peer.gone()

    async def main() -> None:
        async with raw.Server(refusing) as proxy:
            transport = HttpTransport(environ={"HTTPS_PROXY": proxy.url})
            with pytest.raises(ConnectFailed) as caught:
                await transport.send(raw.get("https://far.test/"), SOON)
            await transport.aclose()
            assert caught.value.connect > WAIT - BLUR

    run(main())


def test_a_call_that_is_cancelled_says_it_too(run, raw) -> None:
    async def silent(peer) -> None:
        await peer.request()
        await peer.gone()

    async def main() -> None:
        async with raw.Server(silent) as server, raw.opened() as transport:

            async def call() -> None:
                try:
                    await transport.send(raw.get(server.url), SOON)
                except asyncio.CancelledError as error:
                    times.append(error.first_byte)  # type: ignore[attr-defined]
                    raise

            times: list[float] = []
            calling = asyncio.ensure_future(call())
            await raw.until(lambda: bool(server.requests))
            await asyncio.sleep(WAIT)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            assert times[0] > WAIT - BLUR

    run(main())
