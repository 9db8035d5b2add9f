"""The TLS context: the system's certificates, and those that the user adds. Knows no sockets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flowpool.errors import CertificateRefused, ConnectFailed, InvalidInput
from flowpool.logs import log
from flowpool.values import Tls

if TYPE_CHECKING:
    import ssl

_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR")

_PLAIN = "it speaks plain http:// there: write the address so"
_FIXES = {
    **dict.fromkeys(("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"), _PLAIN),
    **dict.fromkeys(
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        "if it wants a certificate of yours, pass client_options={'client_cert': ...}",
    ),
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": "it takes no HTTP/1.1: turn that on at the server",
}


def make_context(tls: Tls, environ: Mapping[str, str]) -> ssl.SSLContext:
    """A context that trusts the system's CAs, those of `tls` and what SSL_CERT_FILE, REQUESTS_CA_BUNDLE and
    SSL_CERT_DIR name. Takes milliseconds: make one and keep it. Raises `InvalidInput`."""
    import ssl

    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if not tls.verify:
        log.warning(
            "verify=False: any certificate is trusted, so anybody on the way can read calls"
        )
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.client_cert:
        _load_client_cert(context, tls.client_cert)
    named = {"ca_file": tls.ca_file} | {name: environ.get(name) for name in _VARIABLES}
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


def _load_client_cert(context: ssl.SSLContext, files: tuple[str, ...]) -> None:
    import ssl

    def no_password() -> str:
        raise InvalidInput(
            f"client_cert={files[-1]}: its key needs a password: decrypt it, as with `openssl pkey`"
        )

    try:
        context.load_cert_chain(files[0], files[-1], no_password)
    except (OSError, ssl.SSLError) as error:
        said = None if isinstance(error, ssl.SSLError) else error.strerror
        reason = said or "no certificate with its key in it"
        raise InvalidInput(
            f"client_cert={' and '.join(files)}: {reason}: give a PEM file, or one of the certificate and one of "
            "its key"
        ) from None


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
