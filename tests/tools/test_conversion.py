"""What can be run as a tool."""

from __future__ import annotations

from typing import Any

import pytest

from flowpool.errors import InvalidInput
from flowpool.tools import as_tool, tool


def test_another_frameworks_object_gets_the_whole_variables() -> None:
    class Runnable:
        def invoke(self, value: dict[str, Any], config: Any = None) -> Any:
            return value["q"]

        async def ainvoke(self, value: dict[str, Any], config: Any = None) -> Any:
            return value["q"] * 2

    class ByKeyword:
        async def acall(self, *args: Any, **kwargs: Any) -> Any:
            assert not args
            return kwargs["q"]

    class Runs:
        def run(self, data: dict[str, Any]) -> Any:
            return data["q"]

    for made, mode, output in (
        (Runnable(), "async", 6),
        (ByKeyword(), "async", 3),
        (Runs(), "thread", 3),
    ):
        wrapped = as_tool(made)
        assert wrapped.mode == mode
        assert wrapped.missing([]) == []
        assert wrapped.run(**wrapped.bind({"q": 3})) == output


def test_a_callable_object_and_a_builtin_are_tools() -> None:
    class Doubler:
        def __call__(self, n: int) -> int:
            return 2 * n

    doubler = as_tool(Doubler())
    assert doubler.fn(**doubler.bind({"n": 4, "m": 1})) == 8
    assert as_tool(len).fn(**as_tool(len).bind({"a": 1, "b": 2})) == 2
    assert as_tool(str.title).run(**as_tool(str.title).bind({"self": "ada"})) == "Ada"
    assert as_tool(divmod).fn(**as_tool(divmod).bind({"x": 7, "y": 2})) == (3, 1)


def test_what_can_not_run_is_refused_in_one_line() -> None:
    with pytest.raises(InvalidInput, match="3 can't be run: pass"):
        as_tool(3)
    with pytest.raises(InvalidInput, match="max_flows=0: use 1 or more"):
        tool(max_flows=0)(len)
