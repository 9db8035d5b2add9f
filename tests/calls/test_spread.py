"""Several models for one skill: each is used up to its own limits, and the others serve when one does not."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from flowpool import Model, Pool, Skill, Spread
from flowpool.errors import AuthFailed, ServerError
from flowpool.pool import Environment
from flowpool.results import Results
from flowpool.simulator import (
    PROFILES,
    Fixed,
    Lognormal,
    Profile,
    SimTransport,
    SimulatedProvider,
    run_virtual,
)
from flowpool.values import HttpRequest, HttpResponse, Timeouts


class Hosts:
    """A transport to several providers, by the request's host."""

    def __init__(self, profiles: dict[str, Profile], seed: int = 0) -> None:
        self.providers = {
            name: SimulatedProvider(profile, seed) for name, profile in profiles.items()
        }
        self._transports = {name: SimTransport(one) for name, one in self.providers.items()}

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        return await self._transports[urlsplit(request.url).hostname or ""].send(request, timeouts)

    async def aclose(self) -> None:
        pass


class Ran:
    """A run over a Spread of one model for each host, in virtual time."""

    def __init__(
        self,
        profiles: dict[str, Profile],
        items: int,
        *,
        seed: int = 0,
        prompt: str = "{text}",
        **settings: Any,
    ) -> None:
        hosts = Hosts(profiles, seed)
        models = [Model(f"m-{host}", base_url=f"http://{host}/v1") for host in profiles]
        skill = Skill(Spread(models), prompt=prompt)
        rows = [{"text": f"{n} some words to read"} for n in range(items)]
        environment = Environment(hosts, {}, Random(seed))
        self.pool = Pool(skill, rows, progress=False, environment=environment, **settings)
        self.seconds = 0.0
        self.books = {host: provider.ledger for host, provider in hosts.providers.items()}
        self.results: Results = run_virtual(self._run())
        assert all(books.in_flight == 0 for books in self.books.values())

    async def _run(self) -> Results:
        results = await self.pool.arun()
        self.seconds = asyncio.get_running_loop().time()
        return results

    @property
    def shares(self) -> dict[str, float]:
        """Which part of the answers came from each host."""
        total = sum(books.answers for books in self.books.values())
        return {host: books.answers / total for host, books in self.books.items()}


def limited(rpm: float, **changes: Any) -> Profile:
    """A provider with limit headers and a bucket one second deep."""
    profile = PROFILES["openai"].replace(rpm=rpm, tpm=None, depth=1.0, answer_chars=40)
    return profile.replace(**{"latency": Lognormal(0.3, 0.3), **changes})


def free(**changes: Any) -> Profile:
    return PROFILES["free"].replace(**{"latency": Fixed(1.0), "answer_chars": 40, **changes})


# Limits.


@pytest.mark.parametrize("rates", [(300, 1500), (300, 300, 600), (600,) * 3])
def test_the_sum_of_unequal_limits_is_used(rates: tuple[int, ...]) -> None:
    total = sum(rates)
    ran = Ran({f"h{n}": limited(rpm) for n, rpm in enumerate(rates)}, 2 * total)
    assert len(ran.results.failed) == 0
    bound = (2 * total - total / 60) / (total / 60) + 0.3
    assert bound / ran.seconds >= 0.97
    # Each begins with sixteen calls, and a bucket of a second.
    begun = 16 * len(rates)
    assert sum(books.throttled for books in ran.books.values()) <= begun + 0.005 * 2 * total
    for rpm, share in zip(rates, ran.shares.values(), strict=True):
        assert share == pytest.approx(rpm / total, rel=0.05)


def test_the_record_says_which_model_answered() -> None:
    ran = Ran({"a": free(), "b": free()}, 200)
    models = Counter(record.model for record in ran.results.records)
    assert models == {f"custom/m-{host}": books.answers for host, books in ran.books.items()}
    assert len(models) == 2


# Failing over.


@pytest.mark.parametrize("outage", ["503", "reset"])
def test_when_one_is_dead_the_others_serve_and_nothing_is_lost(outage: Any) -> None:
    dead = free(outages=((0.0, 1e9),), outage=outage, error_latency=0.05)
    ran = Ran({"dead": dead, "a": limited(600), "b": limited(600)}, 2400)
    assert len(ran.results.failed) == 0
    assert 2400 / 20 / ran.seconds >= 0.95
    assert ran.books["dead"].requests <= 60


def test_one_that_dies_on_the_way_costs_no_item_and_comes_back() -> None:
    ill = limited(600, outages=((30.0, 90.0),), outage="503", error_latency=0.05)
    ran = Ran({"ill": ill, "well": limited(600)}, 3000)
    assert len(ran.results.failed) == 0
    bound = (3000 + 10 * 60) / 20  # without the minute of one of them
    assert bound / ran.seconds >= 0.9


