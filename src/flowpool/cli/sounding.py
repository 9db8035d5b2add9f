"""What `flowpool limits` does: asks an endpoint a few times, and tells what its answers say of its limits."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from math import inf

import msgspec
from msgspec import Struct

from flowpool import prices
from flowpool.errors import CallError, Verdict
from flowpool.http.transport import shared
from flowpool.integrations import any_llm_transport
from flowpool.limits.demand import Demand
from flowpool.limits.limiter import Learned, Limiter
from flowpool.limits.sharing import open_sharing
from flowpool.model import Model, check_times
from flowpool.values import (
    NO_USAGE,
    Call,
    Endpoint,
    HttpRequest,
    LimitReading,
    Message,
    Text,
    Timeouts,
    Transport,
    Usage,
)
from flowpool.views.words import UNITS, dollars, duration
from flowpool.wire import WIRES
from flowpool.wire.limits import read_limits

PROMPT = "Answer with: yes"
CLEAR = 1.25  # times as high may two readings of a rate be that mean the same
MOST_TOKENS = 16  # less is refused by some
BETWEEN = 0.2  # seconds from an answer to the next call: what was taken refills, and shows the rate
NAMES = {"input": "input_tokens", "output": "output_tokens"}


class Sounding(Struct):
    """What a few calls told."""

    asked: int = 0
    seconds: list[float] = []
    usage: Usage = NO_USAGE
    readings: dict[str, LimitReading] = {}
    limits: dict[str, float] = {}  # learned, a minute
    failure: CallError | None = None


def sound(name: str, provider: str | None, base_url: str | None, calls: int, timeout: float) -> int:
    """Asks, prints what was found, and returns the exit code; raises `InvalidInput` before the first call."""
    check_times(timeout, None)
    model = Model(name, {"max_tokens": MOST_TOKENS}, provider=provider, base_url=base_url)
    endpoint = model.endpoint(os.environ)
    print(f"{model.provider}/{model.model} at {endpoint.base_url}")
    print(_remembered(endpoint, model.model))
    if not calls:
        return 0
    found = asyncio.run(_ask(model, endpoint, calls, timeout))
    if (
        found.failure is not None
        and not found.seconds
        and found.failure.verdict is not Verdict.THROTTLE
    ):
        raise found.failure
    print("\n".join(_report(model, found)))
    return 0 if found.failure is None else 1


async def _ask(model: Model, endpoint: Endpoint, calls: int, seconds: float) -> Sounding:
    """One call after another, until one fails."""
    request = _request(model, endpoint)
    wire, limiter, found = WIRES[endpoint.wire], Limiter(), Sounding()
    now = asyncio.get_running_loop().time
    timeouts = Timeouts(min(10.0, seconds), seconds, seconds)
    transport: Transport = any_llm_transport.shared() if endpoint.wire == "any-llm" else shared()
    for _ in range(calls):
        if found.asked:
            await asyncio.sleep(BETWEEN)
        found.asked += 1
        cost = limiter.estimate("sounding", len(request.body), MOST_TOKENS)
        sent = limiter.sent(cost, now())
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
        used = Demand(usage.input_tokens, usage.output_tokens)
        limiter.answered(sent, now(), readings, used)
    found.limits = limiter.limits()
    return found


def _request(model: Model, endpoint: Endpoint) -> HttpRequest:
    said = (Message("user", (Text(PROMPT),)),)
    return WIRES[endpoint.wire].build(Call(model.model, said, model.options), endpoint)


def _remembered(endpoint: Endpoint, model: str) -> str:
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


def _report(model: Model, found: Sounding) -> list[str]:
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


def _summary(model: Model, found: Sounding) -> str:
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


def _table(found: Sounding) -> list[str]:
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
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
            ]
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
    return UNITS.get(NAMES.get(name, name), name)
