"""LangChain's runnables in a pool, against the real package."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel
from tests.frameworks.conftest import on_the_loop, saying

from flowpool import Chain, Limits, Pool
from flowpool.errors import AuthFailed, BadRequest, InvalidInput, RateLimited, StepFailed
from flowpool.pool import DONE
from flowpool.tools import as_tool


class Report(BaseModel):
    about: Literal["bridge", "dam"]
    metres: int


PROMPT = ChatPromptTemplate.from_template("{text}")


@pytest.fixture(scope="module")
def shared_model(server):
    address = server.url + "/v1"
    model = ChatOpenAI(model="gpt-5-mini", base_url=address, api_key="key-canary", max_retries=0)
    yield model
    on_the_loop(model.root_async_client.close())


@pytest.fixture
def model(shared_model, sim):
    return shared_model


def test_a_model_gets_the_one_value_of_an_item_and_gives_text_in_order(model) -> None:
    results = Pool(model, saying(30)).run()
    assert results == [f"answer {n}" for n in range(30)]


def test_a_sequence_gets_the_variables_of_its_prompt(model) -> None:
    asking = ChatPromptTemplate.from_template("{greeting} [[sim: say={word}]]") | model
    pool = Pool(asking, [{"word": "one"}, {"word": "two"}])
    assert pool.run({"greeting": "Hello"}) == ["one", "two"]
    with pytest.raises(InvalidInput, match=r"items\[0\] has no 'greeting'"):
        pool.run()


def test_tokens_and_model_are_counted_even_behind_a_parser(model, sim) -> None:
    for runnable in (model, PROMPT | model | StrOutputParser()):
        sim.reset()
        results = Pool(runnable, saying(3)).run()
        ledger = sim.ledger()
        assert results.usage.input_tokens == ledger["input_tokens"] > 0
        assert results.usage.output_tokens == ledger["output_tokens"] > 0
        assert {record.model for record in results.records} == {"openai/gpt-5-mini"}
        assert results.cost


def test_a_429_is_waited_for_and_a_bad_request_fails_its_item_alone(model, sim) -> None:
    items = saying(6)
    items[1] = {"text": "[[sim: 429 retry-after=0.05 times=1]] [[sim: say=late]]"}
    items[3] = {"text": "[[sim: 400]]"}
    items[4] = {"text": "[[sim: 503 times=1]] [[sim: say=again]]"}
    pool = Pool(model, items)
    results = pool.run()
    assert results == ["answer 0", "late", "answer 2", None, "again", "answer 5"]
    assert [record.attempts for record in results.records] == [1, 2, 1, 1, 2, 1]
    (error,) = results.errors
    assert isinstance(error, BadRequest)
    assert error.__cause__ is not None
    assert pool.status[DONE] == 5


def test_retry_after_is_kept_and_retries_end(model) -> None:
    items = [{"text": "[[sim: 429 retry-after=40]]"}]
    results = Pool(model, items, retries=0).run()
    (error,) = results.errors
    assert isinstance(error, RateLimited)
    assert error.retry_after == 40.0


def test_a_wrong_key_ends_the_lane_not_every_call(model, sim) -> None:
    results = Pool(model, [{"text": "[[sim: 401]]"}] * 40, max_flows=2).run()
    assert {type(error) for error in results.errors} == {AuthFailed}
    assert sim.ledger()["requests"] < 10


class Counted:
    """A function of a second, and how many of it ran at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def run(self, variables: dict[str, str]) -> str:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(1.0)
        self.now -= 1
        return variables["text"]


@pytest.mark.parametrize(
    ("settings", "seconds", "width"),
    [
        ({"max_flows": 4}, 5.0, 4),
        ({"limits": Limits(concurrent=2)}, 10.0, 2),
        ({"limits": Limits(rpm=30), "max_flows": 20}, 39.0, 1),
    ],
)
def test_told_rates_and_widths_hold(simulate, settings, seconds, width) -> None:
    counted, simulation = Counted(), simulate()
    pool = simulation.pool(RunnableLambda(counted.run), 20, **settings)
    assert simulation.run(pool) == [f"item {n}" for n in range(20)]
    assert counted.most == width
    assert simulation.seconds == pytest.approx(seconds, abs=0.5)


def test_a_function_that_is_all_a_pool_runs_keeps_told_rates_too(simulate) -> None:
    async def ask(text: str) -> str:
        return text

    simulation = simulate()
    simulation.run(simulation.pool(ask, 10, limits=Limits(rpm=60)))
    assert simulation.seconds == pytest.approx(9.0, abs=0.1)


def test_a_runnable_is_a_step_whose_input_a_map_names(model) -> None:
    chain = Chain(
        [
            (lambda n: f"[[sim: say=number {n}]]", "question"),
            (model, "answer", {"input": "question"}),
            (lambda answer: answer.upper(), "shout"),
        ]
    )
    assert Pool(chain, [{"n": 1}, {"n": 2}]).run() == ["NUMBER 1", "NUMBER 2"]


def test_a_model_takes_messages_and_a_tool_its_arguments(model) -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Adds."""
        return a + b

    messages = [HumanMessage("[[sim: say=hello]]")]
    assert Pool(model, [{"input": messages, "id": 7}]).run() == ["hello"]
    assert Pool(add, [{"a": 1, "b": 2}]).run() == [3]
    assert as_tool(add).missing(["a"]) == ["b"]


def test_what_nobody_recognises_fails_as_the_functions_own() -> None:
    def broken(variables: dict[str, str]) -> str:
        raise ValueError("no such thing")

    (error,) = Pool(RunnableLambda(broken), saying(1)).run().errors
    assert isinstance(error, StepFailed)
    assert isinstance(error.__cause__, ValueError)


def test_nothing_tells_which_of_two_variables_a_model_gets(model) -> None:
    with pytest.raises(InvalidInput, match="'input'"):
        Pool(model, [{"a": "x", "b": "y"}]).run()


@pytest.mark.parametrize("how", [{}, {"method": "function_calling"}, {"method": "json_mode"}])
def test_typed_output_comes_from_the_simulator_however_it_is_asked_for(model, how) -> None:
    schema = f"Answer with JSON of this JSON schema: {json.dumps(Report.model_json_schema())}"
    typed = model.with_structured_output(Report, **how)
    results = Pool(typed, [{"text": f"{schema}\n\nThe dam leaks by 7 metres."}]).run()
    assert results == [Report(about="dam", metres=7)]


def test_a_model_calls_the_tool_that_is_bound_to_it(model) -> None:
    @tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return city

    (answer,) = Pool(model.bind_tools([get_weather]), [{"text": "The weather in Oslo?"}]).run()
    assert "get_weather" in str(answer)


def test_vectors_come_from_the_simulator(address) -> None:
    embeddings = OpenAIEmbeddings(
        model="m", base_url=address, api_key="key-canary", check_embedding_ctx_length=False
    )
    one, other = embeddings.embed_documents(["The dam leaks.", "Lunch was late."])
    assert len(one) == len(other) == 1536
    assert one != other
