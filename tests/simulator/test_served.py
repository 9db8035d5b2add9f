"""What the simulated model does with tools, thoughts and stop sequences."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowpool.errors import InvalidInput
from flowpool.simulator import SimRequest
from flowpool.simulator.directives import find_directive
from flowpool.simulator.plan import ServedAnswer, SimTool, Thinking, tokens_of
from flowpool.simulator.served import serve

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = SimTool("get_weather", schema=CITY)
SAVE = SimTool("saveNotes", schema=CITY)
RESULT = SimTool("final_result", schema=CITY)
DOCUMENT = "The dam leaks. Engineers say the dam will hold this winter."


def ask(user: str, **fields: Any) -> ServedAnswer:
    request = SimRequest("chat", "m", text=user, user=user, first=user, **fields)
    return serve(request, find_directive(user), "")


def called(user: str, *tools: SimTool, use: Any = "auto", **fields: Any) -> str:
    return ask(user, tools=tools, tool_use=use, **fields).tool


def test_a_tool_whose_name_the_user_says_is_called() -> None:
    assert called("How is the weather in Oslo?", SAVE, WEATHER) == "get_weather"
    assert called("Save this note.", WEATHER, SAVE) == "saveNotes"
    assert called("Get it for me and use a tool.", WEATHER, SAVE) == ""


def test_a_tool_is_called_once_and_its_result_is_answered_from() -> None:
    answer = ask(
        "How is the weather in Oslo?",
        tools=(WEATHER,),
        called=("get_weather",),
        results="It rains in Oslo.",
    )
    assert (answer.tool, answer.text) == ("", "It rains in Oslo.")


def test_where_one_must_be_called_it_is_the_next_and_in_the_end_the_last_again() -> None:
    tools = (WEATHER, SAVE, RESULT)
    order: list[str] = []
    for _ in range(4):
        order.append(called(DOCUMENT, *tools, use="required", called=tuple(order)))
    assert order == ["get_weather", "saveNotes", "final_result", "final_result"]


def test_none_is_called_where_none_may_be() -> None:
    assert called("How is the weather?", WEATHER, use="none") == ""


def test_arguments_are_made_of_what_is_said_and_of_what_tools_gave() -> None:
    answer = ask("Oslo", tools=(RESULT,), tool_use="required")
    assert json.loads(answer.text) == {"city": "Oslo"}
    tools = (
        SimTool(
            "final_result", schema={"type": "object", "properties": {"n": {"type": "integer"}}}
        ),
    )
    answer = ask("How many?", tools=tools, tool_use="required", results="There are 12 of them.")
    assert json.loads(answer.text) == {"n": 12}


def test_a_directive_names_the_tool_and_its_arguments() -> None:
    assert called(f"[[sim: call=get_weather]] {DOCUMENT}", SAVE, WEATHER) == "get_weather"
    said = '[[sim: call=get_weather]] [[sim: say={"city": "Oslo"}]] Hello'
    answer = ask(said, tools=(SAVE, WEATHER))
    assert (answer.tool, answer.text) == ("get_weather", '{"city": "Oslo"}')
    with pytest.raises(InvalidInput, match="the request's tools are saveNotes, get_weather"):
        called("[[sim: call=fly]]", SAVE, WEATHER)


def test_words_to_say_are_said_unless_a_tool_must_be_called() -> None:
    answer = ask("[[sim: say=Fine.]] How is the weather?", tools=(WEATHER,))
    assert (answer.tool, answer.text) == ("", "Fine.")
    assert called("[[sim: say={}]]", WEATHER, use="required") == "get_weather"


def test_told_what_was_wrong_in_its_words_the_model_answers_the_question_again() -> None:
    request = SimRequest(
        "messages", "m", text="", user="That was wrong.", first="Oslo", answers=1, worded=True,
        tools=(RESULT,), tool_use="required",
    )  # fmt: skip
    assert json.loads(serve(request, find_directive(""), "").text) == {"city": "Oslo"}


def test_a_new_question_of_a_conversation_with_tools_is_what_is_answered() -> None:
    request = SimRequest(
        "chat", "m", text="", user="Bergen", first="Oslo", answers=1, tools=(RESULT,),
        tool_use="required",
    )  # fmt: skip
    assert json.loads(serve(request, find_directive(""), "").text) == {"city": "Bergen"}


def test_an_answer_ends_where_its_first_stop_sequence_begins() -> None:
    answer = ask(DOCUMENT, stops=("winter", "dam"))
    assert (answer.text, answer.stop, answer.finish) == ("Engineers say the ", "dam", "stop")
    assert ask(DOCUMENT, stops=("river",)).stop == ""


def test_a_thought_is_paid_for_and_is_part_of_the_most_tokens() -> None:
    plain, thinking = ask(DOCUMENT), ask(DOCUMENT, thinking=Thinking())
    assert thinking.text == plain.text
    assert thinking.output_tokens == plain.output_tokens + tokens_of(thinking.thought)
    short = ask(DOCUMENT, thinking=Thinking(), max_tokens=3)
    assert (short.text, short.finish, short.output_tokens) == ("", "length", 3)


def test_each_choice_is_paid_for() -> None:
    assert ask(DOCUMENT, choices=3).output_tokens == 3 * ask(DOCUMENT).output_tokens


def test_directives_are_no_part_of_what_is_answered() -> None:
    assert ask("[[sim: latency=1]]Just this.").text == "Just this."
    answer = ask("[[sim: latency=1]]Oslo", tools=(RESULT,), tool_use="required")
    assert json.loads(answer.text) == {"city": "Oslo"}
