"""`flowpool limits`: asks an endpoint a few times, and tells what its answers say of its limits.

What is said of headers is `docs/rate-control.md`'s; the limiter that reads them is the one that runs have.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

import click

from flowpool.cli.options import BASE_URL, PROVIDER, model_option, timeout_option

if TYPE_CHECKING:
    from flowpool.errors import CallError
    from flowpool.limits.limiter import Learned
    from flowpool.model import Model
    from flowpool.values import Endpoint, HttpRequest, LimitReading, Usage

PROMPT = "Answer with: yes"
# How many times as high one reading of a rate may be as another that means the same.
CLEAR = 1.25
# Some providers refuse to answer in fewer tokens.
MOST_TOKENS = 16
# Seconds from an answer to the next call: what was taken refills meanwhile, which shows the rate.
BETWEEN = 0.2
NAMES = {"input": "input_tokens", "output": "output_tokens"}


@click.command()
@model_option("The model to ask, as in gpt-5-mini.", required=True)
@PROVIDER
@BASE_URL
@click.option(
    "--calls",
    type=click.IntRange(0, 20),
    default=5,
    metavar="N",
    help="Small calls to make, one after another; 0 shows only what is remembered. [5]",
)
@timeout_option("Seconds a call may take. [60]", default=60.0)
def limits(
    model: str, provider: str | None, base_url: str | None, calls: int, timeout: float
) -> int:
    """Find out a provider's limits with a few small calls, and show what runs before have learned.

    The calls are a few tokens each and go one after another; the first that fails is the last. The key comes from
    the environment, as for a run. Exit code: 0 found out, 1 a call failed, 2 it can't be asked like this.

    \b
    Example:
      flowpool limits --model gpt-5-mini
    """
    import asyncio
    import os

    from flowpool.calls.decide import Cause, cause_of
    from flowpool.cli.streams import show
    from flowpool.model import Model, check_times

    check_times(timeout, None)
    chosen = Model(model, {"max_tokens": MOST_TOKENS}, provider=provider, base_url=base_url)
    endpoint = chosen.endpoint(os.environ)
    show(f"{chosen.provider}/{chosen.model} at {endpoint.base_url}")
    show(_remembered(endpoint, chosen.model))
    if not calls:
        return 0
    found = asyncio.run(_ask(chosen, endpoint, calls, timeout))
    failure = found.failure
    if failure is not None and not found.seconds and cause_of(failure) is not Cause.THROTTLE:
        raise failure
    show("\n".join(_report(chosen, found)))
    return 0 if failure is None else 1


@dataclass
class Found:
    """What a few calls showed.

    asked: how many were sent. seconds: what each answered one took. limits: what the limiter learned, a minute.
    failure: that of the last call, or None.
    """

    usage: Usage
    asked: int = 0
    seconds: list[float] = field(default_factory=list)
    readings: dict[str, LimitReading] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    failure: CallError | None = None


async def _ask(model: Model, endpoint: Endpoint, calls: int, seconds: float) -> Found:
    """One call after another, until one fails."""
    import asyncio

    from flowpool.errors import CallError
    from flowpool.http.transport import shared
    from flowpool.limits.demand import Demand
    from flowpool.limits.limiter import Limiter
    from flowpool.values import NO_USAGE, Timeouts
    from flowpool.wire import WIRES
    from flowpool.wire.limits import read_limits

    request, wire = _request(model, endpoint), WIRES[endpoint.wire]
    transport = wire.transport(shared(), endpoint, model.model)
    limiter, found = Limiter(), Found(NO_USAGE)
    now = asyncio.get_running_loop().time
    timeouts = Timeouts(min(10.0, seconds), seconds, seconds)
    for _ in range(calls):
        if found.asked:
            await asyncio.sleep(BETWEEN)
        found.asked += 1
        sent = limiter.sent(limiter.estimates.of("limits", len(request.body), MOST_TOKENS), now())
        try:
            response = await transport.send(request, timeouts)
        except CallError as error:
            found.failure = error
            break
        readings = read_limits(response.headers)
        found.readings.update((reading.dimension, reading) for reading in readings)
        result = wire.parse(response)
        if response.status != 200:
            assert isinstance(result, CallError)
            found.failure = result
            break
        usage = result.usage  # of an answer that was cut off too: nobody reads it
        found.usage += usage
        found.seconds.append(now() - sent.at)
        limiter.answered(sent, now(), readings, Demand(usage.input_tokens, usage.output_tokens))
    found.limits = limiter.limits()
    return found


def _request(model: Model, endpoint: Endpoint) -> HttpRequest:
    from flowpool.values import Call, Message, Text
    from flowpool.wire import WIRES

    messages = (Message("user", (Text(PROMPT),)),)
    return WIRES[endpoint.wire].build(Call(model.model, messages, model.options), endpoint)


def _remembered(endpoint: Endpoint, model: str) -> str:
    """What the shared memory of runs has of the model, in a line."""
    import os
    import time
    from contextlib import suppress

    import msgspec

    from flowpool.limits.limiter import Learned
    from flowpool.sharing import open_sharing
    from flowpool.views.words import duration

    sharing = open_sharing(os.environ)
    if sharing is None:
        return "Nothing is remembered: FLOWPOOL_SHARE is off."
    kept = sharing.memory.recall(sharing.fingerprint(endpoint, model), time.time())
    known: dict[str, Learned] = {}
    if kept is not None:
        with suppress(msgspec.MsgspecError):  # another version's
            known = msgspec.json.decode(kept[0], type=dict[str, Learned])
    if not known or kept is None:
        return "No run before has learned its limits."
    rates = [f"{one.rate * 60:,.0f} {_units(name)}" for name, one in known.items()]
    return f"Learned by a run {duration(kept[1])} ago: {' and '.join(rates)} a minute."


def _report(model: Model, found: Found) -> list[str]:
    from flowpool.views.words import duration

    lines = [_summary(model, found)]
    if found.readings:
        lines += ["", *_table(found)]
    elif found.seconds:
        lines.append(
            "No limit headers: nothing says what the limits are. A run finds them by itself, from its 429s, "
            "or from latency where none come."
        )
    if (failure := found.failure) is not None:
        wait = failure.retry_after
        again = f"; it asks to wait {duration(wait)}" if wait is not None else ""
        lines.append(
            f"Call {found.asked} failed, so none followed{again}: {type(failure).__name__}: {failure}"
        )
    return lines


def _summary(model: Model, found: Found) -> str:
    from flowpool import prices
    from flowpool.views.words import dollars, duration

    if not found.seconds:
        return "No call was answered."
    low, high = duration(min(found.seconds)), duration(max(found.seconds))
    took = low if low == high else f"{low} to {high}"
    tokens = found.usage.input_tokens + found.usage.output_tokens
    plural = "s" if len(found.seconds) > 1 else ""
    words = f"{len(found.seconds)} call{plural} answered in {took}, {tokens:,} tokens"
    rates = prices.rates(model.provider, model.model)
    if rates is not None:
        words += f", {dollars(rates.cost(found.usage, len(found.seconds)))}"
    return words + "."


def _table(found: Found) -> list[str]:
    from flowpool.views.words import duration

    rows = [("", "header says", "left", "full again in", "so a minute")]
    for name, reading in found.readings.items():
        rows.append(
            (
                _units(name),
                f"{reading.limit:,.0f}",
                f"{reading.remaining:,.0f}",
                "not said" if reading.reset is None else duration(reading.reset),
                _a_minute(reading, found.limits.get(name, inf)),
            )
        )
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(first), *(c.rjust(w) for c, w in zip(row[1:], others, strict=True))]
        )
        for row in rows
    ]


def _a_minute(reading: LimitReading, learned: float) -> str:
    """What the limiter makes of the headers, unless what was taken refills at quite another rate."""
    taken = reading.limit - reading.remaining
    found = [learned] if learned < inf else []
    if reading.reset and taken > 0.0 and not reading.coarse:
        found.append(60.0 * taken / reading.reset)
    if not found:
        return "not clear yet"
    low, high = min(found), max(found)
    return f"{learned:,.0f}" if high <= CLEAR * low else f"{low:,.0f} or {high:,.0f}"


def _units(name: str) -> str:
    from flowpool.limits.lane_view import UNITS

    return UNITS.get(NAMES.get(name, name), name)
