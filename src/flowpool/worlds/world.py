"""A world: gates, a server behind them, and how it all speaks. Told of calls and time, it says what happens."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flowpool.worlds.gates import Gate
from flowpool.worlds.replies import ROUND_TRIP, Replies
from flowpool.worlds.servers import AnswerQueue
from flowpool.worlds.values import Arrival, Offered, Served, TurnedAway


class World:
    """A provider as it meets one key, whoever sends.

    Times are seconds since the start and never go back. Each admitted call must be given to `ended`, whether its
    answer was read or not.

        world = World([Cap(20)], Server(0.2, 0.0, random), Replies(random))
        offered = world.offer(0.0, Call())
        world.ended(offered.latency, Call())
    """

    def __init__(self, gates: Sequence[Gate], server: AnswerQueue, replies: Replies) -> None:
        self.gates = list(gates)
        self.server = server
        self.replies = replies
        self.in_flight = 0
        self.admitted = self.refused = self.by_chance = 0

    def __repr__(self) -> str:
        return (
            f"<World: {self.in_flight} in flight, {self.admitted} admitted, {self.refused} refused>"
        )

    def offer(self, now: float, call: Arrival) -> Offered:
        """What becomes of a call that arrives `now`."""
        gates = self.gates
        for gate in gates:
            wait = gate.wait(now, call)
            if wait != 0.0:
                return self._refuse(now, call, gate, wait)
        held = 0.0
        for gate in gates:
            held += gate.take(now, call)
        latency = self.server.begin(now + held, call, self.in_flight)
        if latency == math.inf:
            return self._leave(now, call)
        self.in_flight += 1
        self.admitted += 1
        headers = self.replies.headers(now, gates) if self.replies.truth != "absent" else ()
        return Served(held + latency, headers)

    def ended(self, now: float, call: Arrival) -> None:
        """An admitted call is over: answered, or its client went away."""
        self.in_flight -= 1
        for gate in self.gates:
            gate.ended(now, call)

    def _refuse(self, now: float, call: Arrival, gate: Gate, wait: float) -> TurnedAway:
        replies = self.replies
        self.refused += 1
        self.by_chance += gate.by_lot
        for each in self.gates:
            each.refused(now, call)
        return TurnedAway(
            replies.status or gate.status,
            ROUND_TRIP + replies.late,
            replies.retry_after(wait),
            (gate.dimension or None) if replies.names else None,
            replies.headers(now, self.gates, refused=True),
            wait,
            gate.voice,
        )

    def _leave(self, now: float, call: Arrival) -> TurnedAway:
        """It waited in the server's queue for as long as that lets it."""
        self.refused += 1
        for gate in self.gates:
            gate.ended(now, call)
        return TurnedAway(503, self.server.gave_up_after(), wait=math.inf, voice="haproxy")
