"""How a connection is made: addresses, permission to use them, proxies and TLS."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.http.authority import SOON, is_global, resolver

from flowpool.errors import (
    AddressRefused,
    ConnectFailed,
)
from flowpool.http.connecting import _interleaved


def test_the_next_address_is_tried_when_one_refuses(run, raw) -> None:
    async def main() -> None:
        resolve = resolver("127.0.0.9", "::1", "127.0.0.1")
        async with raw.Server(raw.polite) as server, raw.opened(resolve=resolve) as transport:
            calls = [
                transport.send(raw.get(f"http://name.example:{server.port}/{i}"), SOON)
                for i in range(3)
            ]
            assert [answer.body for answer in await asyncio.gather(*calls)] == [b"ok"] * 3
            assert resolve.asked == ["name.example"]
            assert f"host: name.example:{server.port}".encode() in server.requests[0]

    run(main())


def test_the_next_address_is_tried_when_one_stays_silent(run, raw) -> None:
    async def main() -> None:
        resolve = resolver("127.0.0.9", "127.0.0.1")
        async with raw.Server(raw.polite) as server, raw.opened(resolve=resolve) as transport:
            with socket.socket() as full, socket.socket() as one, socket.socket() as two:
                full.bind(("127.0.0.9", server.port))
                full.listen(0)
                for filler in (one, two):
                    filler.setblocking(False)
                    filler.connect_ex(("127.0.0.9", server.port))
                await asyncio.sleep(0.02)
                request = raw.get(f"http://name.example:{server.port}/")
                assert (await transport.send(request, SOON)).body == b"ok"

    run(main())


def test_when_every_address_refuses_the_call_fails(run, raw) -> None:
    async def main() -> None:
        async with raw.opened(resolve=resolver("127.0.0.9", "127.0.0.8")) as transport:
            with pytest.raises(ConnectFailed, match=r"name\.example:1: connection refused"):
                await transport.send(raw.get("http://name.example:1/"), SOON)

    run(main())


def test_an_unknown_name_fails_and_is_asked_for_again(run, raw) -> None:
    async def main() -> None:
        resolve = resolver()
        async with raw.opened(resolve=resolve) as transport:
            for _ in range(2):
                with pytest.raises(
                    ConnectFailed, match=r"address of name\.example.*check the host"
                ):
                    await transport.send(raw.get("http://name.example/"), SOON)
            assert resolve.asked == ["name.example"] * 2

    run(main())


def test_the_system_resolver_is_asked_by_default(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(raw.polite) as server, raw.opened() as transport:
            request = raw.get(f"http://localhost:{server.port}/")
            assert (await transport.send(request, SOON)).body == b"ok"

    run(main())


def test_a_lookup_that_fails_after_its_calls_have_gone_is_no_noise(run, raw) -> None:
    async def fail(host: str, port: int):
        await asyncio.sleep(0.02)
        raise OSError("no such name")

    async def main() -> None:
        async with raw.opened(resolve=fail) as transport:
            call = asyncio.ensure_future(transport.send(raw.get("http://name.example/"), SOON))
            await asyncio.sleep(0.005)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await asyncio.sleep(0.05)

    run(main())


def test_a_cancelled_lookup_does_not_cancel_that_of_others(run, raw) -> None:
    async def main() -> None:
        resolve = resolver("127.0.0.1")
        async with raw.Server(raw.polite) as server, raw.opened(resolve=resolve) as transport:
            url = f"http://name.example:{server.port}/"
            first = asyncio.ensure_future(transport.send(raw.get(url), SOON))
            second = asyncio.ensure_future(transport.send(raw.get(url), SOON))
            await asyncio.sleep(0.002)
            first.cancel()
            assert (await second).body == b"ok"
            assert resolve.asked == ["name.example"]
            await asyncio.gather(first, return_exceptions=True)

    run(main())


def test_families_take_turns_and_the_resolver_s_first_choice_leads() -> None:
    assert _interleaved(["::1", "::2", "::3", "1.1.1.1", "::1"]) == ["::1", "1.1.1.1", "::2", "::3"]
    assert _interleaved(["1.1.1.1", "::1"]) == ["1.1.1.1", "::1"]
    assert _interleaved([]) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::1]", "0x7f.1"])
def test_a_refused_address_is_never_connected_to(run, raw, host) -> None:
    async def main() -> None:
        async with (
            raw.Server(raw.polite) as server,
            raw.opened(allow_address=is_global) as transport,
        ):
            with pytest.raises(AddressRefused, match="not a public address") as caught:
                await transport.send(raw.get(f"http://{host}:{server.port}/"), SOON)
            assert not caught.value.retryable
            assert server.accepted == 0

    run(main())


def test_of_a_name_s_addresses_only_allowed_ones_are_used(run, raw) -> None:
    async def main() -> None:
        options = {
            "resolve": resolver("127.0.0.9", "127.0.0.1"),
            "allow_address": lambda ip: ip == "127.0.0.1",
        }
        async with raw.Server(raw.polite) as server, raw.opened(**options) as transport:
            request = raw.get(f"http://name.example:{server.port}/")
            assert (await transport.send(request, SOON)).body == b"ok"

    run(main())
