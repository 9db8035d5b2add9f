"""Whether limit headers are right: judged by what is let in and refused against their word. Takes the time.

See "Headers that are wrong" in docs/rate-control.md. Headers may be another window's, another key's or long past.
"""

from __future__ import annotations

from math import inf

from flowpool.limits.evidence import chance_of


class HeaderTrust:
    """Headers are believed until they let go what is then refused, time and again, or hold what would be let in."""

    __slots__ = ("_calls", "_let_in", "_looked", "_refused", "_total", "is_lost", "since")

    # Seconds without a call in flight, or calls' time by the headers, after which one goes against their
    # word; each that is refused doubles that. Right headers let a call go in one call's time, so it costs
    # nothing where they are.
    LOOK, CALLS_TIME = 2.0, 4.0
    # At most so long the first time: headers of the day give a call hours.
    LONGEST = 5.0
    # So many let in against their word, with none refused between, and they are wrong.
    LOOKS = 2
    # Refusals that they let go, though the next header then says that nothing was left: so many, and a share
    # of the calls that is surely more than this one. Right headers draw less than one in a hundred.
    REFUSED, SHARE, SURE = 6, 0.1, 0.003
    # Calls in which half is forgotten.
    RECENT = 200

    def __init__(self) -> None:
        self.is_lost = False
        self.since = inf  # when the first header came
        self._calls = self._refused = 0
        self._total = 0.0  # of calls that had been sent at the last refusal
        self._looked = self._let_in = 0

    def header_came(self, total: float, now: float) -> None:
        """A header came. total: calls sent so far."""
        if now < self.since:
            self.since, self._total = now, total

    def look_in(self, last_sent: float, calls_time: float, now: float) -> float:
        """Seconds until a call may go against the headers' word, with none in flight since `last_sent`.

        calls_time: seconds that they give for one call.
        """
        patience = min(self.LONGEST, max(self.LOOK, self.CALLS_TIME * calls_time))
        return last_sent + patience * 2.0 ** min(self._looked, 10) - now

    def let_in(self) -> None:
        """A call was, against their word."""
        self._let_in += 1
        self.is_lost = self.is_lost or self._let_in >= self.LOOKS

    def kept_out(self) -> None:
        """A call was refused, as they said."""
        self._looked += 1
        self._let_in = 0

    def refused(self, sent: float, total: float) -> None:
        """A call sent at `sent` was refused, which they had let go; now they say that nothing was left.

        total: calls sent so far.
        """
        self._calls += int(total - self._total)
        self._total = total
        while self._calls > self.RECENT:
            self._calls -= self.RECENT // 2 + 1
            self._refused //= 2
        self._refused += sent > self.since
        if self._refused >= self.REFUSED:
            self.is_lost = chance_of(self._refused, self._calls, self.SHARE) < self.SURE
