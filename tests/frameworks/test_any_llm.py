"""Every other provider through the any-llm package: the real one, against a provider on loopback."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowpool import Limits, Model, Pool, Skill
from flowpool.errors import (
    AttemptTimeout,
    AuthFailed,
    BadRequest,
    ConnectFailed,
    InvalidInput,
    RateLimited,
)

KEY = "key-canary-7f3a"


def skill(sim: Any, name: str = "any-llm:openai/gpt-5-mini", **settings: Any) -> Skill:
    model = Model(name, base_url=f"{sim.url}/v1", api_key=KEY, **settings)
    return Skill(model, prompt="{text}")


def run(pool: Pool) -> Any:
    """On a loop of its own, which closes the clients with it."""
    return asyncio.run(pool.arun())


def saying(count: int) -> list[dict[str, str]]:
    return [{"text": f"[[sim: say=answer {n}]]"} for n in range(count)]


@pytest.mark.parametrize("provider", ["openai", "deepseek", "openrouter"])
def test_a_provider_of_any_llm_answers_like_any_other(sim, provider) -> None:
    name = f"any-llm:{provider}/gpt-5-mini"
    results = run(Pool(skill(sim, name), saying(20)))
    assert results == [f"answer {n}" for n in range(20)]
    ledger = sim.ledger()
    assert ledger["requests"] == 20
    assert results.usage.input_tokens == ledger["input_tokens"] > 0
    assert results.usage.output_tokens == ledger["output_tokens"] > 0
    assert {record.model for record in results.records} == {f"any-llm/{provider}/gpt-5-mini"}


def test_a_provider_with_a_dialect_of_its_own_does_too(sim) -> None:
    model = Model("any-llm:anthropic/claude-haiku-4-5", base_url=sim.url, api_key=KEY)
    results = run(Pool(Skill(model, prompt="{text}"), saying(3)))
    assert results == ["answer 0", "answer 1", "answer 2"]
    assert results.usage.output_tokens > 0
    assert results.cost


def test_options_and_formats_reach_the_provider(sim) -> None:
    model = Model("any-llm:openai/gpt-5-mini", base_url=f"{sim.url}/v1", api_key=KEY)
    asked = Skill(
        model,
        prompt="{text}",
        output={"format": {"type": "json"}},
        options={"max_tokens": 50, "temperature": 0.1},
    )
    items = [{"text": '[[sim: say={"city": "Rome"}]]'}]
    assert run(Pool(asked, items)) == [{"city": "Rome"}]


def test_failures_are_judged_by_the_one_table_and_retried(sim) -> None:
    items = saying(5)
    items[0] = {"text": "[[sim: 400]]"}
    items[2] = {"text": "[[sim: 503 times=1]] [[sim: say=again]]"}
    items[4] = {"text": "[[sim: 429 retry-after=0.05 times=1]] [[sim: say=late]]"}
    results = run(Pool(skill(sim), items))
    assert results == [None, "answer 1", "again", "answer 3", "late"]
    (error,) = results.errors
    assert isinstance(error, BadRequest)
    assert [record.attempts for record in results.records] == [1, 1, 2, 1, 2]
    assert sim.ledger()["requests"] == 7  # its client's own retries are off


def test_retry_after_comes_through(sim) -> None:
    (error,) = run(Pool(skill(sim), [{"text": "[[sim: 429 retry-after=40]]"}], retries=0)).errors
    assert isinstance(error, RateLimited)
    assert error.retry_after == 40.0


def test_timeouts_and_lost_connections_are_told_apart(sim) -> None:
    items = [{"text": "[[sim: latency=5]] A. B."}]
    (error,) = run(Pool(skill(sim), items, timeout=0.3, retries=0)).errors
    assert isinstance(error, AttemptTimeout)
    nobody = Model("any-llm:openai/m", base_url="http://127.0.0.1:9/v1", api_key=KEY)
    (error,) = run(Pool(Skill(nobody, prompt="{text}"), items, retries=0)).errors
    assert isinstance(error, ConnectFailed)


def test_told_limits_hold(sim) -> None:
    limited = skill(sim, limits=Limits(rpm=600, concurrent=1))
    results = run(Pool(limited, saying(6)))
    assert (
        results.records[-1].started + results.records[-1].duration - results.records[0].started
        > 0.45
    )


def test_a_key_stands_in_no_failure(sim, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = Model("any-llm:openai/m", base_url=f"{sim.url}/v1")  # any-llm finds the key itself
    items = [{"text": f"[[sim: 401]] {KEY}"}]
    (error,) = run(Pool(Skill(model, prompt="{text}"), items)).errors
    assert isinstance(error, AuthFailed)
    seen: BaseException | None = error
    while seen is not None:
        assert KEY not in f"{seen} {seen!r} {vars(seen)}"
        seen = seen.__cause__ or seen.__context__


def test_what_can_not_work_is_refused_before_the_first_call(sim, monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for model, why in (
        (Model("any-llm:nosuch/m"), "any-llm has no provider 'nosuch'"),
        (Model("any-llm:openai/m"), "any-llm:openai needs a key: .*OPENAI_API_KEY"),
        (
            Model("any-llm:openai/m", client_options={"default_headers": {"x-a": "b"}}),
            "default_headers",
        ),
        (Model("any-llm:mistral/m", api_key=KEY), "pip install 'any-llm-sdk\\[mistral\\]'"),
    ):
        with pytest.raises(InvalidInput, match=why):
            run(Pool(Skill(model, prompt="{text}"), saying(1)))