def test_one_that_is_out_for_longer_than_a_lane_is_given_serves_again_afterwards() -> None:
    ill = limited(600, outages=((10.0, 600.0),), outage="503", error_latency=0.05)
    ran = Ran({"ill": ill, "well": limited(120)}, 2_500)
    assert len(ran.results.failed) == 0
    assert ran.books["ill"].answers >= 800  # 100 before, and the most of what was left at 630 s


def test_when_all_are_dead_the_run_ends_in_stated_time() -> None:
    dead = free(outages=((0.0, 1e9),), outage="503", error_latency=0.05)
    ran = Ran({"a": dead, "b": dead}, 500)
    assert len(ran.results.failed) == 500
    assert 300 <= ran.seconds <= 310


def test_a_wrong_key_leaves_the_work_to_the_others() -> None:
    ran = Ran({"locked": free(faults={"401": 1.0}), "open": free()}, 500)
    assert len(ran.results.failed) == 0
    assert ran.books["open"].answers == 500
    assert ran.books["locked"].requests <= 20


def test_a_wrong_key_everywhere_is_told_at_once() -> None:
    locked = free(faults={"401": 1.0})
    ran = Ran({"a": locked, "b": locked}, 500)
    assert {type(error) for error in ran.results.errors} == {AuthFailed}
    assert sum(books.requests for books in ran.books.values()) <= 40


def test_an_error_of_the_call_itself_goes_to_no_other() -> None:
    ran = Ran({"a": free(), "b": free()}, 10, prompt="[[sim: 400]] {text}")
    assert len(ran.results.failed) == 10
    assert sum(books.requests for books in ran.books.values()) == 10


def test_a_call_that_fails_at_one_is_tried_at_another_at_once() -> None:
    flaky = free(faults={"500": 0.5}, error_latency=0.05)
    ran = Ran({"flaky": flaky, "well": free()}, 400, max_flows=20, retries=1)
    assert len(ran.results.failed) == 0
    assert ran.seconds <= 400 / 20 * 1.3


def test_where_every_model_fails_a_call_its_retries_are_bounded() -> None:
    ill = free(faults={"500": 1.0}, error_latency=0.05)
    ran = Ran({"a": ill, "b": ill}, 1, retries=2)
    assert isinstance(ran.results.errors[0], ServerError)
    assert 3 <= ran.results.records[0].attempts <= 6


# Which one.


def test_few_items_go_to_the_quick_one() -> None:
    ran = Ran(
        {"slow": free(latency=Fixed(10.0)), "quick": free(latency=Fixed(0.5))}, 400, max_flows=4
    )
    assert ran.shares["quick"] >= 0.95
    assert ran.seconds <= 1.25 * 400 * 0.5 / 4


def test_a_slow_one_is_used_too_where_the_quick_one_is_full() -> None:
    quick = free(latency=Fixed(0.5), slots=16)
    slow = free(latency=Fixed(5.0), slots=64)
    ran = Ran({"slow": slow, "quick": quick}, 4000)
    assert 4000 / (32 + 12.8) / ran.seconds >= 0.85


def test_alike_ones_share_alike() -> None:
    ran = Ran({"a": free(), "b": free(), "c": free()}, 900, max_flows=30)
    assert all(share == pytest.approx(1 / 3, abs=0.05) for share in ran.shares.values())


# Whatever happens.


@pytest.mark.parametrize("chunk", range(4))
def test_whatever_the_models_do_every_item_ends_once_and_well_if_one_is_well(chunk: int) -> None:
    for seed in range(chunk * 20, chunk * 20 + 20):
        random = Random(seed)
        profiles = {"well": free(latency=Lognormal(0.5, 0.5))}
        for n in range(random.randint(1, 3)):
            kind = random.choice(("dead", "locked", "flaky", "limited", "slow", "quota", "returns"))
            profiles[f"{kind}{n}"] = {
                "dead": free(outages=((0.0, 1e9),), outage=random.choice(("503", "reset", "529"))),
                "locked": free(faults={"401": 1.0}),
                "quota": free(faults={"quota": 1.0}),
                "flaky": free(faults={"500": 0.3, "429": 0.1, "cut": 0.1}, error_latency=0.1),
                "limited": limited(
                    random.choice((60, 600)), headers=random.choice(("none", "openai"))
                ),
                "slow": free(latency=Lognormal(20.0, 0.5)),
                "returns": free(outages=((random.uniform(0, 5), random.uniform(5, 60)),)),
            }[kind]
        order = list(profiles.items())
        random.shuffle(order)
        items = random.choice((1, 7, 300))
        ran = Ran(dict(order), items, seed=seed, max_flows=random.choice(("auto", 3, 40)))
        where = f"seed {seed}, {list(profiles)}"
        assert len(ran.results.failed) == 0, where
        assert [record.index for record in ran.results.records] == list(range(items)), where
        assert sum(books.answers for books in ran.books.values()) == items, where
