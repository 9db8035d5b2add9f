"""One pure model of a provider: given requests and the time, it says what happens and when.

No clock, sockets or loop here: `transport` plays it in memory, `server` on real connections.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from random import Random
from typing import Literal

from flowpool.errors import InvalidInput
from flowpool.simulator.directives import NOTHING, Directive, find_directive
from flowpool.simulator.ledger import Ledger, digest_of
from flowpool.simulator.limits import ProviderLimits, Refusal
from flowpool.simulator.plan import (
    Connection,
    Failure,
    ReplyPlan,
    ServedAnswer,
    Shape,
    SimRequest,
    tokens_of,
)
from flowpool.simulator.played_world import PlayedWorld, message_of, page_of
from flowpool.simulator.profile import PROFILES, Profile
from flowpool.simulator.served import serve
from flowpool.worlds import TurnedAway

_SHAPES: dict[str, Shape] = {s: s for s in ("empty", "not-json", "error-in-200")}
_CONNECTIONS: dict[str, Connection] = {c: c for c in ("cut", "stall", "slow")}


class SimulatedProvider:
    """A provider's state: limits, slots, queue, faults and ledger.

    `receive` takes a request and returns its `ReplyPlan`. Whoever plays the plan must end it: by
    `finished` when it was played to its end, by `abandoned` when the client went away before. Both
    return the plans that got a slot by it and have their `due` now. All times are seconds on the
    caller's clock.

        provider = Provider(PROFILES["openai"].replace(rpm=60), seed=1)
        plan = provider.receive(0.0, SimRequest("chat", "gpt-sim", text="Hello", user="Hello"))
        provider.finished(plan.due, plan.ticket)
    """

    def __init__(self, profile: Profile | None = None, seed: int = 0) -> None:
        self.seed = seed
        self.reset(profile or PROFILES["free"])

    def reset(self, profile: Profile | None = None) -> None:
        """Back to the first moment: full buckets, an empty ledger, the seed's first number."""
        if profile is not None:
            self.profile = profile.scaled()
            self._speed = profile.time_scale
        self.played: PlayedWorld | None = None
        if self.profile.world is not None:
            self.played = PlayedWorld(self.profile.world, self.profile.world_seed, self._speed)
            self.profile = self.profile.replace(headers=self.played.style)
        self.ledger = Ledger()
        self._random = Random(self.seed)
        self._limiters: dict[tuple[str, str], ProviderLimits] = {}
        self._opened: float | None = None
        self._tickets = 0
        self._open: dict[int, ReplyPlan] = {}
        self._queue: OrderedDict[int, ReplyPlan] = OrderedDict()
        self._busy = 0
        self._played: dict[str, int] = {}

    def __repr__(self) -> str:
        return (
            f"<Provider {self.profile.name}: {len(self._open)} in flight, {self._busy} served, "
            f"{len(self._queue)} queued>"
        )

    @property
    def busy_slots(self) -> int:
        """Calls being served now."""
        return self._busy

    @property
    def queued(self) -> int:
        """Calls that wait for a slot."""
        return len(self._queue)

    def receive(self, now: float, request: SimRequest) -> ReplyPlan:
        """Decides what becomes of a request that arrives `now`."""
        if self._opened is None:
            self._opened = now
        limiter = self._limiter(now, request)
        digest = digest_of(request.text)
        self.ledger.request(now, digest, request.model, request.key)
        self._tickets += 1
        plan = self._decide(now, request, digest, limiter)
        if self.played is None:
            plan.limits = limiter.states()
        self._open[plan.ticket] = plan
        if isinstance(plan.outcome, Failure) or plan.connection == "reset":
            plan.started = now
            plan.due = now + plan.service
        elif self.profile.slots is None or self._busy < self.profile.slots:
            self._start(now, plan)
        else:
            self._queue[plan.ticket] = plan
        return plan

    def finished(self, now: float, ticket: int) -> list[ReplyPlan]:
        """The plan was played to its end; returns the plans that start now."""
        plan = self._open.pop(ticket, None)
        if plan is None:
            return []
        if isinstance(plan.outcome, ServedAnswer) and plan.connection != "reset":
            self._charge(now, plan, plan.outcome)
        self.ledger.closed(now, _outcome_name(plan))
        self._tell_world(now, plan)
        return self._release(now, plan)

    def abandoned(self, now: float, ticket: int) -> list[ReplyPlan]:
        """The client went away before the end; returns the plans that start now."""
        plan = self._open.pop(ticket, None)
        if plan is None:
            return []
        self._queue.pop(ticket, None)
        self.ledger.abandoned += 1
        self.ledger.closed(now, "abandoned")
        self._tell_world(now, plan)
        return self._release(now, plan)

    def _decide(
        self, now: float, request: SimRequest, digest: str, limiter: ProviderLimits
    ) -> ReplyPlan:
        profile = self.profile
        if self._is_out(now):
            return self._faulty(now, request, digest, profile.outage, NOTHING)
        input_tokens = tokens_of(request.text)
        refusal = limiter.admit(now, input_tokens, request.max_tokens)
        if refusal is not None:
            self.ledger.throttled += 1
            return self._failed(now, request, digest, self._over_limit(refusal))
        forced = "response_format" if request.schema is not None else ""
        if request.tool_use == "required":
            forced = "tool_choice"
        if forced and not profile.schemas:
            what = f"{forced} is not supported by this server."
            return self._failed(now, request, digest, Failure(400, what))
        try:
            return self._admitted(now, request, digest, find_directive(request.text))
        except InvalidInput as error:
            return self._failed(now, request, digest, Failure(400, str(error)))

    def _admitted(
        self, now: float, request: SimRequest, digest: str, directive: Directive
    ) -> ReplyPlan:
        """The plan for a request within the limits. Raises `InvalidInput` for one that can't be answered."""
        profile = self.profile
        fault = self._planted(request, digest, directive) or self._drawn()
        if self.played is not None and not fault:
            return self._in_world(now, request, digest, directive, self.played)
        if profile.queue_limit is not None and len(self._queue) >= profile.queue_limit:
            fault = "503"
        return self._faulty(now, request, digest, fault, directive)

    def _limiter(self, now: float, request: SimRequest) -> ProviderLimits:
        """The limits that this request's key has for its model."""
        owner = request.key, request.model
        limiter = self._limiters.get(owner)
        if limiter is None:
            limiter = self._limiters[owner] = ProviderLimits(self.profile, now)
        return limiter

    def _is_out(self, now: float) -> bool:
        since = now - (self._opened or 0.0)
        return any(start <= since < end for start, end in self.profile.outages)

    def _planted(self, request: SimRequest, digest: str, directive: Directive) -> str:
        if directive.model not in (None, request.model):
            return ""
        if not directive.fault or directive.times is None:
            return directive.fault
        played = self._played.get(digest, 0)
        if played >= directive.times:
            return ""
        self._played[digest] = played + 1
        return directive.fault

    def _drawn(self) -> str:
        if not self.profile.faults:
            return ""
        draw = self._random.random()
        for name, probability in self.profile.faults.items():
            draw -= probability
            if draw < 0:
                return name
        return ""

    def _faulty(
        self, now: float, request: SimRequest, digest: str, fault: str, directive: Directive
    ) -> ReplyPlan:
        """The plan for a request that is admitted, and shows `fault` unless that is empty."""
        if fault:
            self.ledger.faults[fault] += 1
        if fault == "quota" or fault.isdecimal():
            return self._failed(now, request, digest, self._error(fault, directive))
        answer = serve(request, directive, fault, self.profile.answer_chars)
        plan = ReplyPlan(self._tickets, request, digest, now, answer)
        plan.service = self.profile.latency.sample(self._random, answer.output_tokens)
        if directive.latency is not None:
            plan.service = directive.latency
        plan.shape = _SHAPES.get(fault, "whole")
        plan.connection = _CONNECTIONS.get(fault, "open")
        if fault == "slow":
            plan.spread = self.profile.slow_seconds if directive.slow is None else directive.slow
        if fault == "reset":
            plan.connection = "reset"
            plan.service = self.profile.error_latency
        return plan

    def _in_world(
        self,
        now: float,
        request: SimRequest,
        digest: str,
        directive: Directive,
        played: PlayedWorld,
    ) -> ReplyPlan:
        """The plan for a request whose fate a world decides."""
        answer = serve(request, directive, "", self.profile.answer_chars)
        offered, call = played.offer(
            now, answer.input_tokens, answer.output_tokens, request.max_tokens
        )
        if isinstance(offered, TurnedAway):
            self.ledger.throttled += 1
            kind: Literal["rate", "status"] = "rate" if offered.status == 429 else "status"
            dimension = offered.dimension or ""
            failure = Failure(offered.status, message_of(offered), kind, dimension, offered.retry_after,
                              page_of(offered))  # fmt: skip
            plan = ReplyPlan(self._tickets, request, digest, now, failure)
            plan.service = offered.after / played.speed
        else:
            plan = ReplyPlan(self._tickets, request, digest, now, answer, call=call)
            plan.service = offered.latency / played.speed
        plan.limits = offered.headers
        return plan

    def _tell_world(self, now: float, plan: ReplyPlan) -> None:
        if self.played is not None and plan.call is not None:
            self.played.ended(now, plan.call)

    def _failed(self, now: float, request: SimRequest, digest: str, failure: Failure) -> ReplyPlan:
        plan = ReplyPlan(self._tickets, request, digest, now, failure)
        plan.service = self.profile.error_latency
        return plan

    def _error(self, fault: str, directive: Directive) -> Failure:
        if fault == "quota":
            return Failure(429, "The quota of this account is used up.", kind="quota")
        wait = directive.retry_after
        if fault == "429":
            wait = self.profile.retry_after if wait is None else wait
            return Failure(429, "Too many requests.", kind="rate", retry_after=wait)
        return Failure(int(fault), f"The simulator shows a {fault}.", retry_after=wait)

    def _over_limit(self, refusal: Refusal) -> Failure:
        wait: float | None = refusal.wait
        message = f"The limit of {refusal.dimension} is reached."
        if wait == math.inf:
            wait, message = None, f"The request is larger than the limit of {refusal.dimension}."
        elif self.profile.headers == "none":
            wait = None
        elif self.profile.headers == "anthropic":
            wait = float(math.ceil(refusal.wait))
        return Failure(429, message, "rate", refusal.dimension, wait)

    def _start(self, now: float, plan: ReplyPlan) -> None:
        self._busy += 1
        plan.holds_slot = True
        plan.started = now
        if isinstance(plan.outcome, ServedAnswer):
            answer = plan.outcome
            self.ledger.work(plan.request.model, answer.input_tokens, answer.output_tokens)
        plan.due = math.inf if plan.connection == "stall" else now + plan.service

    def _charge(self, now: float, plan: ReplyPlan, answer: ServedAnswer) -> None:
        self._limiter(now, plan.request).produced(now, answer.output_tokens)
        if plan.connection == "cut":
            self.ledger.cut += 1
        elif plan.shape == "whole":
            self.ledger.answer(now, plan.digest, answer.input_tokens, answer.output_tokens)

    def _release(self, now: float, plan: ReplyPlan) -> list[ReplyPlan]:
        if not plan.holds_slot:
            return []
        self._busy -= 1
        self.ledger.busy_seconds += now - plan.started
        slots = self.profile.slots
        started = []
        while self._queue and (slots is None or self._busy < slots):
            _, following = self._queue.popitem(last=False)
            self._start(now, following)
            started.append(following)
        return started


def _outcome_name(plan: ReplyPlan) -> str:
    if plan.connection in ("reset", "cut"):
        return plan.connection
    return str(plan.outcome.status) if isinstance(plan.outcome, Failure) else "200"
