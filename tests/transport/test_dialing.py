"""How a connection is made: addresses, permission to use them, proxies and TLS."""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import ipaddress
import os
import socket
import ssl
import traceback

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flowpool.errors import (
    AddressRefused,
    BodyCut,
    CertificateRefused,
    ConnectFailed,
    ConnectTimeout,
    InvalidInput,
)
from flowpool.net.dialing import _interleaved
from flowpool.net.proxies import proxy_for
from flowpool.net.request import parse_url
from flowpool.values import Timeouts

SOON = Timeouts(total=5)


# Addresses.


def resolver(*addresses: str):
    asked: list[str] = []

    async def resolve(host: str, port: int):
        asked.append(host)
        await asyncio.sleep(0.01)
        return addresses

    resolve.asked = asked  # type: ignore[attr-defined]
    return resolve


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


# Permission.


def is_global(ip: str) -> bool:
    return ipaddress.ip_address(ip).is_global


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


def test_a_proxy_is_no_way_around_the_check(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(raw.polite) as proxy:
            options = {
                "environ": {"http_proxy": proxy.url},
                "allow_address": is_global,
                "resolve": resolver("10.0.0.1", "8.8.8.8"),
            }
            async with raw.opened(**options) as transport:
                with pytest.raises(AddressRefused):
                    await transport.send(raw.get("http://name.example/"), SOON)
            assert proxy.accepted == 0
            options["resolve"] = resolver("8.8.8.8")
            async with raw.opened(**options) as transport:
                answer = await transport.send(raw.get("http://name.example/"), SOON)
                assert answer.body == b"ok"

    run(main())


# Proxies.


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({}, "http://a.com/", None),
        ({"HTTP_PROXY": "http://p:3128"}, "http://a.com/", "p:3128"),
        ({"HTTP_PROXY": "http://p:3128"}, "https://a.com/", None),
        ({"HTTP_PROXY": "http://p:3128"}, "http://127.0.0.1/", "p:3128"),
        ({"HTTPS_PROXY": "p:3128"}, "https://a.com/", "p:3128"),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "https://a.com/", "low:1"),
        ({"https_proxy": "", "ALL_PROXY": "http://p:1"}, "https://a.com/", None),
        ({"all_proxy": "http://p"}, "https://a.com/", "p:80"),
        ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, "http://a.com/", None),
        ({"http_proxy": "http://[::1]:1"}, "http://a.com/", "[::1]:1"),
    ],
)
def test_the_environment_names_the_proxy(environ, url, expected) -> None:
    proxy = proxy_for(parse_url(url).origin, environ)
    assert (proxy and proxy.name) == expected


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("a.com", "http://a.com/", True),
        ("a.com", "http://www.a.com/", True),
        (".a.com", "http://www.a.com/", True),
        ("a.com", "http://nota.com/", False),
        ("a.com:8080", "http://a.com:8080/", True),
        ("a.com:8080", "http://a.com/", False),
        ("b.com, A.com", "http://a.com/", True),
        ("*", "http://a.com/", True),
        ("localhost,127.0.0.1,::1", "http://127.0.0.1:5/", True),
        ("localhost,127.0.0.1,::1", "http://[::1]:5/", True),
        ("10.0.0.0/8", "http://10.2.3.4/", True),
        ("10.0.0.0/8", "http://11.2.3.4/", False),
        ("", "http://a.com/", False),
        (",", "http://a.com/", False),
    ],
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy_lists_who_is_reached_directly(name, no_proxy, url, direct) -> None:
    environ = {"http_proxy": "http://p:1", name: no_proxy}
    assert (proxy_for(parse_url(url).origin, environ) is None) == direct


@pytest.mark.parametrize(
    "url", ["socks5://u:key-canary@p:1", "https://p:1", "http://:1", "http://u:key-canary@p:x"]
)
def test_a_proxy_that_cannot_be_used_is_refused_by_its_variable_s_name(url) -> None:
    with pytest.raises(InvalidInput, match="http_proxy") as caught:
        proxy_for(parse_url("http://a.com/").origin, {"http_proxy": url})
    assert "key-canary" not in str(caught.value)


def test_a_plain_request_goes_to_the_proxy_in_absolute_form(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(raw.polite) as proxy:
            environ = {"http_proxy": f"http://me:pass@127.0.0.1:{proxy.port}", "NO_PROXY": "b.com"}
            async with raw.opened(environ=environ) as transport:
                assert (await transport.send(raw.get("http://a.com/x?y"), SOON)).body == b"ok"
            head = proxy.requests[0].decode().split("\r\n")
            assert head[0] == "GET http://a.com/x?y HTTP/1.1"
            assert "host: a.com" in head
            token = base64.b64encode(b"me:pass").decode()
            assert f"proxy-authorization: Basic {token}" in head

    run(main())


def tunnel(status: str = "200 Connection established"):
    """A proxy's handler that connects, or answers with `status` alone."""

    async def pump(reader, writer) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def handler(peer) -> None:
        request = await peer.request()
        peer.send(f"HTTP/1.1 {status}\r\nvia: test\r\n\r\n".encode())
        if not status.startswith("200"):
            await peer.close()
            return
        host, port = request.split()[1].decode().split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        back = asyncio.ensure_future(pump(reader, peer.writer))
        try:
            await pump(peer.reader, writer)
        finally:
            writer.transport.abort()
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)

    return handler


