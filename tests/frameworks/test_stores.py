"""Other frameworks' objects in runs that a store keeps."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from dspy.utils import DummyLM
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from llama_index.core.llms import MockLLM
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from flowpool import Pool
from flowpool.checkpoint.fingerprint import of_plan
from flowpool.errors import InvalidInput
from flowpool.plan import Plan
from flowpool.tools import as_tool


def sequence(words: str) -> Any:
    model = FakeListChatModel(responses=["said"])
    return ChatPromptTemplate.from_template(words + " {text}") | model


def module(words: str) -> Any:
    made = dspy.Predict(dspy.Signature("text -> answer", words))
    made.set_lm(DummyLM([{"answer": "said"}] * 9))
    return made


def agent(words: str) -> Any:
    return Agent(TestModel(custom_output_text="said"), instructions=words)


def llm(words: str) -> Any:
    return MockLLM(max_tokens=len(words))


@pytest.mark.parametrize("make", [sequence, module, agent, llm])
def test_the_same_object_is_known_again_and_a_changed_one_is_not(make: Any) -> None:
    def identity(words: str) -> bytes:
        return of_plan(Plan(as_tool(make(words))))

    assert identity("Be brief.") == identity("Be brief.")
    assert identity("Be brief.") != identity("Be long, please.")


def test_answers_in_a_store_are_not_asked_for_again(tmp_path) -> None:
    items = [{"text": "one"}, {"text": "two"}]
    for is_asked in (True, False):
        model = TestModel(custom_output_text="said")
        again = Agent(model, instructions="Be brief.")
        assert Pool(again, items, store=tmp_path / "run.db").run() == ["said", "said"]
        assert (model.last_model_request_parameters is not None) is is_asked


asked: list[str] = []


def note(prompt: Any) -> Any:
    asked.append(prompt.to_string())
    return prompt


def shout(answer: str) -> str:
    return answer.upper()


def whisper(answer: str) -> str:
    return answer.lower()


def chain(words: str = "Say {text}", end: Any = shout) -> Any:
    model = FakeListChatModel(responses=["said"])
    return ChatPromptTemplate.from_template(words) | note | model | StrOutputParser() | end


def test_a_chain_of_langchain_is_asked_once_and_again_once_it_changed(tmp_path) -> None:
    items = [{"text": "one"}, {"text": "two"}]

    def asks(runner: Any, **settings: Any) -> int:
        asked.clear()
        Pool(runner, items, store=tmp_path / "run.db", **settings).run()
        return len(asked)

    assert [asks(chain()), asks(chain())] == [2, 0]
    assert [asks(chain("Tell {text}")), asks(chain("Tell {text}"))] == [2, 0]
    assert [asks(chain(end=whisper)), asks(chain(end=whisper))] == [2, 0]
    assert asks(chain()) == 0
    assert asks(chain(), version="2") == 2


def test_the_functions_that_an_object_holds_are_part_of_it() -> None:
    def identity(runner: Any) -> bytes:
        return of_plan(Plan(as_tool(runner)))

    def holding(function: Any) -> list[Any]:
        model = FakeListChatModel(responses=["said"])
        agent = Agent(TestModel(), instructions="Be brief.")
        agent.tool_plain(name="it")(function)
        return [
            RunnablePassthrough.assign(more=function) | model,
            RunnableParallel(one=function, two=model),
            RunnableLambda(function).with_retry(),
            StructuredTool.from_function(function, name="it", description="It."),
            agent,
        ]

    for one, same, other in zip(holding(shout), holding(shout), holding(whisper), strict=True):
        assert identity(one) == identity(same) != identity(other)


def test_a_newer_package_is_no_other_model() -> None:
    model = ChatOpenAI(model="gpt-5-mini", api_key="x")
    newer = ChatOpenAI(model="gpt-5-mini", api_key="x")
    newer.metadata = {"lc_versions": {"langchain-core": "99.0"}}
    newer.profile = {"name": "GPT", "inputs": ["text"]}
    assert of_plan(Plan(as_tool(model))) == of_plan(Plan(as_tool(newer)))


def test_a_ceiling_in_dollars_is_refused_since_nobody_could_keep_it() -> None:
    with pytest.raises(InvalidInput, match="max_cost and max_tokens_total can't be kept"):
        Pool(sequence("Be brief."), [{"text": "x"}], max_cost=1.0).run()
