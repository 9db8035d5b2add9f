"""LangChain's runnables: models, prompts, sequences, tools, graphs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any, get_args

from flowpool.integrations.base import ForeignAnswer, ForeignTool, count, priced
from flowpool.usage import NO_USAGE, Usage

# In a model's repr: which packages made it, and a table of what the model can.
_PACKAGES = re.compile(r"'lc_versions': \{[^{}]*\}|\bprofile=\{[^{}]*\}")


def adapt(runnable: Any) -> ForeignTool | None:
    from langchain_core.runnables import Runnable

    return LangChain(runnable) if isinstance(runnable, Runnable) else None


class LangChain(ForeignTool):
    """A runnable: one that takes text gets its `input`, any other gets the variables as a dict.

    A message it gives becomes its text, unless it asks for tools.
    """

    def __init__(self, runnable: Any) -> None:
        takes = "input" if _takes_text(runnable) else None
        super().__init__(
            runnable,
            runnable.ainvoke,
            name=runnable.get_name(),
            takes=takes,
            needs=() if takes else _needs(runnable),
        )

    def shown(self) -> list[Any]:
        """What the runnable shows of itself, without the versions of packages and what they know of a model."""
        return [_PACKAGES.sub("", text) for text in super().shown()]

    async def _invoke(self, /, **variables: Any) -> ForeignAnswer:
        from langchain_core.callbacks import UsageMetadataCallbackHandler

        counter = UsageMetadataCallbackHandler()
        value = variables if self.takes is None else variables[self.takes]
        output = await self._call(value, config={"callbacks": [counter]})
        used = counter.usage_metadata
        if not used and getattr(output, "usage_metadata", None):
            used = {"": output.usage_metadata}  # a model without a name of its own
        usage = sum((_usage(each) for each in used.values()), NO_USAGE)
        model = priced(next(iter(used))) if len(used) == 1 else ""
        return ForeignAnswer(_plain(output), usage, model)


def _takes_text(runnable: Any) -> bool:
    kinds = (runnable.InputType, *get_args(runnable.InputType))
    return str in kinds and not any(_is_mapping(kind) for kind in kinds)


def _is_mapping(kind: Any) -> bool:
    kind = getattr(kind, "__origin__", kind)
    return isinstance(kind, type) and issubclass(kind, Mapping)


def _needs(runnable: Any) -> list[str]:
    """The variables that its prompt or arguments have; none where it doesn't say."""
    # Types that have no schema raise; it is asked for help, no more.
    with contextlib.suppress(Exception):
        schema = runnable.get_input_schema().model_json_schema()
        return [name for name in schema.get("required", ()) if name != "root"]
    return []


def _usage(used: Any) -> Usage:
    return Usage(
        count(used, "input_tokens"),
        count(used, "output_tokens"),
        count(used, "input_token_details", "cache_read"),
        count(used, "input_token_details", "cache_creation"),
        count(used, "output_token_details", "reasoning"),
    )


def _plain(output: Any) -> Any:
    from langchain_core.messages import BaseMessage

    if isinstance(output, BaseMessage) and not getattr(output, "tool_calls", None):
        return str(output.text)
    return output
