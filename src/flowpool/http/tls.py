"""The TLS context: the system's certificates, and those that the user adds. Knows no sockets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flowpool.errors import CertificateRefused, ConnectFailed, InvalidInput

if TYPE_CHECKING:
    import ssl

_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR")

_PLAIN = "it speaks plain http:// there: write the address so"
_FIXES = {
    **dict.fromkeys(("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"), _PLAIN),
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": "it takes no HTTP/1.1: turn that on at the server",
}


def make_context(ca_file: str | None, environ: Mapping[str, str]) -> ssl.SSLContext:
    """A context that trusts the system's CAs, `ca_file` and what SSL_CERT_FILE, REQUESTS_CA_BUNDLE and
    SSL_CERT_DIR name. Takes milliseconds: make one and keep it. Raises `InvalidInput`."""
    import ssl

    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    named = {"ca_file": ca_file} | {name: environ.get(name) for name in _VARIABLES}
    for name, path in named.items():
        if not path:
            continue
        try:
            if os.path.isdir(path):
                context.load_verify_locations(capath=path)
            else:
                context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or "no PEM certificates in it"
            raise InvalidInput(
                f"{name}={path}: {reason}: give a PEM file of CA certificates"
            ) from None
    return context


def tls_failure(name: str, error: OSError) -> ConnectFailed | None:
    """What a failed handshake with `name` means, or None if `error` isn't TLS's."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateRefused(f"could not trust {name}: {error.verify_message.rstrip('.')}")
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "the handshake failed").replace("_", " ").lower()
        failure = ConnectFailed(
            f"could not agree on TLS with {name}: {reason}", fix=_FIXES.get(error.reason, "")
        )
        failure.of_setup = True
        return failure
    return None
