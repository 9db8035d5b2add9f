"""LlamaIndex: query engines, retrievers, LLMs, and the workflows that its agents are."""

from __future__ import annotations

from contextvars import ContextVar
from functools import cache
from typing import Any

from flowpool.integrations.base import ForeignAnswer, ForeignTool, openai_usage, priced, refuse
from flowpool.usage import NO_USAGE, Usage

# The raw answers of the LLM calls that one item makes, from LlamaIndex's events.
_seen: ContextVar[list[Any] | None] = ContextVar("flowpool_llama_index_answers", default=None)


def adapt(target: Any) -> ForeignTool | None:
    from llama_index.core.agent.workflow import AgentWorkflow, BaseWorkflowAgent
    from llama_index.core.base.base_query_engine import BaseQueryEngine
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.base.llms.base import BaseLLM
    from llama_index.core.chat_engine.types import BaseChatEngine
    from llama_index.core.workflow import Workflow

    if isinstance(target, BaseQueryEngine):
        return LlamaIndex(target, target.aquery, "query")
    if isinstance(target, BaseRetriever):
        return LlamaIndex(target, target.aretrieve, "query")
    if isinstance(target, BaseLLM):
        return LlamaIndex(target, _asking(target), "prompt")
    if isinstance(target, (BaseWorkflowAgent, AgentWorkflow)):
        return LlamaIndex(target, _telling(target), "user_msg")
    if isinstance(target, Workflow):
        return LlamaIndex(target, _running(target), None)
    if isinstance(target, BaseChatEngine):
        raise refuse(
            target, "it keeps one conversation: pass its query engine or LLM, or a function"
        )
    return None


def _asking(llm: Any) -> Any:
    async def ask(prompt: Any) -> Any:
        """Completes a text, or answers a list of messages."""
        return await (llm.acomplete(prompt) if isinstance(prompt, str) else llm.achat(prompt))

    return ask


def _telling(agent: Any) -> Any:
    async def tell(message: Any) -> Any:
        return await agent.run(user_msg=message)

    return tell


def _running(workflow: Any) -> Any:
    async def run(**variables: Any) -> Any:
        return await workflow.run(**variables)  # it starts on the running loop

    return run


class LlamaIndex(ForeignTool):
    """A query engine or retriever gets its `query`, an LLM its `prompt`, an agent its `user_msg`, any other
    workflow all variables as keywords. Responses become their text, or the object they hold.
    """

    def __init__(self, target: Any, call: Any, takes: str | None) -> None:
        super().__init__(target, call, takes=takes)
        self.mode = "async"

    async def _invoke(self, /, **variables: Any) -> ForeignAnswer:
        _listen()
        seen: list[Any] = []
        token = _seen.set(seen)
        try:
            output = await super()._invoke(**variables)
        finally:
            _seen.reset(token)
        usage = sum((_usage(answer) for answer in seen), NO_USAGE)
        models = {getattr(answer.raw, "model", None) for answer in seen}
        return ForeignAnswer(
            _plain(output), usage, priced(models.pop()) if len(models) == 1 else ""
        )


@cache
def _listen() -> None:
    """Has LlamaIndex tell of every LLM call's end, once a process."""
    from llama_index.core.instrumentation import get_dispatcher
    from llama_index.core.instrumentation.event_handlers import BaseEventHandler
    from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent

    class Listener(BaseEventHandler):  # type: ignore[misc]
        @classmethod
        def class_name(cls) -> str:
            return "flowpool"

        def handle(self, event: Any, **kwargs: Any) -> None:
            seen = _seen.get()
            ended = isinstance(event, (LLMChatEndEvent, LLMCompletionEndEvent))
            if seen is not None and ended and event.response is not None:
                seen.append(event.response)

    get_dispatcher().add_event_handler(Listener())


def _usage(answer: Any) -> Usage:
    raw = answer.raw
    usage = raw.get("usage") if isinstance(raw, dict) else getattr(raw, "usage", None)
    return openai_usage(usage if usage is not None else answer.additional_kwargs)


def _plain(output: Any) -> Any:
    from llama_index.core.agent.workflow import AgentOutput
    from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
    from llama_index.core.base.response.schema import PydanticResponse, Response

    if isinstance(output, (Response, PydanticResponse)):
        return output.response
    if isinstance(output, CompletionResponse):
        return output.text
    if isinstance(output, AgentOutput):
        return output.structured_response or output.response.content
    if isinstance(output, ChatResponse):
        return output.message.content
    return output
