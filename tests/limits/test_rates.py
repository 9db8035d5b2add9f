"""With nothing configured, a pool runs at the provider's limit: not under it, not over it. Virtual time, seeded."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from flowpool import Limits, Model, Pool, Skill
from flowpool.run.environment import Environment
from flowpool.simulator import (
    PROFILES,
    Lognormal,
    Profile,
    SimTransport,
    SimulatedProvider,
    run_virtual,
)

LATENCY = Lognormal(0.3, 0.3)


def played(
    profile: Profile, items: int, seed: int, **settings: Any
) -> tuple[float, SimulatedProvider]:
    """Seconds that an unconfigured pool takes over so many items, and the provider with its books."""
    provider = SimulatedProvider(profile.replace(latency=LATENCY, answer_chars=80), seed)
    environment = Environment(SimTransport(provider), {}, Random(seed))
    skill = Skill(Model("m", base_url="http://sim.test/v1"), prompt="{text}")
    rows = [{"text": f"{n} some words to read"} for n in range(items)]
    pool = Pool(skill, rows, progress=False, environment=environment, **settings)

    async def timed() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        assert not (await pool.arun()).failed
        return loop.time() - start

    return run_virtual(timed()), provider


@pytest.mark.parametrize("meaning", ["capacity", "rate", "hidden"])
@pytest.mark.parametrize(("rpm", "depth"), [(600, 1.0), (600, 60.0), (3000, 1.0), (3000, 10.0)])
def test_limit_headers_are_used_in_full_whatever_they_mean(
    meaning: Any, rpm: int, depth: float
) -> None:
    hidden = meaning == "hidden"
    profile = PROFILES["openai"].replace(
        rpm=rpm,
        tpm=None,
        depth=60.0 if hidden else depth,
        hidden_window=min(depth, 10.0),
        meaning=meaning,
    )
    items = 2 * rpm
    burst = rpm / 60 * (min(depth, 10.0) if hidden else depth)
    for seed in range(2):
        seconds, provider = played(profile, items, seed)
        bound = max(0.0, items - burst) / (rpm / 60) + 0.3
        assert bound / seconds >= (0.95 if hidden else 0.96)
        # A window that nobody tells of is found by running into it.
        assert provider.ledger.throttled <= (0.01 * items + 30 if hidden else 0.005 * items)


@pytest.mark.parametrize("headers", ["none", "gemini"])
@pytest.mark.parametrize(
    ("rpm", "depth", "refused"),
    # What a bucket holds hides a rate that was taken too high: of ten seconds at 600 a minute for a minute.
    [(600, 10.0, 0.08), (3000, 1.0, 0.02), (3000, 60.0, 0.02)],
)
def test_without_headers_the_limit_is_found_by_429s(
    headers: Any, rpm: int, depth: float, refused: float
) -> None:
    profile = PROFILES["free"].replace(rpm=rpm, depth=depth, headers=headers)
    items = int(3 * rpm + rpm / 60 * depth)
    for seed in range(2):
        seconds, provider = played(profile, items, seed)
        bound = (items - rpm / 60 * depth) / (rpm / 60)
        assert bound / (seconds - 15.0) >= 0.95  # it may take so long to find it
        assert provider.ledger.throttled <= refused * items


@pytest.mark.parametrize("seed", [3, 5])
def test_a_bucket_of_a_second_is_taken_neither_for_a_cap_nor_for_chance_for_long(seed: int) -> None:
    """Some 15 of its calls are under way at a time, and a rate that is 8 % too high is refused evenly."""
    items = 9050
    profile = PROFILES["free"].replace(rpm=3000, depth=1.0, headers="none")
    _, provider = played(profile, items, seed)
    assert provider.ledger.throttled <= 0.02 * items


def test_whole_second_headers_with_tokens_apart_are_used_in_full() -> None:
    profile = PROFILES["anthropic"].replace(rpm=1000, input_tpm=6000, output_tpm=400_000)
    seconds, provider = played(profile, 2000, 0)
    used = provider.ledger.input_tokens
    assert used >= 0.95 * (6000 / 60 * seconds)
    assert provider.ledger.throttled <= 0.05 * 2000


def test_a_limit_that_was_told_is_never_exceeded() -> None:
    profile = PROFILES["free"].replace(rpm=600, depth=1.0)
    seconds, provider = played(profile, 300, 0, limits=Limits(rpm=120))
    assert seconds >= 299 / 2
    assert provider.ledger.throttled == 0


def test_one_429_is_an_event_and_slows_nobody_for_long() -> None:
    provider = SimulatedProvider(PROFILES["free"].replace(latency=LATENCY), 0)
    environment = Environment(SimTransport(provider), {}, Random(0))
    skill = Skill(Model("m", base_url="http://sim.test/v1"), prompt="{text}")
    rows = [{"text": f"{n} words"} for n in range(200)]
    rows[40] = {"text": "[[sim: 429 times=1]] 40"}
    pool = Pool(skill, rows, progress=False, environment=environment)

    async def timed() -> float:
        await pool.arun()
        return asyncio.get_running_loop().time()

    assert run_virtual(timed()) < 8.0
    assert provider.ledger.answers == 200
