"""What an answer may look like on the wire, and what the transport makes of it."""

from __future__ import annotations

import asyncio

import pytest

from flowpool.errors import BodyCut, ProtocolError
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


def test_status_headers_and_body_arrive(run, raw) -> None:
    sent = OK + b"X-Two: a\r\nx-two: b \r\nContent-Length: 2\r\n\r\nhi"
    answer = run(raw.once(scripted(sent)))
    assert (answer.status, answer.body) == (200, b"hi")
    assert answer.headers == {"x-two": "a, b", "content-length": "2"}


def test_an_answer_sent_byte_by_byte_is_whole(run, raw) -> None:
    sent = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\n!!!\r\n0\r\nTrailer: x\r\n\r\n"
    answer = run(raw.once(scripted(*(sent[i : i + 1] for i in range(len(sent))))))
    assert answer.body == b"hi!!!"
    assert "trailer" not in answer.headers


def test_a_redirect_is_returned_as_it_is(run, raw) -> None:
    sent = b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    answer = run(raw.once(scripted(sent)))
    assert (answer.status, answer.headers["location"]) == (302, "/elsewhere")


def test_interim_answers_are_skipped(run, raw) -> None:
    interim = b"HTTP/1.1 100 Continue\r\nx-interim: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"
    answer = run(raw.once(scripted(interim, OK + b"content-length: 2\r\n\r\nhi")))
    assert (answer.status, answer.body) == (200, b"hi")
    assert "x-interim" not in answer.headers


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_leave_the_connection_usable(run, raw, status) -> None:
    async def handler(peer) -> None:
        while True:
            await peer.request()
            peer.send(f"HTTP/1.1 {status}\r\n\r\n".encode())

    async def main() -> None:
        async with raw.Server(handler) as server, raw.opened() as transport:
            for _ in range(3):
                answer = await transport.send(raw.get(server.url), Timeouts(total=5))
                assert (answer.status, answer.body) == (int(status[:3]), b"")
            assert server.accepted == 1

    run(main())


def test_head_has_no_body_whatever_its_length_says(run, raw) -> None:
    async def handler(peer) -> None:
        while True:
            request = await peer.request()
            head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
            peer.send(head if request.startswith(b"HEAD") else head + b"hi")

    async def main() -> None:
        async with raw.Server(handler) as server, raw.opened() as transport:
            for method, body in [("HEAD", b""), ("GET", b"hi"), ("HEAD", b""), ("GET", b"hi")]:
                request = raw.get(server.url, method=method)
                assert (await transport.send(request, Timeouts(total=5))).body == body
            assert server.accepted == 1

    run(main())


def test_a_body_without_a_length_ends_with_the_connection(run, raw) -> None:
    assert run(raw.once(scripted(OK + b"\r\nhel", b"lo", then="close"))).body == b"hello"


def test_a_body_without_a_length_that_is_reset_is_cut(run, raw) -> None:
    with pytest.raises(BodyCut):
        run(raw.once(scripted(OK + b"\r\nhel", then="reset")))


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 20",
        OK + b"content-le",
        OK + b"content-length: 9\r\n\r\nhalf",
        OK + b"transfer-encoding: chunked\r\n\r\n9\r\nhalf",
        OK + b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
def test_a_connection_that_ends_in_the_middle_cuts_the_answer(run, raw, sent, then) -> None:
    with pytest.raises(BodyCut, match=r"127\.0\.0\.1:\d+ closed the connection in") as caught:
        run(raw.once(scripted(sent, then=then)))
    assert caught.value.retryable


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    "sent",
    [
        b"\r\nno ",
        b"content-length: 9\r\n\r\nno ",
        b"transfer-encoding: chunked\r\n\r\n3\r\nno \r\n",
        b"content-encoding: gzip\r\n\r\nno ",
    ],
)
def test_an_error_counts_whatever_ends_its_body(run, raw, sent, then) -> None:
    answer = run(
        raw.once(scripted(b"HTTP/1.1 413 Too Large\r\nretry-after: 7\r\n" + sent, then=then))
    )
    assert (answer.status, answer.headers["retry-after"]) == (413, "7")
    assert answer.body in (b"no ", b"")


