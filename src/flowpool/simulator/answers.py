"""What a provider sends back: an answer or an error of its wire, with status and limit headers.

Pure functions of a finished plan. `epoch` is the wall time, in seconds, at which the plan's clock shows 0.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from flowpool.errors import InvalidInput
from flowpool.sim_model import model
from flowpool.simulator.error_bodies import error_body
from flowpool.simulator.limits import LimitState
from flowpool.simulator.plan import Failure, ReplyPlan, Wire
from flowpool.simulator.profile import Flavour
from flowpool.simulator.wires import WIRES, family_of
from flowpool.simulator.wires.reading import NotDone
from flowpool.values import Headers

_encode = msgspec.json.encode


class Rendered(Struct, frozen=True):
    """An HTTP answer, without the length and connection headers that the carrier adds."""

    status: int
    headers: Headers
    body: bytes


def render(plan: ReplyPlan, flavour: Flavour, now: float, epoch: float) -> Rendered:
    """The HTTP answer that `plan` calls for, sent `now`."""
    request, outcome = plan.request, plan.outcome
    headers = [("date", _date(int(epoch + now)))]
    headers += limit_headers(flavour, plan.limits, epoch + plan.received)
    id_header = "request-id" if request.wire == "messages" else "x-request-id"
    headers.append((id_header, f"req_{plan.ticket}"))
    if isinstance(outcome, Failure):
        headers += _retry_headers(outcome, flavour)
        if outcome.page:
            headers.append(("content-type", "text/html"))
            return Rendered(outcome.status, tuple(headers), outcome.page.encode())
        status, error = error_body(request.wire, outcome, f"req_{plan.ticket}")
        return _json(status, headers, error)
    if plan.shape == "not-json":
        headers.append(("content-type", "text/html"))
        return Rendered(200, tuple(headers), b"<html><body>Bad gateway</body></html>")
    if plan.shape == "error-in-200":
        failure = Failure(502, "The upstream provider returned an error.")
        return _json(200, headers, error_body(request.wire, failure, f"req_{plan.ticket}")[1])
    wire = WIRES[request.wire]
    body = wire.body(plan, outcome, int(epoch + now))
    if request.stream and wire.events is not None:
        headers.append(("content-type", "text/event-stream"))
        return Rendered(200, tuple(headers), wire.events(request, body))
    return _json(200, headers, body)


def render_unread(wire: Wire, error: InvalidInput) -> Rendered:
    """The answer to a request that never became a plan: it can't be read, or asks for what isn't done."""
    what = error.what if isinstance(error, NotDone) else ()
    return _failed(wire, Failure(400, str(error), not_done=what))


def _failed(wire: Wire, failure: Failure) -> Rendered:
    status, body = error_body(wire, failure, "req_0")
    return _json(status, [], body)


def render_elsewhere(method: str, path: str) -> Rendered:
    """The answer at a path that no call goes to: the models, or that there is nothing."""
    path = path.partition("?")[0]
    _, found, name = path.rpartition("/models")
    if method == "GET" and found and (not name or name.startswith("/")):
        entry = _model_entry(path, name.strip("/") or model.NAME)
        listed = entry if name.strip("/") else _listed(path, entry)
        return _json(200, [], listed)
    missing = Failure(404, f"There is nothing to {method} at {path}", kind="path")
    return _failed(family_of(path), missing)


def _listed(path: str, entry: dict[str, Any]) -> dict[str, Any]:
    if family_of(path) == "gemini":
        return {"models": [entry]}
    return {"object": "list", "data": [entry], "has_more": False}


def _model_entry(path: str, name: str) -> dict[str, Any]:
    """A model of the list, which holds the simulator's one; a call may take any name."""
    if family_of(path) == "gemini":
        return {"name": f"models/{name}", "displayName": name}
    # One entry with the fields of OpenAI's list and of Anthropic's.
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "flowpool",
        "type": "model",
        "display_name": name,
        "created_at": "2026-01-01T00:00:00Z",
    }


def _json(status: int, headers: list[tuple[str, str]], body: dict[str, Any]) -> Rendered:
    headers.append(("content-type", "application/json"))
    return Rendered(status, tuple(headers), _encode(body))


@lru_cache(maxsize=8)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


# Limit headers.


def limit_headers(
    flavour: Flavour, limits: tuple[LimitState, ...], wall: float
) -> list[tuple[str, str]]:
    """What a flavour's headers say of the limits, `wall` being the time of day in seconds."""
    headers = []
    if flavour == "openai":
        for dimension, limit, remaining, reset in limits:
            headers.append((f"x-ratelimit-limit-{dimension}", str(limit)))
            headers.append((f"x-ratelimit-remaining-{dimension}", str(remaining)))
            headers.append((f"x-ratelimit-reset-{dimension}", go_duration(reset)))
    elif flavour == "mistral":
        for dimension, limit, remaining, _ in limits:
            name = "req" if dimension == "requests" else dimension
            headers.append((f"x-ratelimit-limit-{name}-minute", str(limit)))
            headers.append((f"x-ratelimit-remaining-{name}-minute", str(remaining)))
    elif flavour == "anthropic":
        for dimension, limit, remaining, reset in limits:
            name = f"anthropic-ratelimit-{dimension}"
            if dimension != "requests":
                remaining = round(remaining, -3)
            headers.append((f"{name}-limit", str(limit)))
            headers.append((f"{name}-remaining", str(remaining)))
            headers.append((f"{name}-reset", _rfc3339(math.ceil(wall + reset))))
    return headers


def go_duration(seconds: float) -> str:
    """Seconds as Go prints a duration, to the millisecond: `12ms`, `1.5s`, `6m0s`."""
    millis = round(seconds * 1000)
    if millis < 1000:
        return f"{millis}ms" if millis else "0s"
    minutes, rest = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


@lru_cache(maxsize=1024)
def _rfc3339(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _retry_headers(failure: Failure, flavour: Flavour) -> list[tuple[str, str]]:
    wait = failure.retry_after
    if wait is None or flavour == "gemini":
        return []
    headers = [("retry-after", f"{math.ceil(wait * 1000) / 1000:g}")]
    if flavour == "openai":
        headers.append(("retry-after-ms", str(math.ceil(wait * 1000))))
    return headers
