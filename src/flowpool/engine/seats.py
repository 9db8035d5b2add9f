"""A run's seats at limits that other runs use too: it says what it needs, keeps to its share, and remembers.

Five times a second, not once a call. Nothing here can stop a run: where no file can be written, it shares with
the runs of its own process.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import msgspec

from flowpool.engine.limiter import Learned, Limiter
from flowpool.sharing import Seat, Sharing
from flowpool.values import Endpoint

TICK = 0.2
WORTH_KEEPING = 2.0  # seconds that a run must last for what it learned to be remembered
_decode = msgspec.json.Decoder(dict[str, Learned]).decode


class _Place:
    """A lane's limiter, its seat, and how much it had sent by the last tick."""

    __slots__ = ("fingerprint", "limiter", "seat", "sent", "used")

    def __init__(self, limiter: Limiter, fingerprint: str, seat: Seat) -> None:
        self.limiter = limiter
        self.fingerprint = fingerprint
        self.seat = seat
        self.sent = 0.0
        self.used = 0.0


class Seats:
    """The seats of one run, from its start to `close`."""

    def __init__(self, sharing: Sharing | None) -> None:
        self._sharing = sharing
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._places: list[_Place] = []
        self._timer: asyncio.TimerHandle | None = None

    def take(self, limiter: Limiter, endpoint: Endpoint, model: str) -> None:
        """Takes a seat for a lane, which begins with what is known of its limit."""
        if self._sharing is None:
            return
        fingerprint = self._sharing.fingerprint(endpoint, model)
        now = self._loop.time()
        seat = self._sharing.join(fingerprint, now)
        self._places.append(_Place(limiter, fingerprint, seat))
        limiter.share = seat.share
        known, age = seat.learned(now), 0.0
        if known is None and (kept := self._sharing.memory.recall(fingerprint, time.time())):
            known, age = kept
        if known is not None:
            with suppress(msgspec.MsgspecError):  # another version's: it is learned anew
                limiter.resume(_decode(known), age, now)
        if self._timer is None:
            self._timer = self._loop.call_later(TICK, self._tick)

    def close(self) -> None:
        """Gives the shares back and remembers what was learned."""
        if self._timer is not None:
            self._timer.cancel()
        lasted = self._loop.time() - self._began
        for place in self._places:
            place.seat.leave()
            learned = place.limiter.snapshot()
            if self._sharing is not None and learned and lasted >= WORTH_KEEPING:
                self._sharing.memory.keep(
                    place.fingerprint, msgspec.json.encode(learned), time.time()
                )

    def _tick(self) -> None:
        now = self._loop.time()
        for place in self._places:
            self._publish(place, now)
        self._timer = self._loop.call_later(TICK, self._tick)

    def _publish(self, place: _Place, now: float) -> None:
        limiter = place.limiter
        sent = limiter.calls_sent
        place.used += 0.5 * ((sent - place.sent) / TICK - place.used)
        place.sent = sent
        per_minute = limiter.limits().get("requests")
        share = place.seat.publish(
            now,
            float("inf") if limiter.bound(now) else place.used,
            place.used,
            limit=per_minute / 60.0 if per_minute else None,
            snapshot=msgspec.json.encode(limiter.snapshot()),
        )
        if share != limiter.share:
            limiter.share = share
