from __future__ import annotations

from random import Random

import msgspec
import pytest

from flowpool.errors import InvalidInput
from flowpool.simulator import PROFILES, Fixed, Lognormal, PerToken, Profile
from flowpool.simulator.profile import find_profile, parse_faults, parse_latency


def test_every_preset_survives_a_trip_through_json() -> None:
    for profile in PROFILES.values():
        assert msgspec.json.decode(msgspec.json.encode(profile), type=Profile) == profile


def test_latencies_are_read_as_people_write_them() -> None:
    assert parse_latency("0.5") == Fixed(0.5)
    assert parse_latency("lognormal:1.2,0.4") == Lognormal(1.2, 0.4)
    assert parse_latency("tokens:0.3,0.01") == PerToken(0.3, 0.01)
    with pytest.raises(InvalidInput, match="lognormal:MEDIAN,SIGMA"):
        parse_latency("quick")


def test_faults_are_read_as_people_write_them() -> None:
    assert parse_faults("500=0.01, reset=0.02") == {"500": 0.01, "reset": 0.02}
    with pytest.raises(InvalidInput, match="use one of"):
        parse_faults("meteor=0.1")
    with pytest.raises(InvalidInput, match="more than 1"):
        parse_faults("500=0.6,reset=0.6")
    with pytest.raises(InvalidInput, match="NAME=PROBABILITY"):
        parse_faults("500")


@pytest.mark.parametrize(
    "changes", [{"slots": 0}, {"rpm": 0}, {"time_scale": 0}, {"depth": 0}, {"faults": {"x": 0.1}}]
)
def test_a_profile_that_cannot_be_is_refused(changes) -> None:
    with pytest.raises(InvalidInput):
        Profile(**changes)


def test_an_unknown_preset_or_field_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match="openai, anthropic"):
        find_profile("skynet")
    with pytest.raises(InvalidInput, match="latency"):
        PROFILES["free"].replace(speed=1)


def test_time_scale_speeds_up_rates_and_durations_alike() -> None:
    profile = Profile(
        rpm=60, depth=60, latency=Fixed(2), outages=((10, 20),), retry_after=1, time_scale=10
    ).scaled()
    assert (profile.rpm, profile.depth, profile.latency) == (600, 6, Fixed(0.2))
    assert profile.outages == ((1, 2),)
    assert profile.retry_after == 0.1


def test_lognormal_latencies_have_their_median_and_repeat_by_seed() -> None:
    latency = Lognormal(2.0, 0.5)
    random = Random(7)
    samples = sorted(latency.sample(random, 0) for _ in range(2001))
    assert samples[1000] == pytest.approx(2.0, rel=0.1)
    assert latency.sample(Random(7), 0) == latency.sample(Random(7), 0)


def test_latency_per_token_grows_with_the_answer() -> None:
    assert PerToken(0.5, 0.01).sample(Random(0), 100) == pytest.approx(1.5)
