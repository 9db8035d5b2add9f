"""A sending rate found by refusals alone: for limits that nobody tells. Takes the time.

See "The pacer" in docs/rate-control.md. Whatever refuses, a bucket or a window of time: from the end of one dry
spell to the end of the next, as much is let in as the limit gives in that time. That is a tooth:
*hold* a little under the rate, *climb* until refused, wait until a single *probe* is let in, measure. The surer the
rate, the longer the hold. Refusals that come at a held rate are put to the *question*: are fewer refused at a lower
one? If not, they are chance.
"""

from __future__ import annotations

from math import inf
from typing import Literal

from flowpool.limits.evidence import chance_of

Phase = Literal["dry", "search", "hold", "climb", "question"]


class Pacer:
    """Spaces calls so that `pace` units a second are sent: calls, or tokens."""

    # fmt: off
    __slots__ = (
        "_after", "_before_dry", "_calls", "_calm", "_cap", "_climb_seconds", "_cut", "_cut_calls", "_cut_refused",
        "_cuts", "_dry_at", "_first_cut", "_hold", "_holds", "_last", "_last_tooth", "_mean", "_pause", "_phase_at",
        "_phase_rate", "_probe", "_probes", "_promise", "_refused", "_refused_calls", "_seeks", "_so_far", "_step",
        "_trial", "_units", "_wet", "_wet_total", "asked", "is_chance", "noise", "phase", "rate", "tested", "trust",
    )
    # fmt: on

    # Calls a second to begin with, at least.
    SLOWEST = 0.5
    # Held under the rate: what a measurement is wrong by. Without it every second hold is refused in.
    MARGIN = 0.01
    # Seconds that a late timer may make good.
    CATCH_UP = 0.01
    # Seconds and calls at least in which the pace doubles while nothing is known.
    SEARCH = 0.5, 4.0
    # A climb begins so far over the rate, or by a part of what is open of it. In a shallow bucket every climb
    # ends at its first step, so a greater one costs accuracy; a smaller one takes longer to a limit that
    # rose.
    TRIAL, TRIAL_OF_OPEN = 0.03, 0.25
    # Seconds and calls at least in which that doubles; after a short hold as much sooner as `QUICKER` of it.
    # From `STEEPEST` on the pace itself grows, by half.
    CLIMB, QUICKER, STEEPEST = (4.0, 8.0), 0.15, 0.5
    # Calls to hold a rate, divided by what is open of it: what a refusal costs against what is lost under the
    # rate.
    SURE = 8.0
    # The shortest hold in calls: fewer say nothing of the rate.
    SHORTEST = 12.0
    # The longest in seconds: a risen limit is to be seen within a minute. Or as many calls, in at most so
    # many seconds, for of a slow limit 20 s are few calls, and a refusal is many.
    HOLD_SECONDS, HOLD_CALLS, HOLD_SLOW = 20.0, 300.0, 300.0
    # Calls' time without any after a refusal: what is refilled then is the reserve that jitter is paid from.
    REST = 2.0
    # Seconds between the probes of a dry spell at most, after doubling: of a window of a minute it wastes
    # half of that, and costs a refusal each.
    PAUSE = 3.0
    # Seconds that a slow limit's probes may be apart; and that a Retry-After which proved right may take.
    LONGEST, BELIEVED = 20.0, 90.0
    # Calls: a tooth of fewer says little, and is weighed with the pace that was believed as so many more.
    FEW = 8.0
    # A cut is no deeper where a single refusal made it.
    HALF = 0.5
    # Of the pace that went well last, where it was refused once and let in again at once.
    WENT_WELL = 0.95
    # And at most so many times the tooth's mean: that of a climb to a hundredfold is a fifth of where it ends.
    MOST_OF_MEAN = 2.5
    # A share of refusals at a held rate that is let pass: more is news.
    HELD = 0.03
    # Teeth that agreed from which on a single refusal ends a climb; before, a share that may be chance does not.
    PROVEN, MAYBE = 1, 0.06
    # Holds after which a share that was taken for noise is asked about again.
    ASK_AGAIN = 3
    # Of the rate: the pace at which it is asked whether fewer are refused.
    LOWER = 0.9
    # Cuts in a row of a rate that was held, after which it is looked whether they paid; and the share that may
    # be chance: a rate that is still too high by half refuses more.
    CUTS, CHANCE = 3, 0.3
    # Calls that those cuts, or a climb between them, must have had to say anything.
    TOLD = 20
    # Seconds in which other runs' refusals say nothing new.
    ECHO = 0.5

    def __init__(
        self,
        rate: float,
        cost: float,
        total: float,
        sent: float,
        now: float,
        opening: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Begins at `rate` units a second, when a call of `cost` units that was sent at `sent` was refused.

        total: units that had been sent with it. opening: what was let in before, and in how many seconds.
        """
        self.rate = rate
        self.noise = 0.0  # the share that is refused whatever the rate
        self.is_chance = False  # refusals, but no rate
        self.phase: Phase = "search"
        self.asked = 0.0  # the share refused that is in question
        self._cap = inf
        self._mean = max(1e-9, cost)  # units of a call
        self._after = max(0.02, now - sent)  # seconds after which a refusal comes
        self._last = now  # the pacing clock: when the last call was due
        self._cut = now  # when the last refusal was known that counted
        self._trial = self.TRIAL
        self._step = 0.0  # the pace's part above the rate, while it climbs
        self._hold = 0.0  # calls to go at the held rate
        self._holds = 0  # since the last question
        self._climb_seconds = self.CLIMB[0]
        self._calls = self._refused_calls = 0  # of this phase
        self._phase_at = now
        # Cuts in a row of a held rate: that rate and the share refused at the first; calls and refusals of all.
        self._cuts = self._cut_calls = self._cut_refused = 0
        self._first_cut = (rate, 0.0)
        # The end of the last dry spell: when it was, the units sent by then, and the units refused since.
        self._wet, self._wet_total, self._refused = (
            sent - opening[1],
            total - cost - opening[0],
            cost,
        )
        self._last_tooth = (0.0, inf)  # units let in, seconds
        self._units = total  # sent in all
        self._so_far = rate
        self._dry_at, self._pause, self._probes = now, 0.0, 0
        self.tested = 0  # teeth in a row that agreed about the rate, to a tenth of it
        self.trust = 0  # how much better than not it proved to wait as long as asked
        self._promise: float | None = None  # when it was said to be over
        self._probe: tuple[float, float] | None = None  # when it was sent, units sent with it
        self._before_dry: Phase = "search"
        self._seeks = False  # the rate is to be searched for again
        self._calm = 0  # calls of this phase before one was refused

    @classmethod
    def at_first_429(
        cls, cost: float, total: float, sent: float, now: float, opening: tuple[float, float]
    ) -> Pacer:
        """Begins with no rate known but what follows from the opening."""
        units, elapsed = opening
        middle = ((1.0 + elapsed) * (60.0 + elapsed)) ** 0.5
        rate = max(cls.SLOWEST * cost, units / middle)
        went = 0.5 * units / max(elapsed, 0.1)
        rate = max(rate, min(went, cost / max(0.02, now - sent)))
        pacer = cls(rate, cost, total, sent, now, opening)
        pacer._begin_dry(now)
        return pacer

    @classmethod
    def known(
        cls, rate: float, cost: float, total: float, sent: float, now: float, *, surely: bool
    ) -> Pacer:
        """Begins at a rate of headers (`surely`), or that runs before found."""
        pacer = cls(rate, cost, total, sent, now)
        pacer.tested = cls.PROVEN if surely else 0
        pacer._begin_hold(pacer._longest_hold() if surely else cls.SHORTEST, now)
        pacer.rest(now + cls.REST * cost / rate)
        return pacer

    @property
    def is_searching(self) -> bool:
        return self.phase in ("dry", "search") and self._before_dry == "search"

    @property
    def call(self) -> float:
        """The units of a mean call."""
        return self._mean

    @property
    def follows(self) -> bool:
        """Whether the rate comes from elsewhere."""
        return self._cap < inf

    @property
    def pace(self) -> float:
        """Units a second to send now."""
        if self._cap < inf:
            return self._cap
        if self.phase == "hold":
            return self.rate * (1.0 - self.MARGIN)
        if self.phase == "question":
            return self.rate * self._lower
        return self.rate * (1.0 + self._step)

    @property
    def _lower(self) -> float:
        """The part of the rate at which a limit would refuse nothing, with `asked` refused at all of it."""
        return min(self.LOWER, max(self.HALF, 1.0 - 1.1 * self.asked))

    @property
    def published(self) -> float:
        """The pace that other runs at the limit should follow: while it is dry, what the tooth has been so far."""
        return self.pace if self.phase != "dry" else self._so_far

    # May a call go?

    def wait(self, cost: float, now: float) -> float:
        """Seconds until a call of this cost is due."""
        if self.phase == "dry" and self._cap == inf:
            if self._probe is None:
                return self._last - now
            over = self._probe[0] + max(0.03, 3.0 * self._after)
            if now < over - 1e-9:
                return over - now
            self._end_dry(now)
        return self._last + cost / self.pace - now

    def sent(self, cost: float, total: float, now: float) -> None:
        """A call goes; `total` units were sent before it in all."""
        if self.phase == "dry" and self._cap == inf:
            self._probe = (now, total + cost)
            return
        self._units = total + cost
        gap = cost / self.pace
        due = self._last + gap
        is_late = now - due > gap + self.CATCH_UP  # then it isn't this pace that limits
        passed = max(due, now - self.CATCH_UP) - self._last
        self._last += passed
        self._mean += 0.02 * (cost - self._mean)
        self._calls += 1
        if self.phase == "hold":
            self._hold -= 1.0
            if self._hold <= 0.0:
                self._end_hold(now)
        elif self.phase == "question":
            if self._calls >= max(40.0, min(100.0, 4.0 / self.asked)):
                self._end_question(now)
        elif not is_late:
            self._climb(passed)

    def _climb(self, passed: float) -> None:
        if self.phase == "search":
            seconds, calls = self.SEARCH
            seconds = max(seconds, 2.0 * self._after)  # what is refused late is known late
            self._step = (1.0 + self._step) * 2.0 ** min(passed / seconds, 1.0 / calls) - 1.0
        elif self._step < self.STEEPEST:
            self._step *= 2.0 ** min(passed / self._climb_seconds, 1.0 / self.CLIMB[1])
        else:
            self._step = (1.0 + self._step) * 1.5 ** min(
                passed / self._climb_seconds, 1.0 / self.CLIMB[1]
            ) - 1.0

    def rest(self, until: float) -> None:
        """Nothing goes before `until`, and nothing is caught up after it."""
        self._last = max(self._last, until)

    # Others say what it is.

    def follow(self, cap: float) -> None:
        """Takes `cap` for the rate from now on."""
        self.rate = self._cap = cap
        self._before_dry = "hold"

    def lead(self, total: float, now: float) -> None:
        """Looks for the rate itself again, from the one that it followed; `total` units were sent so far."""
        self._cap = inf
        self._wet, self._wet_total, self._refused = now, total, 0.0
        self._begin_hold(self._longest_hold(), now)

    def rescale(self, factor: float, total: float) -> None:
        """Our part of the limit is `factor` times what it was: as if the `total` units had been sent with it."""
        self.rate *= factor
        self._cap *= factor
        self._wet_total = total - factor * (total - self._wet_total)
        self._refused *= factor

    def heard(self, refused: float, now: float) -> None:
        """Another run's call was refused, which was sent at `refused`: the limit that we share was reached then."""
        if refused <= self._cut + self.ECHO or self.phase == "dry":
            return
        if self._cap < inf:
            self._cut = now
            self.rest(now + self.REST * self._mean / self.rate)
            return
        self._begin_dry(now)

    # Refused.

    def refused(
        self, cost: float, sent: float, total: float, now: float, retry_after: float | None = None
    ) -> None:
        """A call sent at `sent`, when `total` units had been sent with it, was refused.

        retry_after: the seconds that it was asked to wait.
        """
        self._after += 0.2 * (now - sent - self._after)
        if sent > self._wet:
            self._refused += cost
        if self._cap < inf:
            if sent > self._cut:
                self._cut = now
                self.rest(now + self.REST * self._mean / self.rate)
            return
        if self.phase == "dry":
            if self._probe is not None and sent >= self._probe[0]:
                self._probe = None
                self._probes += 1
                self._so_far *= self.HALF  # those who follow send too much
                self._pause = min(2.0 * self._pause, max(self.PAUSE, self._mean / self.rate))
                self._pause_dry(min(self._pause, self.LONGEST), retry_after, now)
            return
        if sent <= self._cut:
            return  # sent before the last one was known: it says nothing new
        if not self._refused_calls:
            self._calm = self._calls - 1
        self._refused_calls += 1
        if self._is_noise():
            return
        self._end_tooth(now, retry_after)

    def _is_noise(self) -> bool:
        """Whether a refusal in this phase is no news."""
        calls, refused = self._calls, self._refused_calls
        if self.phase == "search":
            return self.noise > 0.0 and chance_of(refused, calls, 1.5 * self.noise) > 0.02
        if self.phase == "climb":
            share = 1.5 * self.noise
            if self.tested < self.PROVEN:
                # While little is known of it, the climb goes on through what may be chance.
                share, calls = max(share, self.MAYBE), calls - self._calm
            return share > 0.0 and chance_of(refused, calls, share) > 0.05
        if self.phase == "question":
            return chance_of(refused, calls, 1.5 * self.asked) > 0.01
        share = max(self.HELD, 1.5 * self.noise)
        return chance_of(refused, calls, share) > 0.1

    def _end_tooth(self, now: float, retry_after: float | None = None) -> None:
        self._doubt()
        self._begin_dry(now, retry_after)

    def _doubt(self) -> None:
        """Refused again and again, however low the rate is: then that share is chance."""
        is_held = self.phase in ("hold", "question")
        if not self._cuts:
            if is_held:
                # A share of few calls says little: weighed with one refusal of two.
                first = (self._refused_calls + 0.5) / (self._calls + 2.0)
                self._first_cut = (self.rate, first)
                self._cuts, self._cut_calls, self._cut_refused = 1, 0, 0
            return
        self._tally()
        self._cuts += is_held
        calls, refused = self._cut_calls, self._cut_refused
        share = refused / max(1, calls)
        least = max(self.HELD, 1.5 * self.noise)
        if (
            self._cuts < self.CUTS
            or calls < self.TOLD
            or share > self.CHANCE
            or chance_of(refused, calls, least) > 0.02
        ):
            return
        rate, first = self._first_cut
        self.noise = share
        self.is_chance = first < 1.5 * share
        # What was let in at the first of these rates, but for chance.
        self.rate = max(self.rate, rate * min(1.0, (1.0 - first) / (1.0 - share)))
        self._cuts = 0
        self._seeks = True

    def _tally(self) -> None:
        """Counts this phase's calls where the first cut, if it was for a limit, left the rate well below that."""
        rate, first = self._first_cut
        if self.pace < self.LOWER * rate * (1.0 - first):
            self._cut_calls += self._calls
            self._cut_refused += self._refused_calls
        elif self.phase == "climb" and self._calls >= self.TOLD:
            self._cuts = 0  # it has come back

    def _begin_dry(self, now: float, retry_after: float | None = None) -> None:
        self._phase_rate = self.pace
        mean = max(0.0, self._units - self._wet_total - self._refused) / max(0.5, now - self._wet)
        self._so_far = min(self.rate, max(mean, self.HALF * self.rate))
        self._before_dry, self.phase = self.phase, "dry"
        self._cut = self._dry_at = now
        self._probe, self._probes = None, 0
        self._pause = self.REST * self._mean / self.rate
        self._promise = None
        pause = min(self._pause, 1.0 if self._before_dry == "search" else self.LONGEST)
        self._pause_dry(pause, retry_after, now)

    def _pause_dry(self, pause: float, retry_after: float | None, now: float) -> None:
        """The next probe goes after `pause`; or at the moment that the refusal named, if such proved right."""
        if self._promise is not None and now > self._promise + 2.0 * self._after + 0.02:
            self.trust -= 1  # refused, though it was said to be over
            self._promise = None
        if retry_after is not None:
            self._promise = now + retry_after
            exact = retry_after * 1.01 + 0.001
            if self.trust > 0:
                pause = min(exact, self.BELIEVED)
            elif exact < pause or (exact < 2.0 * pause and self._probes):
                pause = exact
        self.rest(now + pause)

    def _end_dry(self, now: float) -> None:
        """The probe was let in."""
        assert self._probe is not None
        at, total = self._probe
        units = max(0.0, total - self._wet_total - self._refused)
        seconds = max(1e-3, at - self._wet)
        was, pace = self._before_dry, self._phase_rate
        if self._promise is not None:
            early = at < self._promise - max(0.02, 0.1 * (self._promise - self._dry_at))
            self.trust = max(-3, self.trust - 1) if early else min(3, self.trust + 1)
        measured = self._measured(was, units, seconds)
        self._last_tooth = (units, seconds)
        before, self.rate = self.rate, min(measured, pace)
        if at - self._dry_at > self.BELIEVED:
            # That was a pause, and no pace: it is searched for, from as often as was probed.
            self.rate = max(self.rate, self._mean / self.LONGEST)
            self._seeks = True
        self._wet, self._wet_total, self._refused = at, total, 0.0
        self._last = max(self._last, at)
        self.tested = self.tested + 1 if abs(self.rate / before - 1.0) < 0.1 else 0
        open_ = max(
            self._mean / max(self._mean, units),
            abs(self.rate / before - 1.0),
            0.25 * (pace / self.rate - 1.0),
        )
        if self._seeks or (was == "search" and (units < 2.5 * self._mean or measured > 1.2 * pace)):
            self._seeks = False
            self.phase, self._step = "search", 0.0
            self._begin_phase(now)
        else:
            self._begin_hold(max(self.SHORTEST, min(self.SURE / open_, self._longest_hold())), now)
            self._trial = max(self.TRIAL, self.TRIAL_OF_OPEN * open_)
        self._probe = None

    def _measured(self, was: Phase, units: float, seconds: float) -> float:
        """The rate that a tooth tells, in which so many units were let in."""
        pace = self._phase_rate
        measured = max(0.5 * self._mean, units - 0.5 * self._mean) / seconds
        is_few = units < self.FEW * self._mean
        proven = 2 if self.noise < 0.05 else 3
        if self._probes >= proven and is_few:
            measured = (units + self._mean) / (seconds + self._mean / pace)
        elif was in ("hold", "question"):
            measured = (units + self.FEW * self._mean) / (seconds + self.FEW * self._mean / pace)
        elif (
            self._probes <= proven - 2
            and self._calls >= self.FEW
            and self._dry_at - self._phase_at >= 0.5
        ):
            # Refused once and let in again at once: what went well last may be the limit, not the tooth's mean.
            went_well = self.WENT_WELL * self.rate * (1.0 + 0.5 * self._step)
            measured = max(measured, min(went_well, self.MOST_OF_MEAN * measured))
        if self._probes < proven:
            measured = max(measured, self.HALF * pace)
        last_units, last_seconds = self._last_tooth
        if is_few and last_seconds < seconds:
            # A call let in by luck may have ended the tooth before: then both are one.
            together = max(0.5 * self._mean, last_units + units - 0.5 * self._mean)
            measured = max(measured, together / (last_seconds + seconds))
        return measured

    # Phases.

    def _begin_phase(self, now: float) -> None:
        self._calls = self._refused_calls = 0
        self._phase_at = now

    def _begin_hold(self, calls: float, now: float) -> None:
        self.phase = "hold"
        self._hold = calls
        held = calls * self._mean / self.rate
        self._climb_seconds = min(self.CLIMB[0], max(self.SEARCH[0], self.QUICKER * held))
        self._before_dry = "hold"
        self._begin_phase(now)

    def _end_hold(self, now: float) -> None:
        if self._cuts:
            self._tally()
        calls, refused = self._calls, self._refused_calls
        share = refused / max(1, calls)
        self._holds += 1
        is_news = share > 1.5 * self.noise or self._holds >= self.ASK_AGAIN
        if refused >= 2 and share > 0.008 and is_news:
            self.phase, self.asked = "question", share
            self._holds = 0
        else:
            self.noise = 0.5 * (self.noise + share) if self.noise > 0.0 else 0.0
            if self.noise < 0.002:
                self.noise = 0.0
            self.phase, self._step = "climb", self._trial
        self._begin_phase(now)

    def _end_question(self, now: float) -> None:
        share = self._refused_calls / self._calls
        if share < 0.4 * self.asked:
            # It was the limit, which is between this pace and the rate that was refused.
            too_high = min(1.0 - self._lower, 2.0 * self.asked)
            self.rate *= 1.0 - too_high
            self.noise = min(self.noise, share)
            self._trial = max(self.TRIAL, self.TRIAL_OF_OPEN * too_high)
            self._begin_hold(
                max(self.SHORTEST, min(self.SURE / too_high, self._longest_hold())), now
            )
        else:
            self.noise = 0.5 * (share + self.asked)
            self.phase, self._step = "climb", self._trial
            self._begin_phase(now)

    def _longest_hold(self) -> float:
        # For slow limits 20 seconds are few calls, and a refusal is many.
        rate = self.rate / self._mean
        return max(self.HOLD_SECONDS * rate, min(self.HOLD_CALLS, self.HOLD_SLOW / rate))
