"""A run's member at a limit that others use too: says what the run wants, and what part of the limit is its.

A table of rows, one a member, each written by its own run about five times a second. There are no locks: a run
that stops writing is out after `EXPIRY` seconds, whatever became of it, and two that took the same row see it
at their next turn and part. Must not know keys, limiters or where the table lies.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from math import inf
from struct import Struct as Layout
from typing import NamedTuple
from zlib import crc32

from msgspec import Struct

from flowpool.sharing.fairness import grant
from flowpool.sharing.table import MemberTable

# Seconds without a sign of life after which a run's share is the others'. It must outlast the pauses of a busy
# loop; a run whose loop stands still for longer sends nothing either.
EXPIRY = 1.2
REUSE = 10.0  # seconds after which such a run's row may be taken
NOTE_EVERY = 1.0  # seconds between two writings of what a run has learned

# id, time of writing, fraction wanted, calls a second, fraction taken, the whole limit's pace, the last refusal
_BODY = Layout("<8s6d")
_CHECK = Layout("<I")
_ROW = 64
_ROWS = 256
_NOTE_HEAD = Layout("<8sII")  # id, length, check
_NOTE = 4096
_NOTES_AT = _ROWS * _ROW
_NOBODY = bytes(8)
_CHOICE = 16  # free rows to choose from, so that runs that start together seldom choose the same


class Peer(Struct, frozen=True):
    """Another run at the same limit.

    share: the fraction of the limit that it takes. wanted: the fraction that it would take if it could, inf for
    all it can get. rate: calls a second that it sends. age: seconds since it said so. pace: calls a second that it
    found the whole limit to be, 0 while it knows nothing. refused: when a call of it was last answered 429, 0 for
    never.
    """

    share: float
    wanted: float
    rate: float
    age: float
    pace: float = 0.0
    refused: float = 0.0


class _Row(NamedTuple):
    slot: int
    id: bytes
    at: float
    wanted: float
    rate: float
    taken: float
    pace: float
    refused: float

    def is_alive(self, now: float) -> bool:
        return abs(now - self.at) <= EXPIRY

    def is_vacant(self, now: float) -> bool:
        # Written in the future: by another clock, or before the machine was started anew.
        return now - self.at > REUSE or self.at - now > EXPIRY


class Member:
    """One run's part in a limit, from `Sharing.join` until `leave()`.

    `share` is the fraction of the limit that is this run's now, above 0 and at most 1. Belongs to one thread.
    """

    def __init__(self, table: MemberTable, fallback: Callable[[], MemberTable], now: float) -> None:
        self.share = 1.0
        self._table = table
        self._fallback = fallback
        self._id = os.urandom(7) + b"\x01"
        self._slot: int | None = None
        self._rows: dict[int, _Row] = {}
        self._note = b""
        self._note_at = -inf
        self._left = False
        self.publish(now)

    def __repr__(self) -> str:
        return "<Member: left>" if self._left else f"<Member: share {self.share:.3f}>"

    def publish(
        self,
        now: float,
        demand: float = inf,
        used_rate: float = 0.0,
        *,
        limit: float | None = None,
        snapshot: bytes | None = None,
        pace: float = 0.0,
        refused: float = 0.0,
    ) -> float:
        """Says what this run wants, and returns the share that is its until the next time.

        Call it about every 0.2 s; a share follows changes at the others' next turn.

        now: monotonic seconds, the same clock in all processes. demand: calls a second that the run would send;
        inf while calls wait for the limit, else about what it sends. used_rate: calls a second it sends.
        limit: calls a second like this run's that the whole limit allows, None while unknown. snapshot: what
        was learned of the limit, for newcomers; None leaves what was said before. pace, refused: as in `Peer`.
        Never raises for a
        file that can't be read or written: the runs of this process then share among themselves.

            limiter.share = member.publish(loop.time(), inf, 12.0, limit=50.0)
        """
        if self._left:
            return self.share
        wanted = _fraction(demand, limit)
        try:
            self._take_turn(now, wanted, used_rate, snapshot, (pace, refused))
        except OSError:
            self._table.close()
            self._table, self._rows, self._slot = self._fallback(), {}, None
            self._take_turn(now, wanted, used_rate, snapshot, (pace, refused))
        return self.share

    def others(self, now: float) -> list[Peer]:
        """The other runs at this limit, as of the last `publish`."""
        return [_peer_of(row, now) for row in self._alive(now)]

    def leader(self, now: float) -> Peer | None:
        """Of the runs that found the limit's pace and use all they can get, the first, whom the others follow;
        None where that is this one, or there is none.
        """
        if self._slot is None:
            return None
        before = [row for row in self._alive(now) if row.slot < self._slot]
        leaders = (row for row in before if row.pace > 0.0 and row.wanted == inf)
        first = min(leaders, key=lambda row: row.slot, default=None)
        return None if first is None else _peer_of(first, now)

    def learned(self, now: float) -> bytes | None:
        """What the busiest of the others has learned of the limit, as it said so; None if none did."""
        if self._left:
            return None
        for row in sorted(self._alive(now), key=lambda row: -row.rate):
            try:
                note = self._table.read(_NOTES_AT + row.slot * _NOTE, _NOTE)
            except OSError:
                return None
            if len(note) < _NOTE_HEAD.size:
                continue
            owner, length, check = _NOTE_HEAD.unpack_from(note)
            text = note[_NOTE_HEAD.size : _NOTE_HEAD.size + length]
            if owner == row.id and text and crc32(text) == check:
                return text
        return None

    def leave(self) -> None:
        """Gives the share back at once. May be called again."""
        if self._left:
            return
        self._left = True
        with suppress(OSError):  # the others notice the silence too
            for row in self._read().values():
                if row.id == self._id:
                    self._table.write(row.slot * _ROW, bytes(_ROW))
        self._table.close()

    def _take_turn(
        self,
        now: float,
        wanted: float,
        used_rate: float,
        snapshot: bytes | None,
        found: tuple[float, float],
    ) -> None:
        was_replaced = self._table.follow()
        self._rows = self._read()
        slot = self._find_slot(now)
        if was_replaced or slot != self._slot:
            self._slot, self._note, self._note_at = slot, b"", -inf
        self.share = grant(wanted, ((row.wanted, row.taken) for row in self._alive(now)))
        if slot is None:
            return
        body = _BODY.pack(self._id, now, wanted, used_rate, self.share, *found)
        row = body + _CHECK.pack(crc32(body))
        self._table.write(slot * _ROW, row.ljust(_ROW, b"\0"))
        if snapshot is not None:
            self._tell(snapshot, slot, now)

    def _alive(self, now: float) -> list[_Row]:
        return [row for row in self._rows.values() if row.id != self._id and row.is_alive(now)]

    def _read(self) -> dict[int, _Row]:
        """The rows by slot. One that was caught while being written is taken as it was before."""
        data = self._table.read(0, _ROWS * _ROW)
        used = len(data.rstrip(b"\0"))
        rows: dict[int, _Row] = {}
        for slot, start in enumerate(range(0, used, _ROW)):
            body = data[start : start + _BODY.size]
            if body.startswith(_NOBODY) or len(data) < start + _ROW:
                continue
            if _CHECK.unpack_from(data, start + _BODY.size)[0] == crc32(body):
                rows[slot] = _Row(slot, *_BODY.unpack(body))
            elif slot in self._rows:
                rows[slot] = self._rows[slot]
        return rows

    def _find_slot(self, now: float) -> int | None:
        """This member's slot, or a free one; None when there is none, and then this run is unseen by others."""
        if self._slot is not None:
            found = self._rows.get(self._slot)
            if found is None or found.id == self._id:
                return self._slot
        free = (
            slot
            for slot in range(_ROWS)
            if (row := self._rows.get(slot)) is None or row.is_vacant(now)
        )
        some = list(islice(free, _CHOICE))
        return some[os.urandom(1)[0] % len(some)] if some else None

    def _tell(self, snapshot: bytes, slot: int, now: float) -> None:
        if now - self._note_at < NOTE_EVERY or snapshot == self._note:
            return
        if len(snapshot) > _NOTE - _NOTE_HEAD.size:
            return
        head = _NOTE_HEAD.pack(self._id, len(snapshot), crc32(snapshot))
        self._table.write(_NOTES_AT + slot * _NOTE, head + snapshot)
        self._note, self._note_at = snapshot, now


def _peer_of(row: _Row, now: float) -> Peer:
    return Peer(row.taken, row.wanted, row.rate, now - row.at, row.pace, row.refused)


def _fraction(demand: float, limit: float | None) -> float:
    # In this order `max` turns nan into 0, which would spoil everyone's division.
    return max(0.0, demand / limit) if limit else inf if demand > 0 else 0.0
