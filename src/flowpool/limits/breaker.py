"""Stops sending to a provider that answers nobody, and finds out when it does again. Takes the time."""

from __future__ import annotations

import copy

from flowpool.errors import CallError, TransportError


class Breaker:
    """Closed, calls go as they like. Open, one goes at a time to see whether the provider is back.

    It opens when `failures` outages came in a row, with no answer between, and as many as calls are in flight:
    failures come sooner than answers. Probes then start `first` seconds
    apart, each wait twice the last, up to `longest`: connections that broke all at once cost next to nothing.
    An answer closes it; if it opens again within `RELAPSE` seconds, only the answer to a probe does, since
    the others were sent before. When there has been none for `give_up` seconds since the first of those
    failures, the lane is `dead`: that is then how every further call fails. Where nobody has ever been heard there,
    `STRANGER` seconds are enough: the address is wrong, or nothing listens.

    A failure that comes amid many others says little of its own call; `blames` tells them apart, so that an
    outage uses up nobody's retries.

        breaker = Breaker()
        if breaker.may_enter(now):
            breaker.entered(now)
            ...
            breaker.failed(error, now, in_flight)  # or breaker.answered(sent)
    """

    __slots__ = ("_asked_at", "_failures", "_first", "_give_up", "_held_at", "_interval", "_last", "_longest",
                 "_opened_at", "_outcomes", "_probe_at", "_share", "_since", "_streak", "_strict", "_was_heard",
                 "dead", "is_calm", "is_open")  # fmt: skip

    IN_A_ROW = 3  # failures from which on it is said that nobody is answered
    SUSPECT = 10  # failures in a row from which on they are the provider's
    OTHERS = 3  # times as many failures as the call's own
    CHANCE = 0.02  # a call's failures may be chance as long as that is more probable
    AILING = 0.25  # the share of failures from which on retries could make it worse
    IDLE = 60.0  # seconds without a question, which don't count as without an answer
    RELAPSE = 5.0  # seconds
    STRANGER = 60.0  # seconds; a server that is being started says so by 503s, which are heard
    RECENT, ENOUGH = 64, 32  # calls that make up the share of failures, and the least that do
    CALM = 0.001  # the share of failures below which none is remembered: one in 450 calls

    def __init__(
        self,
        failures: int = 20,
        give_up: float = 300.0,
        first: float = 0.1,
        longest: float = 30.0,
    ) -> None:
        self._failures = failures
        self._give_up = give_up
        self._first = first
        self._longest = longest
        self._streak = 0
        self._since = 0.0  # of the streak's first failure
        self._last: CallError | None = None
        self._share = 0.0  # of the last calls, that failed
        self._outcomes = 0
        self._interval = first
        self._probe_at = 0.0  # when the next probe may go
        self._asked_at = 0.0
        self._opened_at = float("-inf")
        self._held_at: float | None = None  # when the run was paused, while it is
        self._strict = False
        self._was_heard = False  # whether anything ever came back, be it an error
        self.is_open = False
        self.is_calm = (
            False  # so many were answered, and none failed lately, that an answer tells nothing
        )
        self.dead: CallError | None = None

    def __repr__(self) -> str:
        state = "dead" if self.dead else "open" if self.is_open else "closed"
        return f"<Breaker {state}, {self._streak} failures in a row>"

    def may_enter(self, now: float) -> bool:
        """Whether a call may go now; never again once it is `dead`."""
        if not self.is_open:
            return True
        self._give_up_if_due(now)
        return self.dead is None and now >= self._probe_at

    def entered(self, now: float) -> None:
        """A call goes. The next probe may follow even if this one never ends."""
        if self.is_open:
            self._probe_at = now + self._interval
            self._interval = min(self._longest, 2.0 * self._interval)

    def next_probe(self, now: float) -> float | None:
        """When `may_enter` should be asked again, or None if no time makes a difference.

        It is soon where a probe was due but did not go, and `now` at the moment of giving up: the waiting fail.
        """
        if not self.is_open or self.dead is not None:
            return None
        self._give_up_if_due(now)
        if self.dead is not None:
            return now
        turn = min(self._probe_at, self._since + self._patience)
        return turn if turn > now else now + self._first

    def answered(self, sent: float) -> None:
        """The provider answered a call sent at `sent`, be it with a 429 or an error that is the call's own."""
        self._was_heard = True
        self._outcomes += 1
        self._share -= self._share / self.RECENT
        if self.is_open and (self.dead is not None or (self._strict and sent < self._opened_at)):
            return
        self._streak = 0
        self.is_open = False
        self.is_calm = self._outcomes >= self.ENOUGH and self._share < self.CALM

    def failed(self, error: CallError, now: float, in_flight: int = 0) -> None:
        """A call ended in an outage: no answer, or one that says the provider is ill. `in_flight` others are
        under way.
        """
        if self._streak == 0:
            self._since = now
        self.is_calm = False
        self._streak += 1
        self._outcomes += 1
        self._share += (1.0 - self._share) / self.RECENT
        self._last = error
        self._was_heard = self._was_heard or not isinstance(error, TransportError)
        if self._streak >= max(self._failures, in_flight) and not self.is_open:
            self.is_open = True
            self._strict = now - self._opened_at < self.RELAPSE
            self._opened_at = self._asked_at = now
            self._interval = self._first
            self.entered(now)
        if self.is_open:
            self._give_up_if_due(now)

    def silence(self, now: float) -> float:
        """Seconds since calls began to fail in a row, with no answer between; 0 while few have."""
        return now - self._since if self._streak >= self.IN_A_ROW else 0.0

    def hold(self, now: float) -> None:
        """Nobody is asked from here on until `go`, by the user's wish: nothing is given up meanwhile."""
        self._held_at = now

    def go(self, now: float) -> None:
        """Calls may go again. The time in which they might not says nothing of the provider."""
        if self._held_at is None:
            return
        held, self._held_at = now - self._held_at, None
        self._since = min(now, self._since + held)
        self._asked_at = min(now, self._asked_at + held)

    def time_left(self, now: float) -> float | None:
        """Seconds until it is `dead` if nobody is answered; None while it is closed, or dead."""
        if not self.is_open or self.dead is not None:
            return None
        return max(0.0, self._since + self._patience - now)

    def keep_asking(self, now: float) -> None:
        """Gives it as long again: who has another provider can wait for this one."""
        if self.dead is not None:
            self.dead = None
            self._since = self._asked_at = now

    def blames(self, own_failures: int) -> bool:
        """Whether the last failure is its call's own, which has failed `own_failures` times now."""
        if self.is_open or self._streak >= max(self.SUSPECT, self.OTHERS * own_failures):
            return False
        return self._outcomes < self.ENOUGH or bool(self._share**own_failures < self.CHANCE)

    @property
    def _patience(self) -> float:
        """Seconds from the first failure until it gives up."""
        return self._give_up if self._was_heard else min(self._give_up, self.STRANGER)

    @property
    def is_suspect(self) -> bool:
        """Whether so many failed in a row that it is the provider, and no limit."""
        return self.is_open or self._streak >= self.SUSPECT

    @property
    def rations_retries(self) -> bool:
        """Whether so many calls fail that a retry needs the run's budget; not while one at a time probes."""
        return not self.is_open and self._share >= self.AILING

    def _give_up_if_due(self, now: float) -> None:
        idle = now - self._asked_at
        self._asked_at = now
        if self.dead is not None or self._held_at is not None:
            return
        if idle > self.IDLE:
            self._since = now
        if now - self._since < self._patience:
            return
        assert self._last is not None
        self.dead = copy.copy(self._last)
        self.dead.__dict__.pop("__notes__", None)  # those speak of one item
        seconds = f"{now - self._since:.0f} s"
        if self._was_heard:
            self.dead.fix = (
                f"the provider has not answered for {seconds}; "
                "what is done is kept: retry() or resume goes on"
            )
        else:
            hint = self._last.fix or "check base_url, its port and whether it is http or https"
            self.dead.fix = (
                f"nobody has ever answered there, in {seconds}: {hint}; retry() or resume goes on"
            )
