"""Looks at a run about once a second while it is at work: keeps how it stood, and says what holds it back.

On the run's loop, where a look costs a fraction of a millisecond; everybody else reads what is kept here.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Iterable
from time import process_time, time
from typing import Any

from msgspec import structs

from flowpool.limits.lane_view import LaneView, ceilings_of
from flowpool.run.bottleneck import STEADY, Look, Steadied, add_to, narrowest, shares
from flowpool.run.progress import Snapshot
from flowpool.run.sample import Bottleneck, LaneSample, Sample

# Seconds between two looks, at first and at least. No round number: of a limit that lets a call through every 0.2
# s, each look would be at the moment when it does.
EVERY = 0.977
# Of a run's time so far: a run of ten hours is kept in about 3,000 samples, and each of its minutes in one at
# least.
PART = 1 / 600
# Seconds between two looks at most, however seldom samples are kept: three of them change what is said.
SELDOM = 3.0
# Seconds after which what is said is written down again, in its newest words.
NEWS = 10.0
# Items that had ended earlier and were met between two looks, from which on that is what the run does.
MANY_MET = 50
# The module that has the price list, which takes 0.3 s to import: not on the loop.
_PRICE_LIST = "genai_prices"

# What a lane is that answers nobody, and what one is that answers.
ILL, WELL = ("outage", "broken"), "well"

Tell = Callable[[str, Any], None]


class Monitor:
    """A run's samples and bottlenecks.

    snapshot, look: give how the run stands, on its loop. tell: is given each sample, each change of the bottleneck,
    and each lane that falls ill or recovers, as a kind and plain data.
    """

    # A simulated clock doesn't go on for this alone.
    is_idle = True

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        snapshot: Callable[[], Snapshot],
        look: Callable[[Snapshot], Look],
        tell: Tell | None = None,
    ) -> None:
        self.samples: list[Sample] = []
        self.bottlenecks: list[Bottleneck] = []  # each as it was when it had begun
        self._steadied = Steadied()
        self._ill: dict[str, str] = {}  # lanes that answer nobody, by what they are
        self._loop = loop
        self._snapshot = snapshot
        self._look = look
        self._tell = tell
        self._began = self._due = loop.time()
        self._epoch = time() - self._began
        self._cpu = process_time()
        self._last = self._began
        self._read = deque(
            [(self._began, 0)], maxlen=STEADY
        )  # when, and how many items the source had given
        self._kept = self._said_at = self._began  # when the last sample was, and the last words
        self._met = 0
        self._timer: asyncio.TimerHandle | None = None
        self._wait()

    @property
    def bottleneck(self) -> Bottleneck | None:
        """What holds the run back, or held it back at its end."""
        return self._steadied.now

    @property
    def held(self) -> tuple[tuple[Bottleneck, float], ...]:
        """What held the run back so far, each with its seconds, the longest first."""
        is_over = self._timer is None and self.samples
        until = self.samples[-1].at if is_over else self._epoch + self._loop.time()
        return shares(tuple(self.bottlenecks), until)

    def close(self) -> None:
        """The run is over: the last sample is of its end."""
        if self._timer is not None:
            self.stop()
            self._keep(self._snapshot(), 0.0, 0.0)
            if self.bottlenecks:
                self._say(self.bottlenecks[-1])

    def stop(self) -> None:
        """Looks no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def changed(self) -> None:
        """Somebody steered the run: looks at once, and what holds it back from here on is another thing."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._steadied.begin_anew()
        self._due = self._loop.time()
        self._see()

    def _wait(self) -> None:
        now = self._loop.time()
        self._due = now + min(SELDOM, max(EVERY, PART * (now - self._began)))
        self._timer = self._loop.call_at(self._due, self._see)

    def _see(self) -> None:
        try:
            now = self._loop.time()
            snapshot = self._snapshot()
            lag = max(0.0, now - self._due)
            cores = self._cores(now)
            if now - self._kept >= PART * (now - self._began):
                self._keep(snapshot, cores, lag)
            self._look_for_illness(snapshot.lanes)
            look = structs.replace(self._look(snapshot), at=self._epoch + now, cpu=cores, lag=lag)
            self._heed(narrowest(self._with_pace(look, now)), now)
        finally:
            self._wait()

    def _cores(self, now: float) -> float:
        cpu, self._cpu = self._cpu, process_time()
        seconds, self._last = now - self._last, now
        return (self._cpu - cpu) / seconds if seconds > 0.0 else 0.0

    def _with_pace(self, look: Look, now: float) -> Look:
        """The same, with what several looks tell."""
        since, read = self._read[0]
        self._read.append((now, look.read))
        pace = (look.read - read) / max(1e-3, now - since)
        met, self._met = look.recalled - self._met, look.recalled
        is_recalling = met >= MANY_MET and look.known > 0
        return structs.replace(look, source_rate=pace, is_recalling=is_recalling)

    def _heed(self, found: Bottleneck, now: float) -> None:
        before = self._steadied.now
        held = self._steadied.saw(found, self._epoch + now)
        add_to(self.bottlenecks, held)
        if (
            before is None
            or before.since != held.since
            or (held.words != before.words and now - self._said_at >= NEWS)
        ):
            self._say(held)

    def _say(self, held: Bottleneck) -> None:
        self._said_at = self._loop.time()
        if self._tell is not None:
            self._tell("bottleneck", held)

    def _look_for_illness(self, lanes: Iterable[LaneView]) -> None:
        for lane in lanes:
            state = lane.bound if lane.bound in ILL else WELL
            if state == self._ill.get(lane.name, WELL):
                continue
            self._ill[lane.name] = state
            if self._tell is not None:
                error = "" if state == WELL else lane.error
                data = {"lane": lane.name, "state": state, "error": error}
                self._tell("lane", data)

    def _keep(self, snapshot: Snapshot, cores: float, lag: float) -> None:
        self._kept = self._loop.time()
        sample = sample_of(snapshot, self._epoch + self._loop.time(), cores, lag)
        self.samples.append(sample)
        if self._tell is not None:
            self._tell("sample", sample)


def sample_of(snapshot: Snapshot, at: float, cpu: float = 0.0, lag: float = 0.0) -> Sample:
    """A snapshot as it is kept. at: seconds since 1970. The cost is left out while the price list isn't loaded."""
    usage = snapshot.usage
    return Sample(
        at,
        snapshot.elapsed,
        snapshot.total,
        snapshot.done,
        snapshot.failed,
        snapshot.cancelled,
        snapshot.running,
        snapshot.recalled,
        snapshot.rate,
        snapshot.eta,
        snapshot.cost if _PRICE_LIST in sys.modules else None,
        usage.input_tokens + usage.output_tokens,
        cpu,
        lag,
        tuple(map(_lane_sample, snapshot.lanes)),
    )


def _lane_sample(lane: LaneView) -> LaneSample:
    limits = {**lane.limits, **ceilings_of(lane.configured)}
    unit: str = lane.bound if lane.bound in limits else "requests"
    if unit not in limits and limits:
        unit = max(limits, key=lambda name: lane.used.get(name, 0.0) / limits[name])
    return LaneSample(
        lane.name,
        lane.bound,
        lane.in_flight,
        lane.window,
        lane.queued,
        lane.throttled,
        lane.latency,
        limits.get(unit),
        lane.used.get(unit, 0.0),
        unit,
    )
