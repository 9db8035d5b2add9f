"""What refused calls mean, and how many calls may be under way: chance, a cap in flight, or a rate. Knows no clock.

See "Refusals" in docs/rate-control.md. It begins *open*: the calls in flight double with every round trip, however
many are refused, as long as that can be chance. Once more are refused than that, it is *probing*: one call, two,
four, up to where refusals began. What becomes of them tells what it was. Refused there again: so many in flight are
too many, a *cap*. Refused below it: a *rate*, which a pacer finds. Let in beyond it: chance after all.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Literal

from msgspec import Struct

from flowpool.limits.evidence import chance_of

Mode = Literal["open", "probing", "cap", "rate"]


class Trace(Struct, gc=False):
    """A call on its way. position: its number among those in flight when it was sent, from 1."""

    at: float
    position: int
    round: int
    outcome: Literal["", "let in", "refused", "unknown"] = ""


class Refusals:
    """Decides how many calls may be in flight by what becomes of them, judged by when they were sent.

    `wait` is 0 when a call may go, inf until one ends. In the mode "rate" pacers decide, and it lets everything go.
    told: calls a second of headers; the opening goes on at twice that at least.
    """

    # fmt: off
    __slots__ = (
        "_assent", "_beyond", "_brakes", "_cap", "_cap_refused", "_cap_search", "_cap_sent", "_chances", "_clean",
        "_eager", "_falls", "_fell_at", "_first", "_ignored", "_is_new", "_last_refused", "_last_sent", "_latency",
        "_next", "_patience", "_peak", "_probes_refused", "_recent", "_refusal_latency", "_refused",
        "_refused_beyond", "_refused_top", "_resolved", "_round", "_round_at", "_sent", "_since", "_stage",
        "_stage_answered", "_stage_at", "_stage_sent", "_step", "_tried_at", "_until", "_wrong", "headers_rate",
        "is_alone", "mode", "most", "refused", "total", "width",
    )
    # fmt: on

    # Calls in flight to begin with, and ever. A round trip of each width is what it costs to be polite: 32
    # would save one on a quick server, and draw twice the refusals of a limit of a few calls.
    START, MOST = 16, 1000
    # Seconds after which a call that isn't refused counts as let in, while none is; and the calls in flight up to
    # which it widens by that alone. Answers may take ten seconds, and three round trips to 64 calls half a minute.
    SETTLED, UNANSWERED = 0.1, 64
    # A share of refusals that may be chance while it grows, and how improbable a greater one must be. A real
    # limit refuses a third or more of the next doubling; busy backends were seen to refuse up to a tenth.
    IGNORED, SURE = 0.12, 0.003
    # Times that the opening stops for a moment at a refusal, to see what becomes of those sent just after.
    # Each costs a refusal's time; without them a shallow bucket refuses half a round.
    BRAKES = 3
    # Refusals of those after which they are weighed: three in a row are chance once in 580 at `IGNORED`.
    IN_A_ROW = 3
    # Of the calls in flight where refusals began: a call sent when so few are isn't refused for a cap.
    CLEAR = 0.8
    # Lower and lower in a row, with hardly an answer between: then it is no cap, but a rate.
    FALLS = 4
    # A cap that was found refuses hardly more than what is tried beyond it. Of the calls since, so many refused
    # beside that share mean that it is none, or moves too much to be followed: a bucket of a second looks like
    # one, and refused a fifth of all calls for the whole run. Fewer leave caps that are still being found.
    CAP_REFUSES, CAP_SHARE, CAP_CALLS = 40, 0.08, 300
    # Answers without a refusal before one more than the cap is tried: so many, or so many times the cap. Each
    # trial costs about a refusal; a cap that rose is found within so many round trips.
    CALM, CALM_ROUNDS = 20, 4
    # Refusals that end a trial though more of it is let in: calls that end just then make room for some.
    TRIED = 3
    # Trials that failed double that, up to so many times.
    PATIENCE = 8
    # Calls a second of the opening: its least; its most, up to PACE / LASTING calls; and its share a second
    # of what was sent, beyond. What goes in a refusal's time, some 20 ms, is refused when a deep bucket is
    # empty.
    SLOWEST, PACE, LASTING = 200.0, 600.0, 0.75
    # Of who says how many flows: so many at once, then calls a second, and seconds in which those double. A
    # bucket of 50 refuses about three of them.
    EAGER_BURST, EAGER_START, EAGER_DOUBLES = 50, 100.0, 0.015
    # Seconds: a loop's time has no finer steps.
    QUANTUM = 0.001
    # The last answer's weight in the mean latency, and the last refusal's in theirs.
    RECENT, RECENT_REFUSED = 0.1, 0.2
    # Caps that were none, after which none is looked for: a shallow bucket fills while it is looked.
    WRONG = 2
    # Calls whose fate is kept, to tell a cap by.
    KEPT = 256

    def __init__(self, *, eager: bool = False, most: int = MOST) -> None:
        self.mode: Mode = "open"
        self.most = most
        self.width = float(most if eager else min(most, self.START))
        self.headers_rate = 0.0  # calls a second of headers
        self.is_alone = True  # no other run uses the key
        self.total = 0
        self.refused = 0
        self._eager = eager
        self._first: float | None = None
        self._latency = 0.0
        self._refusal_latency = 0.02
        self._ignored = self.IGNORED
        self._brakes = self.BRAKES
        self._next = self._until = -inf
        self._since: float | None = None
        self._recent: deque[Trace] = deque(maxlen=self.KEPT)
        self._round, self._round_at = 0, -inf
        self._sent = self._refused = self._resolved = 0
        self._cap = 0
        self._peak = 0
        self._chances = 0  # refusals where a cap refuses nobody
        self._patience = 1
        self._falls = 0
        # Calls since a cap was last looked for, those refused, and those of them that finding it may have cost.
        self._cap_sent = self._cap_refused = 0
        self._cap_search = self.CAP_REFUSES
        self._last_refused = -8
        self._last_sent = -inf
        self._step = 1
        self._clean = self._beyond = self._refused_beyond = self._refused_top = 0
        self._is_new = False
        self._wrong = 0  # caps that were none
        self._stage = self._stage_sent = self._stage_answered = self._probes_refused = 0
        self._stage_at = -inf
        self._assent = self._fell_at = self._tried_at = -inf

    # May a call go?

    def wait(self, now: float, in_flight: int) -> float:
        mode = self.mode
        if mode == "rate":
            return 0.0
        if mode == "probing":
            self._go_on_probing(now)
            mode = self.mode
        if in_flight >= self.width and (room_in := self._room_in(now, in_flight)) > 0.0:
            return room_in
        wait = self._until - now
        if mode == "open":
            if self._next - now > max(wait, self.QUANTUM):
                wait = self._next - now
        elif mode == "cap" and in_flight >= self._cap:
            # One more than the cap, and not just beside another: a shallow bucket would refuse it for that.
            wait = max(wait, self._last_sent + 0.4 * self._latency / self._cap - now)
        elif mode == "probing" and self._stage_sent >= self._stage:
            wait = max(wait, self._assent - now)
        return wait if wait > 1e-9 else 0.0

    def _room_in(self, now: float, in_flight: int) -> float:
        """Seconds until more calls than `width` may be in flight; inf for when one of them ends."""
        if self.mode != "open":
            return inf
        if in_flight < 2.0 * self.headers_rate * self._latency:
            return 0.0
        if self._refused or self.width >= self.UNANSWERED:
            return inf
        settled = self._last_sent + self.SETTLED - now
        if settled > 1e-9:
            return settled
        self._widen(now)  # none of them was refused
        return 0.0

    def sent(self, now: float, in_flight: int) -> Trace:
        trace = Trace(now, in_flight + 1, self._round)
        self.total += 1
        if self._first is None:
            self._first = self._round_at = now
        if self.mode == "rate":
            return trace
        self._recent.append(trace)
        self._sent += 1
        self._last_sent = now
        if in_flight >= self._peak:
            self._peak = in_flight + 1
        if self.mode == "cap":
            self._cap_sent += 1
            if self._cap_sent > 2 * self.CAP_CALLS:
                self._cap_sent //= 2
                self._cap_refused //= 2
                self._cap_search //= 2
            if self._sent > max(40, 2 * self._cap):
                self._sent //= 2
                self._refused //= 2
        if self.mode == "open":
            self._next = max(self._next, now) + self._gap(now)
        elif self.mode == "probing":
            self._stage_sent += 1
            self._assent = now + max(0.02, 2.0 * self._refusal_latency)
        return trace

    def _gap(self, now: float) -> float:
        if self._eager:
            if self.total < self.EAGER_BURST:
                return 0.0
            assert self._first is not None
            doubled: float = 2.0 ** min(20.0, (now - self._first) / self.EAGER_DOUBLES)
            return 1.0 / (self.EAGER_START * doubled)
        pace = self.SLOWEST
        if self._latency:
            pace = max(
                pace, min(2.0 * self.width / self._latency, self.PACE), 2.0 * self.headers_rate
            )
        return 1.0 / max(pace, self.LASTING * self.total)

    @property
    def cap(self) -> int:
        """How many calls may be in flight before more are refused; 0 where no such cap is believed in."""
        return self._cap if self.mode == "cap" else 0

    @property
    def latency(self) -> float:
        """Seconds that answers take, lately; 0 before the first."""
        return self._latency

    # What became of it?

    def answered(self, trace: Trace, now: float) -> None:
        trace.outcome = "let in"
        latency = now - trace.at
        self._latency += self.RECENT * (latency - self._latency) if self._latency else latency
        if self.mode == "open":
            if trace.round == self._round:
                self._resolved += 1
                self._end_round(now)
        elif self.mode == "probing":
            self._stage_answered += trace.at >= self._stage_at
        elif self.mode == "cap":
            self._answered_at_cap(trace, now)

    def gone(self, trace: Trace) -> None:
        """It ended in a way that says nothing of limits."""
        trace.outcome = "unknown"
        if trace.round == self._round:
            self._sent -= 1

    def throttled(self, trace: Trace, now: float) -> bool:
        """It was refused. Whether a rate has to be found from here on."""
        trace.outcome = "refused"
        self.refused += 1
        self._refusal_latency += self.RECENT_REFUSED * (now - trace.at - self._refusal_latency)
        if self.mode == "open":
            return self._refused_open(trace, now)
        if self.mode == "probing":
            return self._refused_probe(trace, now)
        if self.mode == "cap":
            self._cap_refused += 1
            if self._is_no_cap():
                return self._become_rate()
            return self._refused_at_cap(trace, now)
        return False

    def _is_no_cap(self) -> bool:
        """Whether more is refused than at a cap, and more than may be chance."""
        share = max(self.CAP_SHARE, self._ignored - self.IGNORED)
        beyond = self._cap_refused - self._cap_search
        return self._cap_sent >= self.CAP_CALLS and beyond > share * self._cap_sent

    def reopen(self, now: float, share: float, width: float) -> None:
        """A rate was looked for and there is none: `share` of the calls are refused whatever the rate."""
        self._ignored = min(0.6, max(self._ignored, 2.0 * share))
        self._open(now, width)

    def restart(self, now: float) -> None:
        """Other news than refusals say what is limited: what they said is forgotten."""
        if self.mode != "open":
            self._open(now, self.width)

    # Open.

    def _open(self, now: float, width: float) -> None:
        self.mode = "open"
        self.width = min(float(self.most), max(float(self.START), width))
        self._next = self._until = now
        self._since = None
        self._begin_round(now)

    def _begin_round(self, now: float) -> None:
        self._round += 1
        self._round_at = now
        self._peak = 0
        self._sent = self._refused = self._resolved = 0

    def _end_round(self, now: float) -> None:
        sent = self._sent
        if (
            self._resolved >= 0.25 * min(self.width, sent)
            and sent >= 0.9 * self.width
            and now - self._round_at >= 0.6 * self._latency
        ):
            if self._peak >= 0.75 * self.width:
                self._widen(now)
            else:
                self._begin_round(now)

    def _widen(self, now: float) -> None:
        self.width = min(float(self.most), 2.0 * self.width)
        self._begin_round(now)

    def _refused_open(self, trace: Trace, now: float) -> bool:
        if trace.round == self._round:
            self._refused += 1
            self._resolved += 1
            if (
                self._refused >= 4
                and chance_of(self._refused, self._sent, self._ignored) < self.SURE
            ):
                return self._probe(now)
            self._end_round(now)
        if self._brakes > 0 and self.mode == "open":
            return self._brake(trace, now)
        return False

    def _brake(self, trace: Trace, now: float) -> bool:
        """Nothing goes until it is known what became of those sent just after a refused one."""
        rest = 1.5 * self._refusal_latency + 0.005
        if self._since is None or now > self._until + rest:
            self._since = trace.at
            self._brakes -= 1
            self._until = now + rest
        # Those sent before the last that was refused would be known by now, or were let in.
        since = [t for t in self._recent if t.at >= self._since]
        last = max((t.at for t in since if t.outcome == "refused"), default=-inf)
        after = [t for t in since if t.at <= last]
        refused = sum(t.outcome == "refused" for t in after)
        if refused >= self.IN_A_ROW and chance_of(refused, len(after), self._ignored) < self.SURE:
            return self._probe(now)
        return False

    # Probing.

    def _probe(self, now: float) -> bool:
        # Others' calls may be in flight too, so ours tell no cap; nor where one was believed in for nothing.
        if not self.is_alone or self._wrong >= self.WRONG:
            return self._become_rate()
        self.mode = "probing"
        self._cap_sent = self._cap_refused = 0
        self._cap_search = self.CAP_REFUSES
        self._cap = self._threshold(now)
        self.width = float(max(1, int(self.CLEAR * self._cap)))
        self._begin_stage(1, now)
        self._probes_refused = 0
        self._refused_top = 0
        self._until = now + self._refusal_latency
        self._assent = -inf
        self._begin_round(now)
        return False

    def _threshold(self, now: float) -> int:
        """How many calls in flight tell best the refused from those let in."""
        horizon = now - 2.0 * self._latency - 2.0 * self._refusal_latency
        settled = now - 2.0 * self._refusal_latency
        recent = [t for t in self._recent if t.at >= horizon]
        refused = [t.position for t in recent if t.outcome == "refused"]
        let_in = [
            t.position
            for t in recent
            if t.outcome == "let in" or (not t.outcome and t.at < settled)
        ]
        if not let_in or not refused:
            return max(1, min(refused, default=1) - 1)

        def score(n: int) -> float:
            low = sum(p < n for p in let_in) / len(let_in)
            return low + sum(p >= n for p in refused) / len(refused)

        return max(1, max(sorted(set(refused)), key=score) - 1)

    def _go_on_probing(self, now: float) -> None:
        """A stage that was answered, or not refused for so long, was let in: the next is three times as large."""
        if self._stage_sent < self._stage:
            return
        if now < self._assent and self._stage_answered < self._stage:
            return
        self._begin_stage(3 * self._stage, now)
        self._probes_refused = 0
        self.width = float(self._cap)
        if self._stage > self._cap:
            # As many as were in flight when it began went in again: are more refused?
            self._settle(self._cap, now)
            self._try_more(max(2, self._cap // 10), now)
            self._is_new = True

    def _begin_stage(self, calls: int, now: float) -> None:
        self._stage, self._stage_at = calls, now
        self._stage_sent = self._stage_answered = 0

    def _refused_probe(self, trace: Trace, now: float) -> bool:
        if trace.round != self._round:
            return False
        if self._stage > 1 and trace.position > self.CLEAR * self._cap:
            # They go in below and not here: it is a cap, somewhere near; but one may be chance.
            self._refused_top += 1
            if self._refused_top > 1 or not self._chances:
                at_most = max(self._threshold(now), trace.position - 1)
                self._settle(max(1, min(self._cap, at_most)), now)
            return False
        self._probes_refused += 1
        self._chances += 1
        self._begin_stage(1, now)
        self.width = float(max(1, int(self.CLEAR * self._cap)))
        self._until = max(self._until, now + self._refusal_latency * 2.0**self._probes_refused)
        return self._probes_refused >= 2 and self._become_rate()

    def _become_rate(self) -> bool:
        self.mode = "rate"
        self._recent.clear()
        return True

    # A cap.

    def _fall(self, cap: int, now: float) -> bool:
        """The cap is lower. One that falls again and again is none: calls are refused however few are in flight."""
        # Those that are under way go on: it takes a round trip until they are as few as may be now.
        is_new = now - self._fell_at > 0.5 * self._latency
        falls = self._falls + is_new
        self._fell_at = now if is_new else self._fell_at
        if falls >= self.FALLS or self._cap == 1:
            return self._become_rate()
        self._settle(max(1, cap), now)
        self._falls = falls
        return False

    def _settle(self, cap: int, now: float) -> None:
        self.mode = "cap"
        self._cap = max(1, cap)
        self.width = float(self._cap)
        self._clean = self._beyond = self._refused_beyond = self._refused_top = 0
        self._step = self._patience = 1
        self._falls = 0
        self._is_new = False
        self._begin_round(now)

    def _try_more(self, step: int, now: float) -> None:
        """Nothing was refused for so long: perhaps there is room for more."""
        self._step, self._tried_at = step, now
        self.width = min(float(self.most), float(self._cap + step))
        self._beyond = self._refused_beyond = 0

    def _answered_at_cap(self, trace: Trace, now: float) -> None:
        if trace.round != self._round:
            return
        if trace.position > self._cap:
            self._beyond += 1
            enough = max(3, self._step if self._is_new else self._cap // 4)
            if (
                self.width > self._cap
                and self._beyond >= enough
                and now
                >= self._tried_at + 1.5 * self._refusal_latency  # refused ones may come later
                and self._beyond >= 4 * self._refused_beyond
            ):
                if self._is_new:
                    self._wrong += 1
                    self._open(now, 2.0 * self._cap)  # it was chance
                    return
                self._cap = min(self.most, self._cap + self._step)
                self._patience = 1
                self._try_more(2 * self._step, now)
            return
        self._clean += 1
        if self._clean > 2 * self._cap:
            self._falls = 0
        if (
            self._clean >= self._patience * max(self.CALM, self.CALM_ROUNDS * self._cap)
            and self.width <= self._cap
        ):
            self._clean = 0
            self._try_more(1, now)

    def _refused_at_cap(self, trace: Trace, now: float) -> bool:
        if trace.round != self._round:
            return False
        if trace.position > self._cap:
            self._refused_beyond += 1
            self._end_trial(now)
            return False
        if self.total - self._last_refused < 8:
            self._until = now + self._refusal_latency
        self._last_refused = self.total
        if trace.position == self._cap > 1:
            refused, calls = self._fate_of(self._cap, self._cap, now)
            others, of_others = self._fate_of(1, self._cap - 1, now)
            if refused > 1 and 2 * refused > calls:
                few = max(int(0.9 * self._cap), self._let_in(now))  # two refusals say little
                return self._fall(min(self._cap - 1, few), now)
            if refused > 1 and refused > max(0.25, 3.0 * others / max(1, of_others)) * calls:
                self._settle(self._cap - 1, now)  # it is one less
                return False
        self._refused += 1
        self._chances += 1
        if self._refused < 3 or chance_of(self._refused, self._sent, self._ignored) > 0.01:
            return False
        return self._fall(min(self._let_in(now), int(0.9 * self._cap)), now)

    def _end_trial(self, now: float) -> None:
        """A call beyond the cap was refused. Where calls within it are refused too, that may be chance."""
        self._clean = 0
        refused, calls = self._fate_of(self._cap + 1, self.most, now)
        enough = 2 if self._is_new or self._chances else 1
        if self.width <= self._cap or refused < enough:
            return
        if 2 * refused <= calls and refused < self.TRIED:
            return
        if self._step == 1:
            self._patience = min(self.PATIENCE, 2 * self._patience)
        self.width = float(self._cap)
        self._is_new = False

    def _fate_of(self, lowest: int, highest: int, now: float) -> tuple[int, int]:
        """Of this round's calls that were sent as one of these in flight: how many were refused, and all whose
        fate is known. What isn't refused for so long was let in.
        """
        settled = now - 1.5 * self._refusal_latency
        fates = [
            trace.outcome == "refused"
            for trace in self._recent
            if trace.round == self._round
            and lowest <= trace.position <= highest
            and (trace.outcome or trace.at < settled)
        ]
        return sum(fates), len(fates)

    def _let_in(self, now: float) -> int:
        """About how many calls are in flight that won't be refused: those that would have been by now, and as many
        younger ones as there should be beside them; and no fewer than were in flight before any that was refused.
        """
        age = 1.5 * self._refusal_latency
        old = sum(not t.outcome and t.at < now - age for t in self._recent)
        lasting = round(old / max(0.5, 1.0 - age / max(age, self._latency)))
        refused = (t for t in self._recent if t.round == self._round and t.outcome == "refused")
        return max(lasting, min((t.position - 1 for t in refused), default=0))
