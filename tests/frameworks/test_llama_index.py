"""LlamaIndex's query engines, LLMs and workflows in a pool, against the real package."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, LLMMetadata
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import CustomLLM, MockLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import CustomQueryEngine, RetrieverQueryEngine
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from openai import AsyncOpenAI, OpenAI
from tests.frameworks.conftest import saying

from flowpool import Chain, Pool
from flowpool.errors import BadRequest, InvalidInput


class Remote(CustomLLM):
    """An LLM of LlamaIndex that asks the provider through OpenAI's client."""

    address: str

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="gpt-5-mini", context_window=100_000)

    def _asked(self, prompt: str) -> dict[str, Any]:
        return {"model": "gpt-5-mini", "messages": [{"role": "user", "content": prompt}]}

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        with OpenAI(base_url=self.address, api_key="key-canary", max_retries=0) as client:
            answer = client.chat.completions.create(**self._asked(prompt))
        return CompletionResponse(text=answer.choices[0].message.content or "", raw=answer)

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        async with AsyncOpenAI(
            base_url=self.address, api_key="key-canary", max_retries=0
        ) as client:
            answer = await client.chat.completions.create(**self._asked(prompt))
        return CompletionResponse(text=answer.choices[0].message.content or "", raw=answer)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


class Shelf(BaseRetriever):
    def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text=f"about {len(query_bundle.query_str)}"))]


@pytest.fixture
def llm(address):
    return Remote(address=address)


def test_an_llm_completes_the_one_value_of_an_item(llm, sim) -> None:
    results = Pool(llm, saying(10)).run()
    assert results == [f"answer {n}" for n in range(10)]
    assert results.usage.input_tokens == sim.ledger()["input_tokens"] > 0
    assert {record.model for record in results.records} == {"openai/gpt-5-mini"}


def test_a_query_engine_gets_its_query_and_counts_the_calls_behind_it(llm, sim) -> None:
    engine = RetrieverQueryEngine(Shelf(), get_response_synthesizer(llm=llm))
    results = Pool(engine, saying(5, "query")).run()
    assert results == [f"answer {n}" for n in range(5)]
    assert results.usage.output_tokens == sim.ledger()["output_tokens"] > 0


def test_a_429_is_waited_for_and_a_bad_request_fails_its_item_alone(llm) -> None:
    items = saying(4)
    items[0] = {"text": "[[sim: 400]]"}
    items[2] = {"text": "[[sim: 429 retry-after=0.05 times=1]] [[sim: say=late]]"}
    results = Pool(llm, items).run()
    assert results == [None, "answer 1", "late", "answer 3"]
    assert isinstance(results.errors[0], BadRequest)
    assert [record.attempts for record in results.records] == [1, 1, 2, 1]


def test_an_engine_of_ones_own_a_retriever_and_messages() -> None:
    class Echo(CustomQueryEngine):
        def custom_query(self, query_str: str) -> str:
            return query_str.upper()

    assert Pool(Echo(), [{"q": "a"}, {"q": "b"}]).run() == ["A", "B"]
    (found,) = Pool(Shelf(), [{"q": "four"}]).run().raise_if_incomplete()
    assert [hit.text for hit in found] == ["about 4"]
    assert Pool(MockLLM(), [{"prompt": [ChatMessage("hi")]}]).run() == ["user: hi\nassistant: "]


def test_a_workflow_gets_all_variables(llm) -> None:
    class Shout(Workflow):
        @step
        async def shout(self, ev: StartEvent) -> StopEvent:
            said = await llm.acomplete(f"[[sim: say={ev.word}]]")
            return StopEvent(result=said.text.upper() + ev.mark)

    chain = Chain([(Shout(), "shout"), (len, "size", {"obj": "shout"})])
    items = [{"word": "one", "mark": "!"}, {"word": "three", "mark": "?"}]
    assert Pool(Shout(), items).run() == ["ONE!", "THREE?"]
    assert Pool(chain, items).run() == [4, 6]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # workflows looks at every attribute
def test_an_agent_gets_the_users_message_and_gives_its_answer() -> None:
    agent = FunctionAgent(llm=MockFunctionCallingLLM(), tools=[], streaming=False)
    assert Pool(agent, [{"text": "one"}, {"text": "two"}]).run() == ["one", "two"]


def test_a_chat_engine_is_refused_since_its_items_would_share_one_conversation() -> None:
    engine = SimpleChatEngine.from_defaults(llm=MockLLM(), memory=ChatMemoryBuffer.from_defaults())
    with pytest.raises(InvalidInput, match="keeps one conversation"):
        Pool(engine, [{"message": "hi"}])
