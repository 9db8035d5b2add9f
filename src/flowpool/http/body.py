"""Decompresses answers, never past a cap. Pure."""

from __future__ import annotations

import zlib

# Bytes that are handed to zlib at once, and members of one body: servers send one.
_PIECE = 65_536
_MOST_MEMBERS = 1000
# Codings one over the other: servers use one.
_MOST_CODINGS = 5

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
    if encoding.count(",") >= _MOST_CODINGS:
        raise Unreadable(f"it is encoded {encoding.count(',') + 1} times over")
    for coding in reversed([coding.strip().lower() for coding in encoding.split(",")]):
        if coding in ("gzip", "x-gzip"):
            body = _inflate(body, _GZIP, cap)
        elif coding == "deflate":
            body = _inflate(body, _ZLIB if _has_zlib_header(body) else _RAW, cap)
        elif coding not in ("", "identity"):
            raise Unreadable(f"it is encoded as {coding[:40]!r}, which wasn't asked for")
    return body


def _has_zlib_header(body: bytes) -> bool:
    # Some servers send "deflate" without the zlib wrapper that the standard asks for.
    return len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _inflate(body: bytes, window: int, cap: int) -> bytes:
    made: list[bytes] = []
    room = cap
    members = 0
    try:
        at = 0
        while at < len(body):
            members += 1
            if members > _MOST_MEMBERS:
                raise Unreadable(f"its compressed body has more than {_MOST_MEMBERS} parts")
            at, room = _inflate_member(body, at, zlib.decompressobj(window), room, made)
            # A gzip file may hold several members; zero padding after the last is customary.
            at = _after_zeros(body, at) if window == _GZIP else len(body)
    except zlib.error as error:
        raise Unreadable(f"its compressed body is damaged: {error}") from None
    return made[0] if len(made) == 1 else b"".join(made)


def _inflate_member(
    body: bytes, at: int, member: zlib._Decompress, room: int, made: list[bytes]
) -> tuple[int, int]:
    """Where the member that begins at `at` ends, and how much room its text left; the text goes into `made`.

    In pieces, because what a member leaves unread is copied at its end.
    """
    while at < len(body):
        piece = body[at : at + _PIECE]
        part = member.decompress(piece, room + 1)
        room -= len(part)
        if room < 0:
            raise TooLong
        made.append(part)
        at += len(piece) - len(member.unused_data)
        if member.eof:
            return at, room
    raise Incomplete


def _after_zeros(body: bytes, at: int) -> int:
    while at < len(body):
        piece = body[at : at + _PIECE]
        rest = piece.lstrip(b"\0")
        if rest:
            return at + len(piece) - len(rest)
        at += len(piece)
    return at