def test_a_request_that_is_refused_unread_is_answered_though_the_connection_is_reset(
    run, raw
) -> None:
    async def handler(peer) -> None:
        await peer.reader.read(100)
        peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nconnection: close\r\n\r\nwho?")
        await peer.close()

    def large(url: str):
        return raw.get(url, method="POST", body=b"x" * 5_000_000)

    assert run(raw.once(handler, request=large)).status == 407


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n\x01",
        OK + b"content-encoding: br\r\ncontent-length: 2\r\n\r\nhi",
        OK + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\nhi",
    ],
)
def test_what_is_not_http_is_a_protocol_error(run, raw, sent) -> None:
    with pytest.raises(ProtocolError):
        run(raw.once(scripted(sent)))


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", r"speaks TLS there \(write the address with https://\)"),
        (
            b"\0\0\x06\x04" + bytes(5) + b"\0\x03\0\0\0\x64",
            r"speaks HTTP/2 alone \(turn HTTP/1.1 on",
        ),
    ],
)
def test_a_server_that_speaks_something_else_is_told_what(run, raw, sent, said) -> None:
    with pytest.raises(ProtocolError, match=said) as caught:
        run(raw.once(scripted(sent)))
    assert caught.value.of_setup


def test_thousands_of_headers_are_refused(run, raw) -> None:
    sent = b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 50_000
    with pytest.raises(ProtocolError, match="more than 1000 headers"):
        run(raw.once(scripted(sent)))


def test_cookies_are_kept_apart(run, raw) -> None:
    sent = b"HTTP/1.1 200 OK\r\nset-cookie: a=1, 2\r\nSet-Cookie: b=3\r\ncontent-length: 0\r\n\r\n"
    assert run(raw.once(scripted(sent))).headers["set-cookie"] == "a=1, 2\nb=3"


def test_endless_headers_are_refused(run, raw) -> None:
    lines = [b"x-%d: %s\r\n" % (i, b"y" * 4000) for i in range(100)]
    with pytest.raises(ProtocolError, match="headers longer"):
        run(raw.once(scripted(OK + b"".join(lines))))


@pytest.mark.parametrize(
    "first",
    [
        OK + b"connection: close\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        OK + b"content-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        OK + b"content-length: 2\r\n\r\nhigarbage",
    ],
)
def test_a_connection_that_must_end_or_cannot_be_trusted_is_not_reused(run, raw, first) -> None:
    async def main() -> None:
        async with raw.Server(scripted(first)) as server, raw.opened() as transport:
            for count in (1, 2):
                answer = await transport.send(raw.get(server.url), Timeouts(total=5))
                assert answer.body == b"hi"
                assert server.accepted == count
                await raw.until(lambda: not server.live, 1.0)

    run(main())


def test_bytes_on_an_idle_connection_close_it(run, raw) -> None:
    async def handler(peer) -> None:
        await peer.request()
        peer.answer()
        await asyncio.sleep(0.03)
        peer.answer(b"unasked", status="408 Request Timeout")
        await peer.gone()

    async def main() -> None:
        async with raw.Server(handler) as server, raw.opened() as transport:
            await transport.send(raw.get(server.url), Timeouts(total=5))
            await raw.until(lambda: not server.live)
            assert (await transport.send(raw.get(server.url), Timeouts(total=5))).body == b"ok"

    run(main())


def test_an_answer_before_the_request_is_complete_counts_and_ends_the_connection(run, raw) -> None:
    async def handler(peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.answer(b"too big", status="413 Content Too Large")
        await peer.gone()

    async def main() -> None:
        async with raw.Server(handler) as server, raw.opened() as transport:
            request = raw.get(server.url, method="POST", body=b"x" * 30_000_000)
            answer = await transport.send(request, Timeouts(total=5))
            assert (answer.status, answer.body) == (413, b"too big")
            await raw.until(lambda: not server.live)

    run(main())
