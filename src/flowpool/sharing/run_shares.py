"""A run's shares at limits that other runs use too: it says what it needs, keeps to its share, and remembers.

Five times a second, not once a call. Nothing here can stop a run: where no file can be written, it shares with
the runs of its own process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from flowpool.limits.limiter import Learned, Limiter
from flowpool.sharing import Sharing
from flowpool.values import Endpoint

TICK = 0.2
WORTH_KEEPING = 2.0  # seconds that a run must last for what it learned to be remembered
_decode = msgspec.json.Decoder(dict[str, Learned]).decode


class SharedLimit:
    """A lane's limiter and its member: `publish` says what it needs and sets its share."""

    __slots__ = ("_sent", "_used", "fingerprint", "limiter", "member")

    def __init__(self, limiter: Limiter, fingerprint: str, sharing: Sharing, now: float) -> None:
        self.limiter = limiter
        self.fingerprint = fingerprint
        self.member = sharing.join(fingerprint, now)
        self._sent = 0.0
        self._used = 0.0  # calls a second, lately
        limiter.share = self.member.share

    def publish(self, now: float) -> None:
        """Every `TICK` seconds."""
        limiter = self.limiter
        sent = limiter.calls_sent
        self._used += 0.5 * ((sent - self._sent) / TICK - self._used)
        self._sent = sent
        per_minute = limiter.limits().get("requests")
        share = self.member.publish(
            now,
            float("inf") if limiter.bound(now) else self._used,
            self._used,
            limit=per_minute / 60.0 if per_minute else None,
            snapshot=msgspec.json.encode(limiter.snapshot()),
            pace=limiter.found_pace,
            refused=limiter.refused_at,
        )
        if share != limiter.share:
            limiter.share = share
        self._agree(now)

    def _agree(self, now: float) -> None:
        """Where the limit is found by 429s alone, one run looks for it, and hears of everybody's 429s."""
        others = self.member.others(now)
        if not others:
            return
        leader = self.member.leader(now)
        self.limiter.follow(leader.pace if leader is not None else None, now)
        self.limiter.heard(max(other.refused for other in others), now)


class RunShares:
    """The shares of one run, from its start to `close`."""

    def __init__(self, sharing: Sharing | None) -> None:
        self._sharing = sharing
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._shared: list[SharedLimit] = []
        self._ask_again: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def take(
        self, limiter: Limiter, endpoint: Endpoint, model: str, ask_again: Callable[[], None]
    ) -> None:
        """Joins a limit for a lane, which begins with what is known of it. `ask_again` is called whenever its
        rates may have changed, for those that wait at it were given a moment by the rates before.
        """
        if self._sharing is None:
            return
        fingerprint = self._sharing.fingerprint(endpoint, model)
        now = self._loop.time()
        shared = SharedLimit(limiter, fingerprint, self._sharing, now)
        self._shared.append(shared)
        self._ask_again.append(ask_again)
        known, age = shared.member.learned(now), 0.0
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
        for shared in self._shared:
            shared.member.leave()
            learned = shared.limiter.snapshot()
            if self._sharing is not None and learned and lasted >= WORTH_KEEPING:
                self._sharing.memory.keep(
                    shared.fingerprint, msgspec.json.encode(learned), time.time()
                )

    def _tick(self) -> None:
        now = self._loop.time()
        for shared, ask_again in zip(self._shared, self._ask_again, strict=True):
            shared.publish(now)
            ask_again()
        self._timer = self._loop.call_later(TICK, self._tick)
