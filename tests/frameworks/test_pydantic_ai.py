"""pydantic-ai's agents in a pool, against the real package."""

from __future__ import annotations

from typing import Literal

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.providers.openai import OpenAIProvider
from tests.frameworks.conftest import on_the_loop, saying

from flowpool import Chain, Pool
from flowpool.errors import BadRequest, InvalidInput


class Report(BaseModel):
    about: Literal["bridge", "dam"]
    metres: int


@pytest.fixture
def provider(address):
    client = AsyncOpenAI(base_url=address, api_key="key-canary", max_retries=0)
    yield OpenAIProvider(openai_client=client)
    on_the_loop(client.close())


@pytest.fixture
def agent(provider):
    return Agent(OpenAIChatModel("gpt-5-mini", provider=provider), name="writer")


def test_an_agent_gets_its_prompt_and_gives_the_output_of_its_run(agent, sim) -> None:
    results = Pool(agent, saying(20)).run()
    assert results == [f"answer {n}" for n in range(20)]
    ledger = sim.ledger()
    assert results.usage.input_tokens == ledger["input_tokens"] > 0
    assert results.usage.output_tokens == ledger["output_tokens"] > 0
    assert {record.model for record in results.records} == {"openai/gpt-5-mini"}


def test_a_429_is_waited_for_and_a_bad_request_fails_its_item_alone(agent) -> None:
    items = saying(4, "prompt")
    items[0] = {"prompt": "[[sim: 400]]"}
    items[2] = {"prompt": "[[sim: 429 retry-after=0.05 times=1]] [[sim: say=late]]"}
    results = Pool(agent, items).run()
    assert results == [None, "answer 1", "late", "answer 3"]
    assert isinstance(results.errors[0], BadRequest)
    assert [record.attempts for record in results.records] == [1, 1, 2, 1]


def test_an_agents_own_type_stays_an_object_that_later_steps_reach_into() -> None:
    class City(BaseModel):
        name: str
        people: int

    agent = Agent(TestModel(custom_output_args={"name": "Ada", "people": 3}), output_type=City)
    assert Pool(agent, [{"prompt": "x"}]).run() == [City(name="Ada", people=3)]
    chain = Chain([(agent, "city"), (lambda people: people + 1, "more", {"people": "city.people"})])
    assert Pool(chain, [{"prompt": "x"}]).run() == [4]


@pytest.mark.parametrize("model", [OpenAIChatModel, OpenAIResponsesModel])
@pytest.mark.parametrize("output", [Report, NativeOutput(Report), PromptedOutput(Report)])
def test_typed_output_comes_from_the_simulator_however_it_is_asked_for(
    provider, model, output
) -> None:
    agent = Agent(model("gpt-5-mini", provider=provider), output_type=output)
    results = Pool(agent, [{"prompt": "Read this:\n\nThe dam leaks by 7 metres."}]).run()
    assert results == [Report(about="dam", metres=7)]


def test_an_agents_tool_is_called_before_its_output_is_given(provider) -> None:
    agent = Agent(OpenAIChatModel("gpt-5-mini", provider=provider), output_type=Report)
    asked = []

    @agent.tool_plain
    def look(place: str) -> str:
        asked.append(place)
        return "The dam leaks by 7 metres."

    assert Pool(agent, [{"prompt": "The river"}]).run() == [Report(about="dam", metres=7)]
    assert asked == ["The river"]


def test_an_answer_that_does_not_fit_is_asked_for_again(provider, sim) -> None:
    agent = Agent(OpenAIChatModel("gpt-5-mini", provider=provider), output_type=Report)
    prompt = "[[sim: bad=less asks=1]] Read this:\n\nThe dam leaks by 7 metres."
    (report,) = Pool(agent, [{"prompt": prompt}]).run().raise_if_incomplete()
    assert report.about == "dam"
    assert sim.ledger()["answers"] == 2


def test_an_item_without_a_prompt_is_refused_before_any_call(agent, sim) -> None:
    with pytest.raises(InvalidInput, match=r"no 'prompt', which 'writer' needs"):
        Pool(agent, [{"a": "x", "b": "y"}]).run()
    assert sim.ledger()["requests"] == 0
