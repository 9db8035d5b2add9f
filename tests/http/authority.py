"""A certificate authority of the tests' own, names that resolve as they are told, and what is public."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flowpool.values import Timeouts

SOON = Timeouts(total=5)


def resolver(*addresses: str):
    asked: list[str] = []

    async def resolve(host: str, port: int):
        asked.append(host)
        await asyncio.sleep(0.01)
        return addresses

    resolve.asked = asked  # type: ignore[attr-defined]
    return resolve


def is_global(ip: str) -> bool:
    return ipaddress.ip_address(ip).is_global


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