def test_a_tls_request_goes_through_a_tunnel(run, raw, authority) -> None:
    async def main() -> None:
        async with (
            raw.Server(raw.polite, tls=authority.server_context()) as server,
            raw.Server(tunnel()) as proxy,
        ):
            environ = {"HTTPS_PROXY": f"http://me:pass@127.0.0.1:{proxy.port}"}
            async with raw.opened(environ=environ, ca_file=authority.file) as transport:
                for _ in range(2):
                    answer = await transport.send(raw.get(server.url), SOON)
                    assert answer.body == b"ok"
            (connect,) = proxy.requests
            assert connect.startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n".encode())
            assert b"proxy-authorization: Basic " in connect
            assert all(b"proxy-authorization" not in each for each in server.requests)
            assert server.requests[0].startswith(b"GET / HTTP/1.1")

    run(main())


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("407 Proxy Authentication Required", r"407 Proxy .*\(put user:password@ into HTTPS_PROXY"),
        ("502 Bad Gateway", "502 Bad Gateway"),
    ],
)
def test_a_proxy_that_refuses_is_named_with_what_it_said(run, raw, status, said) -> None:
    async def main() -> None:
        async with raw.Server(tunnel(status)) as proxy:
            environ = {"HTTPS_PROXY": f"http://me:key-canary@127.0.0.1:{proxy.port}"}
            async with raw.opened(environ=environ) as transport:
                match = rf"proxy 127\.0\.0\.1:{proxy.port} gave no way to a\.com:443: {said}"
                with pytest.raises(ConnectFailed, match=match) as caught:
                    await transport.send(raw.get("https://a.com/"), SOON)
            shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            frames = [str(each.locals) for each in shown.stack if "tests" not in each.filename]
            token = base64.b64encode(b"me:key-canary").decode()
            assert "key-canary" not in " ".join(frames)
            assert token not in " ".join(frames)

    run(main())


def test_a_silent_proxy_meets_the_connect_timeout(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(lambda peer: peer.gone()) as proxy:
            environ = {"HTTPS_PROXY": proxy.url}
            async with raw.opened(environ=environ) as transport:
                with pytest.raises(ConnectTimeout):
                    await transport.send(raw.get("https://a.com/"), Timeouts(connect=0.05))
            await raw.until(lambda: not proxy.live, 0.2)

    run(main())


# TLS.


class Authority:
    """A CA of the test's own, its PEM file, and a certificate for 127.0.0.1 and localhost."""

    def __init__(self, folder) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "flowpool test ca")])
        certificate = self._sign(name, name, key.public_key(), key, ca=True)
        self.folder = folder
        self.file = str(folder / "ca.pem")
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (folder / "ca.pem").write_bytes(pem)
        # OpenSSL finds a CA in a directory by the SHA-1 of its name in canonical form, here as it is.
        digest = hashlib.sha1(name.public_bytes()[2:]).digest()
        (folder / "hashed").mkdir()
        (folder / "hashed" / f"{int.from_bytes(digest[:4], 'little'):08x}.0").write_bytes(pem)
        leaf_key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test server")])
        leaf = self._sign(subject, name, leaf_key.public_key(), key, ca=False)
        (folder / "leaf.pem").write_bytes(
            leaf.public_bytes(serialization.Encoding.PEM)
            + leaf_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    def _sign(self, subject, issuer, public_key, key, *, ca: bool):
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(issuer_id, critical=False)
        )
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(key, hashes.SHA256())

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "leaf.pem")
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize(
    "where", ["ca_file", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"]
)
def test_further_certificate_authorities_are_trusted(run, raw, authority, where) -> None:
    path = os.path.join(authority.folder, "hashed") if where == "SSL_CERT_DIR" else authority.file
    options = {"ca_file": path} if where == "ca_file" else {"environ": {where: path}}

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
        options = {"ca_file": authority.file, "resolve": resolver("127.0.0.1")}
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


def test_over_tls_too_a_dead_idle_connection_is_repeated_and_a_cut_answer_is_told(
    run, raw, authority
) -> None:
    async def handler(peer) -> None:
        await peer.request()
        peer.answer()
        await peer.request()
        if peer.server.accepted == 1:
            return
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        await peer.writer.drain()
        await asyncio.sleep(0.02)

    async def main() -> None:
        async with (
            raw.Server(handler, tls=authority.server_context()) as server,
            raw.opened(ca_file=authority.file) as transport,
        ):
            for _ in range(2):
                assert (await transport.send(raw.get(server.url), SOON)).body == b"ok"
            with pytest.raises(BodyCut):
                await transport.send(raw.get(server.url), SOON)
            assert (server.accepted, len(server.requests)) == (2, 4)

    run(main())


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
            raw.opened(ca_file=authority.file) as transport,
        ):
            url = f"https://127.0.0.1:{server.port}/"
            call = asyncio.ensure_future(transport.send(raw.get(url), timeouts))
            await raw.until(lambda: bool(server.live))
            if end == "cancel":
                await asyncio.sleep(0.02)
                call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await raw.until(lambda: not server.live, 0.2)

    run(main())
