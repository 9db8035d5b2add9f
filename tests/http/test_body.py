"""Bodies: compressed, cut, too long."""

from __future__ import annotations

import asyncio
import gzip
import os
import zlib

import pytest

from flowpool.errors import BodyCut, BodyTooLarge, ProtocolError
from flowpool.http.body import TooLong, Unreadable, decode
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
        OK + b"transfer-encoding: chunked\r\n\r\n1;" + b"x" * 300_000,
        OK + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n0\r\nt: " + b"x" * 300_000,
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
            await raw.until(lambda: not server.live, 1.0)

    run(main())


def test_an_answer_as_long_as_the_cap_is_allowed(run, raw) -> None:
    sent = OK + b"content-length: 5000\r\n\r\n" + b"x" * 5000
    assert len(run(raw.once(scripted(sent), max_body=5000)).body) == 5000


def packed(body: bytes) -> bytes:
    return OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize("size", [5000, 2_000_000, 200_000_000])
def test_an_answer_that_decompresses_to_more_than_the_cap_is_refused(run, raw, size: int) -> None:
    sent = packed(gzip.compress(b"x" * size))
    with pytest.raises(BodyTooLarge, match="longer than 4999 bytes"):
        run(raw.once(scripted(sent), max_body=4999))


def test_a_long_answer_is_decompressed_whole(run, raw) -> None:
    text = os.urandom(300_000) + b"x" * 3_000_000
    answer = run(raw.once(scripted(packed(gzip.compress(text))), max_body=3_300_000))
    assert answer.body == text


def test_a_compressed_body_of_a_megabyte_of_empty_members_is_refused(run, raw) -> None:
    empty = gzip.compress(b"", mtime=0)
    sent = packed(empty * (1_000_000 // len(empty)))
    with pytest.raises(ProtocolError, match="more than 1000 parts"):
        run(raw.once(scripted(sent)))


def test_some_members_with_zeros_between_them_are_one_body() -> None:
    body = (gzip.compress(b"x" * 100, mtime=0) + bytes(100_000)) * 50
    assert decode(body, "gzip", 5000) == b"x" * 5000
    with pytest.raises(TooLong):
        decode(body, "gzip", 4999)


def test_codings_without_end_are_refused() -> None:
    with pytest.raises(Unreadable, match="100 times over"):
        decode(b"x", ",".join(["gzip"] * 100), 100)


def test_a_body_sent_byte_by_byte_is_whole(run, raw) -> None:
    text = bytes(range(48, 123)) * 200
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in text) + b"0\r\n\r\n"
    sent = OK + b"transfer-encoding: chunked\r\n\r\n" + chunks
    assert run(raw.once(scripted(sent))).body == text
