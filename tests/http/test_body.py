"""Bodies: compressed, cut, too long."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from flowpool.errors import BodyCut, BodyTooLarge
from flowpool.values import Timeouts

OK = b"HTTP/1.1 200 OK\r\n"


def scripted(*chunks: bytes, then: str = "hold"):
    """A handler that reads a request, sends `chunks` one by one, then holds, closes or resets."""

    async def handler(peer) -> None:
        await peer.request()
        for chunk in chunks:
            peer.send(chunk)
            await asyncio.sleep(0.005)
        if then == "close":
            await peer.close()
        elif then == "reset":
            await peer.reset()
        else:
            await peer.gone()

    return handler


def _deflated(text: bytes, window: int) -> bytes:
    made = zlib.compressobj(wbits=window)
    return made.compress(text) + made.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"hello", mtime=0)),
        ("x-gzip", gzip.compress(b"hello", mtime=0)),
        ("GZIP", gzip.compress(b"hel", mtime=0) + gzip.compress(b"lo", mtime=0) + b"\0\0"),
        ("deflate", _deflated(b"hello", 15)),
        ("deflate", _deflated(b"hello", -15)),
        ("deflate, gzip", gzip.compress(_deflated(b"hello", 15), mtime=0)),
        ("identity", b"hello"),
    ],
)
def test_compressed_answers_are_decompressed(run, raw, encoding, body) -> None:
    async def handler(peer) -> None:
        request = await peer.request()
        assert b"\r\naccept-encoding: gzip, deflate\r\n" in request
        peer.answer(body, headers=f"content-encoding: {encoding}\r\n")
        await peer.gone()

    answer = run(raw.once(handler))
    assert answer.body == b"hello"
    assert "content-encoding" not in answer.headers


def test_a_compressed_answer_that_ends_early_is_cut(run, raw) -> None:
    async def handler(peer) -> None:
        await peer.request()
        peer.answer(gzip.compress(b"hello" * 99)[:-12], headers="content-encoding: gzip\r\n")
        await peer.gone()

    with pytest.raises(BodyCut):
        run(raw.once(handler))


@pytest.mark.parametrize(
    "sent",
    [
        OK + b"content-length: 5000\r\n\r\n" + b"x" * 5000,
        OK + b"transfer-encoding: chunked\r\n\r\n1388\r\n" + b"x" * 5000,
        OK + b"\r\n" + b"x" * 5000,
        OK
        + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n%s"
        % (len(gzip.compress(b"x" * 5000)), gzip.compress(b"x" * 5000)),
    ],
)
def test_an_answer_over_the_cap_is_refused_and_its_connection_closed(run, raw, sent) -> None:
    async def main() -> None:
        async with (
            raw.Server(scripted(sent)) as server,
            raw.opened(max_body=4999) as transport,
        ):
            with pytest.raises(BodyTooLarge, match="longer than 4999 bytes") as caught:
                await transport.send(raw.get(server.url), Timeouts(total=5))
            assert not caught.value.retryable
            await raw.until(lambda: not server.live, 0.2)

    run(main())


def test_an_answer_as_long_as_the_cap_is_allowed(run, raw) -> None:
    sent = OK + b"content-length: 5000\r\n\r\n" + b"x" * 5000
    assert len(run(raw.once(scripted(sent), max_body=5000)).body) == 5000
