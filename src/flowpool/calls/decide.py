"""What follows an attempt, and which setting holds: each rule once. Is given the time and chance; awaits nothing.

Model calls, tool calls, the bench and `flowpool limits` ask here. `RULES` is the table of what follows a failure,
`Attempts` applies it to one call, `setting` is the order of settings. See "What follows an attempt" in
docs/rate-control.md.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, Literal, Protocol, TypeVar

from msgspec import Struct

from flowpool.calls.retry import RetryPolicy
from flowpool.errors import CallError, TooManyFiles, Verdict
from flowpool.limits.lane import Lane


class Cause(Enum):
    """What a failed attempt was."""

    THROTTLE = "refused by a limit, as a 429 is"
    NO_SOCKET = "nothing was sent: this process may open no more files"
    OUTAGE = "the provider or the way to it failed: 5xx, timeouts, lost connections"
    HOPELESS = "no call on this route can succeed: wrong key, no credit, unknown model"
    WRONG_CALL = "the call itself can't be answered: 400, a content filter, a truncated answer"
    BAD_ANSWER = "an answer that isn't one: empty, or not what the API promises"
    FORM_REFUSED = "the provider takes no schema for the answer, or no system message"
    EXCEPTION = "a function raised something that flowpool doesn't know"


class Rule(Struct, frozen=True):
    """What follows a cause.

    counts: whether it uses up one of the call's retries; "alone": unless the calls beside it fail in the same way.
    other: whether another route that shares the calls (of a `Spread`) may be tried at once: "free" where one has
        room, "always" also by waiting for it, and then the call never comes back to this one.
    waits: who waits before the next attempt here. "lane": its pace lets the call in when it is time, unless the
        lane has the refused call alone wait. "call": by backoff, holding no slot.
    """

    counts: Literal["yes", "no", "alone"]
    other: Literal["no", "free", "always"]
    waits: Literal["lane", "call", "nobody"]


# fmt: off
RULES = {
    #                          counts   other     waits
    Cause.THROTTLE:       Rule("no",    "free",   "lane"),
    Cause.NO_SOCKET:      Rule("no",    "no",     "call"),
    Cause.OUTAGE:         Rule("alone", "free",   "call"),
    Cause.HOPELESS:       Rule("yes",   "always", "call"),
    Cause.WRONG_CALL:     Rule("yes",   "no",     "call"),
    Cause.BAD_ANSWER:     Rule("yes",   "no",     "call"),
    Cause.FORM_REFUSED:   Rule("no",    "no",     "nobody"),
    Cause.EXCEPTION:      Rule("yes",   "no",     "call"),
}
# fmt: on


def cause_of(error: Exception, *, refuses_form: bool = False, wanted: bool = False) -> Cause:
    """What a failed attempt was, by its error. wanted: the user says that it may pass."""
    if refuses_form:
        return Cause.FORM_REFUSED
    if not isinstance(error, CallError) or (wanted and not error.retryable):
        return Cause.EXCEPTION
    if isinstance(error, TooManyFiles):
        return Cause.NO_SOCKET
    if error.verdict is Verdict.NONE:
        return Cause.BAD_ANSWER if error.retryable else Cause.WRONG_CALL
    return Cause[error.verdict.name]


def weigh_setup(error: CallError, lane: Lane[Any]) -> None:
    """What a wrong set-up gives, as an unknown host: where nobody has been answered yet, nobody will be.

    Its call may be tried again all the same: it may be one sick host of many, whose pages come before any answer.
    """
    if error.of_setup and not lane.latency:
        error.verdict = Verdict.HOPELESS
        if error.status is not None and not error.fix:
            error.fix = "check base_url: nobody has had an answer of an API at this address"


class Route(Protocol):
    """One way that a call may go."""

    @property
    def lane(self) -> Lane[Any]: ...
    @property
    def policy(self) -> RetryPolicy: ...


R = TypeVar("R", bound=Route)


class Send(Struct, Generic[R], frozen=True):
    """Try again at once, on one of these routes."""

    routes: tuple[R, ...]


class AskPlainer(Struct, frozen=True):
    """Try again at once, without what the provider refuses: its words go into the prompt."""


class Wait(Struct, frozen=True):
    """Try again after so many seconds.

    until: the moment from which on nothing is tried again, by the clock of `Attempts`. rationed: while so many
        calls fail that retries could make it worse, the run's retry budget must have one left, too.
    """

    seconds: float
    until: float
    rationed: bool = True


class GiveUp(Struct, frozen=True):
    """Nothing more is tried. error: how the call fails, as it was given to `failed`."""

    error: Exception


Next = Send[R] | AskPlainer | Wait | GiveUp


class Attempts(Generic[R]):
    """One call's failed attempts so far: says what follows each.

    began: when the first attempt was sent, by a clock that stands still while the run is paused.
    has_fallback: whether another model is asked when this call gives up: then nothing waits for an ill provider.

    `routes` are those that the call may still take, `usable` those of them for the next attempt.
    """

    # Seconds: a provider that puts a call off for longer than this isn't waited for.
    LONGEST_PUT_OFF = 86_400.0

    __slots__ = (
        *("_began", "_tried", "_was_put_off", "failures", "has_fallback", "routes", "throttles"),
        "usable",
    )

    def __init__(self, routes: tuple[R, ...], began: float, *, has_fallback: bool = False) -> None:
        self.routes = self.usable = routes
        self.failures = 0  # attempts that count against the retries
        self.throttles = 0
        self.has_fallback = has_fallback
        self._began = began  # when its patience begins
        self._was_put_off = False
        self._tried: tuple[R, ...] = ()  # since the last wait

    def failed(
        self,
        route: R,
        error: Exception,
        now: float,
        uniform: float,
        *,
        paused: float = 0.0,
        refuses_form: bool = False,
        wanted: bool | None = None,
    ) -> Next[R]:
        """What follows the failure of an attempt, which its lane knows of. `uniform` is drawn from [0, 1).

        paused: the seconds for which the run was, which count for nobody's patience.
        wanted: what the user's `retry_on` says: whether it is tried again, whatever it is.
        """
        if wanted is False:
            return GiveUp(error)
        cause = cause_of(error, refuses_form=refuses_form, wanted=bool(wanted))
        rule = RULES[cause]
        worked = now - paused
        if cause in (Cause.FORM_REFUSED, Cause.NO_SOCKET):
            return self._at_no_cost(cause, route, error, worked, uniform)
        # Without a limiter nobody but the call can heed a refusal.
        waits = "call" if rule.waits == "lane" and not route.lane.is_paced else rule.waits
        if cause is Cause.THROTTLE:
            self.throttles += 1
            self._put_off(error, route.policy, worked)
        self.failures += self._counts(rule, waits, route.lane)
        if (other := self._another(route, rule, now)) is not None:
            return other
        if self.has_fallback and cause is Cause.OUTAGE and not route.lane.is_well:
            return GiveUp(error)
        if isinstance(error, CallError) and cause is not Cause.EXCEPTION:
            return self._wait_or_give_up(route, error, worked, uniform, waits)
        policy = route.policy
        if self.failures > (policy.retries if wanted else policy.of_exceptions):
            return GiveUp(error)
        return Wait(policy.backoff(self.failures, uniform), self._began + policy.patience)

    def _another(self, route: R, rule: Rule, now: float) -> Send[R] | None:
        """Another route for the next attempt, where one may be tried at once; else all are usable again."""
        if rule.other == "always" and len(self.routes) > 1:
            self.routes = self.usable = tuple(r for r in self.routes if r is not route)
            return Send(self.usable)
        self._tried = (*self._tried, route)
        if rule.other != "no":
            self.usable = tuple(
                r for r in self.routes if r not in self._tried and r.lane.is_free(now)
            )
            if self.usable:
                return Send(self.usable)
        self.usable, self._tried = self.routes, ()
        return None

    def _put_off(self, error: Exception, policy: RetryPolicy, now: float) -> None:
        """A refusal that asks to wait for long, and beyond the patience: that begins anew then, but only once."""
        asked = error.retry_after or 0.0 if isinstance(error, CallError) else 0.0
        left = self._began + policy.patience - now
        is_long = 0.5 * policy.patience < asked <= self.LONGEST_PUT_OFF
        if is_long and 0.0 <= left < asked and not self._was_put_off:
            self._was_put_off = True
            self._began = max(self._began, now + asked)

    def _at_no_cost(
        self, cause: Cause, route: R, error: Exception, now: float, uniform: float
    ) -> AskPlainer | Wait | GiveUp:
        """Also where no retries are allowed: the call itself wasn't looked at."""
        if cause is Cause.FORM_REFUSED:
            return AskPlainer()
        until = self._began + route.policy.patience
        wait = route.policy.base * uniform
        return Wait(wait, until, rationed=False) if now + wait < until else GiveUp(error)

    def _counts(self, rule: Rule, waits: str, lane: Lane[Any]) -> bool:
        if rule.counts == "alone":
            return lane.blames(self.failures + 1)
        return rule.counts == "yes" or (waits == "call" and rule.waits == "lane")

    def _wait_or_give_up(
        self, route: R, error: CallError, now: float, uniform: float, waits: str
    ) -> Wait | GiveUp:
        policy = route.policy
        began = self._began
        wait = policy.wait(error, max(1, self.failures), now - began, uniform)
        if wait is None:
            return GiveUp(error)
        if waits == "lane":
            alone = route.lane.retry_wait(error, self.throttles, uniform)
            return Wait(alone, began + policy.patience, rationed=False)
        return Wait(wait, began + policy.patience)


def worth_trying(routes: tuple[Route, ...], now: float) -> bool:
    """Whether a call that has a fallback should try these first: not while nobody is answered there.

    A call that finds the next probe due goes, and so the routes are taken again once they answer.
    """
    for route in routes:
        route.lane.keep_asking(now)
    return any(route.lane.is_well or route.lane.is_free(now) for route in routes)


T = TypeVar("T")


def setting(
    name: str,
    default: T,
    *,
    step: object,
    pool: object,
    skill: object = None,
    model: object = None,
) -> T:
    """The value of a setting: the step's, else the pool's, else the skill's, else the model's, else `default`.

    Each is an object with an attribute of that name, or without one where it has no such setting; None is unset.

    >>> from flowpool.settings import Settings
    >>> setting("timeout", 600.0, step=None, pool=Settings(timeout=20.0), skill=Settings(timeout=5.0))
    20.0
    """
    for owner in (step, pool, skill, model):
        value: T | None = getattr(owner, name, None)
        if value is not None:
            return value
    return default
