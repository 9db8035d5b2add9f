"""Decompresses answers, never past a cap. Pure."""

from __future__ import annotations

import zlib

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class TooLong(Exception):
    """The decompressed body would pass the cap."""


class Incomplete(Exception):
    """The compressed data ends too early."""


class Unreadable(Exception):
    """The data isn't what its content-encoding says; the message says how."""


def decode(body: bytes, encoding: str, cap: int) -> bytes:
    """`body` without the codings of its content-encoding header, at most `cap` bytes long.

    Raises `TooLong`, `Incomplete` or `Unreadable`.
    """
    codings = [coding.strip().lower() for coding in encoding.split(",")]
    for coding in reversed(codings):
        if coding in ("gzip", "x-gzip"):
            body = _inflate(body, _GZIP, cap)
        elif coding == "deflate":
            body = _inflate(body, _ZLIB if _has_zlib_header(body) else _RAW, cap)
        elif coding not in ("", "identity"):
            raise Unreadable(f"it is encoded as {coding!r}, which wasn't asked for")
    return body


def _has_zlib_header(body: bytes) -> bool:
    # Some servers send "deflate" without the zlib wrapper that the standard asks for.
    return len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _inflate(body: bytes, window: int, cap: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        while body:
            member = zlib.decompressobj(window)
            part = member.decompress(body, cap - size + 1)
            size += len(part)
            if size > cap:
                raise TooLong
            if not member.eof:
                raise Incomplete
            parts.append(part)
            # A gzip file may hold several members; zero padding after the last is customary.
            body = member.unused_data.lstrip(b"\0") if window == _GZIP else b""
    except zlib.error as error:
        raise Unreadable(f"its compressed body is damaged: {error}") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)
