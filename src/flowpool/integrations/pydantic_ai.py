"""pydantic-ai's agents."""

from __future__ import annotations

import inspect
from typing import Any

from flowpool.integrations.base import ForeignAnswer, ForeignTool, count, priced
from flowpool.usage import Usage


def adapt(agent: Any) -> ForeignTool | None:
    from pydantic_ai.agent import AbstractAgent

    return PydanticAI(agent) if isinstance(agent, AbstractAgent) else None


class PydanticAI(ForeignTool):
    """An agent: run with its `prompt`. What it gives is the run's output, of the agent's own type."""

    def __init__(self, agent: Any) -> None:
        super().__init__(agent, agent.run, name=agent.name or "agent", takes="prompt")
        self.mode = "async"

    def shown(self) -> list[Any]:
        prompts = ("_instructions", "_system_prompts")  # which its repr leaves out
        return [*super().shown(), *(repr(getattr(self._target, name, None)) for name in prompts)]

    def answer(self, output: Any) -> ForeignAnswer:
        used = output.usage
        used = used() if inspect.ismethod(used) else used  # as it was before it was a property
        usage = Usage(
            count(used, "input_tokens"),
            count(used, "output_tokens"),
            count(used, "cache_read_tokens"),
            count(used, "cache_write_tokens"),
            count(used, "details", "reasoning_tokens"),
        )
        last = getattr(output, "response", None)
        model = priced(getattr(last, "model_name", None), getattr(last, "provider_name", None))
        return ForeignAnswer(output.output, usage, model)
