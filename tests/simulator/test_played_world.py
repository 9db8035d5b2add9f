"""A world behind the simulated provider: who is admitted, and what refusals look like on each wire."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from flowpool.errors import AttemptTimeout
from flowpool.simulator import Profile, SimTransport, SimulatedProvider, run_virtual
from flowpool.values import HttpRequest, HttpResponse, Timeouts

KEY = (("authorization", "Bearer key-canary"),)
PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "gemini": "/v1beta/models/m:generateContent",
}


def request(text: str = "Hello", wire: str = "chat") -> HttpRequest:
    body: dict[str, Any] = {"contents": [{"parts": [{"text": text}]}]}
    if wire != "gemini":
        messages = [{"role": "user", "content": text}]
        body = {"model": "m", "max_tokens": 50, "messages": messages}
    return HttpRequest("POST", "http://sim" + PATHS[wire], KEY, json.dumps(body).encode())


def answers(
    world: str, count: int, wire: str = "chat", **profile: Any
) -> tuple[list[HttpResponse], float, SimulatedProvider]:
    """The answers to so many requests at once, when the last one came, and the provider."""
    provider = SimulatedProvider(Profile(world=world, answer_chars=40, **profile))

    async def main() -> tuple[list[HttpResponse], float]:
        transport = SimTransport(provider)
        sent = (transport.send(request(wire=wire), Timeouts(total=60)) for _ in range(count))
        return await asyncio.gather(*sent), asyncio.get_running_loop().time()

    replies, seconds = run_virtual(main())
    return replies, seconds, provider


def refusal(replies: list[HttpResponse]) -> HttpResponse:
    return next(reply for reply in replies if reply.status != 200)


def test_a_world_admits_and_refuses_in_place_of_the_limits() -> None:
    replies, seconds, provider = answers("cap most=4 latency=0.5 sigma=0", 10)
    assert [reply.status for reply in replies] == [200] * 4 + [429] * 6
    assert seconds == pytest.approx(0.5)
    assert provider.ledger.throttled == 6
    assert provider.played is not None
    assert provider.played.world.in_flight == 0


@pytest.mark.parametrize("wire", PATHS)
def test_an_apis_refusal_has_its_providers_own_shape(wire: str) -> None:
    world = "clock by=requests window=10 most=4 retry=right names=yes latency=0.5 sigma=0"
    reply = refusal(answers(world, 6, wire)[0])
    error = json.loads(reply.body)["error"]
    assert reply.status == 429
    if wire == "chat":
        assert (error["code"], error["type"]) == ("rate_limit_exceeded", "requests")
    elif wire == "messages":
        assert error["type"] == "rate_limit_error"
    else:
        assert error["status"] == "RESOURCE_EXHAUSTED"
        assert "PerMinute" in error["details"][0]["violations"][0]["quotaId"]
    if wire != "gemini":
        assert 1 <= float(reply.headers["retry-after"]) <= 10


def test_a_refusal_that_names_no_limit_gives_none_away() -> None:
    for wire in ("chat", "gemini"):
        reply = refusal(answers("cap most=1 latency=0.5 sigma=0", 2, wire)[0])
        assert b"requests" not in reply.body.lower().replace(b"too many requests", b"")
        assert b"QuotaFailure" not in reply.body


def test_nginx_and_haproxy_answer_with_their_own_pages() -> None:
    for world, words in (
        ("nginx rate=20 burst=2 nodelay=yes", b"<center>nginx"),
        ("haproxy slots=1 patience=0.5 latency=0.4 sigma=0", b"No server is available"),
    ):
        reply = refusal(answers(world, 6)[0])
        assert reply.status == 503
        assert words in reply.body
        assert reply.headers["content-type"] == "text/html"


def test_nginx_may_say_429_in_its_page() -> None:
    reply = refusal(answers("nginx rate=20 burst=2 refusal=429", 6)[0])
    assert reply.status == 429
    assert b"429 Too Many Requests" in reply.body


def test_chance_may_be_an_overloaded_fleets() -> None:
    reply = refusal(answers("chance share=0.5 status=529", 20, "messages")[0])
    assert reply.status == 529
    assert json.loads(reply.body)["error"]["type"] == "overloaded_error"


def test_headers_are_the_worlds_in_their_style() -> None:
    world = "bucket by=requests rate=10 depth=10 shown=capacity latency=0.5 sigma=0 headers=right"
    openai = answers(f"{world} style=openai", 1)[0][0].headers
    assert openai["x-ratelimit-limit-requests"] == "100"
    anthropic = answers(f"{world} style=anthropic", 1)[0][0].headers
    assert anthropic["anthropic-ratelimit-requests-remaining"] == "99"
    absent = answers(world.replace("right", "absent"), 1, headers="openai")[0][0].headers
    assert not any("ratelimit" in name for name in absent)


def test_planted_faults_come_before_the_world() -> None:
    provider = SimulatedProvider(Profile(world="calm latency=0.5 sigma=0"))

    async def main() -> list[int]:
        transport = SimTransport(provider)
        text = "Hello [[sim: 500 times=1]]"
        return [(await transport.send(request(text), Timeouts(total=60))).status for _ in range(2)]

    assert run_virtual(main()) == [500, 200]


def test_a_client_that_goes_away_gives_its_place_back() -> None:
    provider = SimulatedProvider(Profile(world="cap most=1 latency=5 sigma=0"))

    async def main() -> int:
        transport = SimTransport(provider)
        with pytest.raises(AttemptTimeout):
            await transport.send(request(), Timeouts(total=1))
        return (await transport.send(request(), Timeouts(total=60))).status

    assert run_virtual(main()) == 200


def test_a_world_runs_faster_with_the_time_scale() -> None:
    slow, quick = (
        answers("slots slots=2 latency=0.5 sigma=0", 8, time_scale=scale)[1] for scale in (1, 10)
    )
    assert slow == pytest.approx(2.0)
    assert quick == pytest.approx(0.2)


def test_the_seed_draws_what_a_world_leaves_open() -> None:
    words = set()
    for seed in range(4):
        played = SimulatedProvider(Profile(world="any", world_seed=seed)).played
        assert played is not None
        words.add(played.scene.words)
    assert len(words) == 4


def test_a_reset_begins_the_world_anew() -> None:
    provider = answers("cap most=4", 10)[2]
    provider.reset()
    assert provider.played is not None
    assert provider.played.world.refused == 0
