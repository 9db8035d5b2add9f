"""Other frameworks' objects in runs that a store keeps."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from dspy.utils import DummyLM
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
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


def test_a_ceiling_in_dollars_is_refused_since_nobody_could_keep_it() -> None:
    with pytest.raises(InvalidInput, match="max_cost and max_tokens_total can't be kept"):
        Pool(sequence("Be brief."), [{"text": "x"}], max_cost=1.0).run()
