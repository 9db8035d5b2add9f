"""Certificates, and what is refused."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.http.authority import SOON, Authority, resolver

from flowpool import Model, Pool, Skill
from flowpool.errors import (
    BodyCut,
    CertificateRefused,
    ConnectFailed,
    InvalidInput,
    TransportError,
)
from flowpool.http.tls import make_context
from flowpool.values import Timeouts, Tls


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize(
    "where", ["ca_file", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"]
)
def test_further_certificate_authorities_are_trusted(run, raw, authority, where) -> None:
    path = os.path.join(authority.folder, "hashed") if where == "SSL_CERT_DIR" else authority.file
    options = {"tls": Tls(path)} if where == "ca_file" else {"environ": {where: path}}

    async def main() -> None:
        async with (
            raw.Server(raw.polite, tls=authority.server_context()) as server,
            raw.opened(**options) as transport,
        ):
            for url in (server.url, f"https://localhost:{server.port}/"):
                for _ in range(2):
                    assert (await transport.send(raw.get(url), SOON)).body == b"ok"
            assert server.accepted == 2

    run(main())


def test_an_unknown_certificate_is_refused_with_what_to_set(run, raw, authority) -> None:
    async def main() -> None:
        async with (
            raw.Server(raw.polite, tls=authority.server_context()) as server,
            raw.opened() as transport,
        ):
            with pytest.raises(
                CertificateRefused, match=r"trust 127.*\(.*set SSL_CERT_FILE"
            ) as caught:
                await transport.send(raw.get(server.url), SOON)
            assert isinstance(caught.value, ConnectFailed)
            assert not caught.value.retryable
            assert not server.requests

    run(main())


def test_a_certificate_for_another_host_is_refused(run, raw, authority) -> None:
    async def main() -> None:
        options = {"tls": Tls(authority.file), "resolve": resolver("127.0.0.1")}
        async with (
            raw.Server(raw.polite, tls=authority.server_context()) as server,
            raw.opened(**options) as transport,
        ):
            with pytest.raises(CertificateRefused, match=r"name\.example"):
                await transport.send(raw.get(f"https://name.example:{server.port}/"), SOON)

    run(main())


def test_tls_to_a_plain_server_says_so(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(impolite) as server, raw.opened() as transport:
            with pytest.raises(ConnectFailed, match=r"TLS.*plain http://"):
                await transport.send(raw.get(server.url.replace("http:", "https:")), SOON)

    async def impolite(peer) -> None:
        await peer.reader.read(100)
        peer.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await peer.gone()

    run(main())


def test_a_server_that_wants_a_certificate_is_shown_one(run, raw, authority) -> None:
    wanting = authority.server_context()
    wanting.verify_mode = ssl.CERT_REQUIRED
    wanting.load_verify_locations(authority.file)
    own = str(authority.folder / "leaf.pem")

    async def main() -> None:
        async with raw.Server(raw.polite, tls=wanting) as server:
            for files in ((own,), (own, own)):
                async with raw.opened(tls=Tls(authority.file, files)) as transport:
                    assert (await transport.send(raw.get(server.url), SOON)).body == b"ok"
            async with raw.opened(tls=Tls(authority.file)) as transport:
                with pytest.raises(TransportError) as caught:
                    await transport.send(raw.get(server.url), SOON)
            if isinstance(
                caught.value, ConnectFailed
            ):  # else its reset overtook the server's alert
                assert "client_cert" in caught.value.fix

    run(main())


def test_any_certificate_is_trusted_where_somebody_says_so(run, raw, authority) -> None:
    async def main() -> None:
        async with (
            raw.Server(raw.polite, tls=authority.server_context()) as server,
            raw.opened(tls=Tls(verify=False)) as transport,
        ):
            assert (await transport.send(raw.get(server.url), SOON)).body == b"ok"

    run(main())


def test_a_certificate_that_can_not_be_shown_is_named(authority, tmp_path) -> None:
    locked = tmp_path / "locked.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = serialization.BestAvailableEncryption(b"canary")
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked.write_bytes(key.private_bytes(*form, encryption))
    leaf = str(authority.folder / "leaf.pem")
    for files, said in (
        (("/nowhere.pem",), "No such file"),
        ((authority.file,), "no certificate with its key"),
        ((leaf, str(locked)), "needs a password"),
    ):
        with pytest.raises(InvalidInput, match=f"client_cert=.*{said}"):
            make_context(Tls(client_cert=files), {})


def test_a_model_takes_its_own_trust_and_certificate(raw, authority) -> None:
    options = {"ca_file": authority.file, "client_cert": authority.folder / "leaf.pem"}

    async def main() -> None:
        async def handler(peer) -> None:
            await peer.request()
            peer.answer(b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}')

        async with raw.Server(handler, tls=authority.server_context()) as server:
            model = Model("m", client_options={**options, "base_url": f"{server.url}v1"})
            assert await Pool(Skill(model, prompt="{text}"), [{"text": "a"}]).arun() == ["hi"]

    asyncio.run(main())
    for wrong in ({"verify": "ca.pem"}, {"client_cert": 7}, {"client_cert": ("a", "b", "c")}):
        with pytest.raises(InvalidInput, match=r"verify=|no path|client_cert"):
            Model("gpt-5-mini", client_options=wrong)


def test_over_tls_too_a_cut_answer_is_told(run, raw, authority) -> None:
    async def handler(peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        await peer.writer.drain()
        await asyncio.sleep(0.02)

    async def main() -> None:
        async with (
            raw.Server(handler, tls=authority.server_context()) as server,
            raw.opened(tls=Tls(authority.file)) as transport,
        ):
            with pytest.raises(BodyCut):
                await transport.send(raw.get(server.url), SOON)

    run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what the other end received")
def test_over_tls_too_a_call_on_a_connection_closed_while_idle_is_repeated(
    run, raw, authority
) -> None:
    closing, closed = threading.Event(), threading.Event()

    def answer(listener: socket.socket) -> ssl.SSLSocket:
        sock, _ = listener.accept()
        peer: ssl.SSLSocket = authority.server_context().wrap_socket(sock, server_side=True)
        assert peer.recv(65536).endswith(b"\r\n\r\n")
        peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        return peer

    def serve(listener: socket.socket) -> None:
        peer = answer(listener)
        closing.wait(10)
        peer.setblocking(False)
        with suppress(ssl.SSLWantReadError):
            peer.unwrap()
        peer.close()
        closed.set()
        answer(listener).close()

    async def main() -> None:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        async with raw.opened(tls=Tls(authority.file)) as transport:
            assert (await transport.send(raw.get(url), SOON)).body == b"ok"
            closing.set()
            closed.wait(10)  # on the loop, which so hears nothing of the end before it sends
            assert (await transport.send(raw.get(url), SOON)).body == b"ok"

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        run(main())
        server.join()


def test_a_missing_file_of_certificates_is_named(run, raw, tmp_path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")

    async def main() -> None:
        async with raw.Server(raw.polite) as server:
            url = server.url.replace("http:", "https:")
            for path in ("/nowhere/ca.pem", str(empty)):
                async with raw.opened(environ={"SSL_CERT_FILE": path}) as transport:
                    with pytest.raises(InvalidInput, match=f"SSL_CERT_FILE={path}: .*PEM"):
                        await transport.send(raw.get(url), SOON)

    run(main())


@pytest.mark.parametrize("end", ["cancel", "timeout"])
@pytest.mark.parametrize("stage", ["handshake", "answer"])
def test_a_tls_call_that_is_given_up_closes_its_connection(run, raw, authority, stage, end) -> None:
    timeouts = Timeouts(total=0.5 if end == "timeout" else 5)

    async def main() -> None:
        tls = authority.server_context() if stage == "answer" else None
        async with (
            raw.Server(lambda peer: peer.gone(), tls=tls) as server,
            raw.opened(tls=Tls(authority.file)) as transport,
        ):
            url = f"https://127.0.0.1:{server.port}/"
            call = asyncio.ensure_future(transport.send(raw.get(url), timeouts))
            await raw.until(lambda: bool(server.live))
            if end == "cancel":
                await asyncio.sleep(0.02)
                call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await raw.until(lambda: not server.live, 1.0)

    run(main())
