"""What a tool promises to those who write one, and how variables become its arguments."""

from __future__ import annotations

import asyncio
import functools
import pickle
from typing import Any, Literal, TypedDict

import pytest

from flowpool.errors import InvalidInput
from flowpool.tools import Tool, ToolResult, as_tool, tool


@tool(max_flows=3)
def count(text: str, unit: Literal["words", "lines"] = "words", *, least: int = 0) -> int:
    """Counts the parts
    of a text.

    Args:
        text: what is counted,
            however long.
        unit (str): words or lines.
    """
    return max(least, len(text.split() if unit == "words" else text.splitlines()))


@tool
async def shout(text: str) -> str:
    await asyncio.sleep(0)
    return text.upper()


@tool(cpu_bound=True)
def square(n: int) -> int:
    return n * n


class Greeter(Tool):
    name = "greeter"
    description = "Greets."
    parameters = {  # noqa: RUF012
        "type": "object",
        "properties": {"input": {"type": "string"}, "greeting": {"type": "string"}},
        "required": ["input"],
    }

    def run(self, **kwargs: Any) -> str:
        if not kwargs["input"]:
            raise ValueError("nobody to greet")
        return f"{kwargs.get('greeting', 'Hello')}, {kwargs['input']}"


def test_a_tool_says_what_it_takes_from_its_signature_and_docstring() -> None:
    assert count.name == "count"
    assert count.description == "Counts the parts of a text."
    assert count.max_flows == 3
    assert count.parameters["required"] == ["text"]
    properties = count.parameters["properties"]
    assert properties["text"] == {"type": "string", "description": "what is counted, however long."}
    assert properties["unit"]["enum"] == ["words", "lines"]
    assert properties["least"] == {"type": "integer", "default": 0}


def test_a_decorated_function_is_still_called_like_the_function() -> None:
    assert count("to be or not") == 4
    assert count("a\nb", unit="lines") == 2
    assert asyncio.run(shout("hey")) == "HEY"


def test_a_decorated_method_stays_a_method() -> None:
    class Box:
        @tool
        def size(self, text: str) -> int:
            return len(text)

    assert Box().size("abc") == 3


def test_a_tool_reads_only_its_declared_parameters() -> None:
    assert count.bind({"text": "a", "other": 1, "unit": "lines"}) == {"text": "a", "unit": "lines"}


def test_keyword_arguments_take_every_variable() -> None:
    assert as_tool(lambda **row: row).bind({"a": 1, "b": 2}) == {"a": 1, "b": 2}


def test_a_function_of_one_unnamed_row_gets_all_variables() -> None:
    row_tool, dict_tool = as_tool(lambda row: row["a"]), as_tool(lambda r, scale=2: r["a"] * scale)
    assert row_tool.fn(**row_tool.bind({"a": 1})) == 1
    assert dict_tool.fn(**dict_tool.bind({"a": 2, "scale": 5})) == 10
    assert row_tool.missing(["a"]) == []


def test_a_sole_parameter_that_is_no_mapping_never_gets_all_variables() -> None:
    with pytest.raises(InvalidInput, match=r"shout: nothing fills its parameter 'text'.*\(txt\)"):
        shout.bind({"txt": "a"})
    assert shout.missing(["txt"]) == ["text"]
    assert shout.missing(["text", "more"]) == []


def test_a_steps_options_are_defaults_under_the_variables() -> None:
    assert count.bind({"text": "a"}, {"least": 2, "unheard": 1}) == {"text": "a", "least": 2}
    assert count.bind({"text": "a", "least": 5}, {"least": 2})["least"] == 5


def test_an_options_only_parameter_is_never_filled_by_an_item() -> None:
    @tool(options_only=("allow",))
    def guarded(url: str, allow: bool = False) -> bool:
        return allow

    assert guarded.bind({"url": "u", "allow": True}) == {"url": "u"}
    assert guarded.bind({"url": "u", "allow": False}, {"allow": True}) == {
        "url": "u",
        "allow": True,
    }


def test_options_can_be_preset_on_a_copy() -> None:
    lines = count.with_options(unit="lines")
    assert lines.bind({"text": "a b"}) == {"text": "a b", "unit": "lines"}
    assert lines("a b\nc") == 2
    assert lines.run(text="a b\nc") == 2
    assert count("a b\nc") == 3
    with pytest.raises(InvalidInput, match="count: no parameter 'units'"):
        count.with_options(units=1)


def test_a_partial_of_a_tool_keeps_what_the_tool_is() -> None:
    partial = as_tool(functools.partial(count, unit="lines"))
    assert (partial.name, partial.max_flows) == ("count", 3)
    assert partial.bind({"text": "a"}) == {"text": "a", "unit": "lines"}


def test_a_plain_function_may_block_and_an_async_one_is_awaited() -> None:
    assert as_tool(lambda x: x).mode == "thread"
    assert shout.mode == "async"
    assert as_tool(functools.partial(shout.fn, "a")).mode == "async"


def test_a_cpu_bound_function_runs_in_a_process_when_one_can_find_it() -> None:
    @tool(cpu_bound=True)
    def local(n: int) -> int:
        return n

    assert (square.mode, square.dotted) == ("process", f"{__name__}:square")
    assert (local.mode, local.dotted) == ("thread", None)


def test_a_tool_travels_by_its_name() -> None:
    from flowpool.tools import convertToMD, fetch, to_markdown

    for known in (fetch, to_markdown, convertToMD):
        assert pickle.loads(pickle.dumps(known)) is known
    preset = pickle.loads(pickle.dumps(fetch.with_options(allow_private=True)))
    assert preset.bind({"url": "u"}) == {"url": "u", "allow_private": True}
    with pytest.raises(TypeError, match="top of a module"):
        pickle.dumps(tool(lambda x: x))


def test_a_subclass_gives_a_result_that_never_raises() -> None:
    assert Greeter()("Ada") == ToolResult(True, "Hello, Ada", None)
    assert Greeter()("Ada", {"greeting": "Hi"}).output == "Hi, Ada"
    assert Greeter()({"input": "Ada", "greeting": "Hey"}).output == "Hey, Ada"
    assert Greeter()("") == ToolResult(False, None, "nobody to greet")
    with pytest.raises(ValueError, match="nobody"):
        Greeter().run(input="")


def test_a_subclass_without_a_schema_has_that_of_its_run() -> None:
    class Adder(Tool):
        """Adds."""

        async def run(self, a: int, b: int = 1) -> int:  # type: ignore[override]
            return a + b

    adder = as_tool(Adder)
    assert (adder.name, adder.description, adder.mode) == ("Adder", "Adds.", "async")
    assert adder.parameters["required"] == ["a"]
    assert adder({"a": 2}).output == 3


class Point(TypedDict):
    x: int
    y: int


def test_a_return_type_tells_which_variables_a_tool_adds() -> None:
    def point() -> Point:
        return {"x": 1, "y": 2}

    assert count.outputs == ()
    assert as_tool(point).outputs == ("x", "y")
    assert as_tool(lambda: {}).outputs is None
