"""The providers' own client packages get from the simulator what they ask for, or a 400 that says why not.

Tools, several answers, log probabilities, thoughts and vectors; typed output of whole frameworks is in
tests/frameworks.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import anthropic
import openai
import pytest
from google.genai import errors as google_errors
from google.genai import types
from pydantic import BaseModel

QUESTION = "How is the weather in Oslo?"
TOLD = "It rains in Oslo."
DOCUMENT = "Read this text:\n\nThe dam leaks by 7 metres. Engineers say the dam will hold."
ANSWER = "The dam leaks by 7 metres."


class Report(BaseModel):
    about: Literal["bridge", "dam"]
    metres: int


REPORT = Report(about="dam", metres=7)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "The weather of a city.", "parameters": CITY}


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


# OpenAI's chat completions.


def test_openai_chat_calls_a_tool_and_answers_from_its_result(openai_client) -> None:
    tools: Any = [{"type": "function", "function": WEATHER}]
    messages = user(QUESTION)
    ask = openai_client.chat.completions.create
    first = ask(model="m", messages=messages, tools=tools).choices[0]
    assert first.finish_reason == "tool_calls"
    (call,) = first.message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": QUESTION}
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": TOLD}]
    second = ask(model="m", messages=messages, tools=tools).choices[0]
    assert (second.message.content, second.finish_reason) == (TOLD, "stop")


def test_openai_chat_streams_a_tools_arguments(openai_client) -> None:
    tool = openai.pydantic_function_tool(Report)
    with openai_client.chat.completions.stream(
        model="m", messages=user(DOCUMENT), tools=[tool], tool_choice="required"
    ) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert call.function.parsed_arguments == REPORT


def test_what_instructor_asks_for_in_its_tools_mode_is_answered(openai_client) -> None:
    function = {
        "name": "Report",
        "description": "A report.",
        "parameters": Report.model_json_schema(),
    }
    answer = openai_client.chat.completions.create(
        model="m",
        messages=user(DOCUMENT),
        tools=[{"type": "function", "function": function}],
        tool_choice={"type": "function", "function": {"name": "Report"}},
    )
    (call,) = answer.choices[0].message.tool_calls
    assert Report.model_validate_json(call.function.arguments) == REPORT


def test_a_tool_that_must_be_called_and_is_not_there_is_a_400(openai_client) -> None:
    with pytest.raises(openai.BadRequestError, match="no tool 'fly'"):
        openai_client.chat.completions.create(
            model="m",
            messages=user(QUESTION),
            tools=[{"type": "function", "function": WEATHER}],
            tool_choice={"type": "function", "function": {"name": "fly"}},
        )
    with pytest.raises(openai.BadRequestError, match="has no tools"):
        openai_client.chat.completions.create(
            model="m", messages=user(QUESTION), tool_choice="required"
        )


def test_openai_chat_gives_as_many_choices_as_are_asked_for(openai_client) -> None:
    ask = openai_client.chat.completions.create
    answer = ask(model="m", messages=user(DOCUMENT), n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    one = ask(model="m", messages=user(DOCUMENT))
    assert answer.usage.completion_tokens == 3 * one.usage.completion_tokens
    with pytest.raises(openai.BadRequestError, match="`n` is 0: use 1 to 128"):
        ask(model="m", messages=user(DOCUMENT), n=0)


@pytest.mark.parametrize("streamed", [False, True])
def test_openai_chat_gives_log_probabilities_of_its_tokens(openai_client, streamed) -> None:
    asked = {"model": "m", "messages": user(DOCUMENT), "logprobs": True, "top_logprobs": 3, "n": 2}
    if streamed:
        with openai_client.chat.completions.stream(**asked) as stream:
            answer = stream.get_final_completion()
    else:
        answer = openai_client.chat.completions.create(**asked)
    for choice in answer.choices:
        tokens = choice.logprobs.content
        assert "".join(token.token for token in tokens) == ANSWER
        for token in tokens:
            assert token.logprob <= 0
            assert token.top_logprobs[0].token == token.token
            assert len({near.token for near in token.top_logprobs}) == 3


def test_openai_chat_counts_a_thought_and_shows_it_where_servers_do(openai_client) -> None:
    ask = openai_client.chat.completions.create
    answer = ask(model="m", messages=user(DOCUMENT), reasoning_effort="low")
    thought = answer.usage.completion_tokens_details.reasoning_tokens
    assert 0 < thought < answer.usage.completion_tokens
    shown = ask(model="m", messages=user(DOCUMENT), extra_body={"thinking": {"type": "enabled"}})
    assert shown.choices[0].message.reasoning_content
    assert shown.choices[0].message.content == ANSWER


def test_an_answer_ends_before_a_stop_sequence(openai_client, anthropic_client) -> None:
    chat = openai_client.chat.completions.create(model="m", messages=user(DOCUMENT), stop="leaks")
    assert chat.choices[0].message.content == "The dam "
    message = anthropic_client.messages.create(
        model="m", max_tokens=99, messages=user(DOCUMENT), stop_sequences=["leaks"]
    )
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "leaks")


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"logit_bias": {"50256": -100}}, "`logit_bias`"),
        ({"modalities": ["text", "audio"], "audio": {"voice": "a", "format": "wav"}}, "`audio`"),
        ({"functions": [WEATHER]}, "`functions`"),
        ({"web_search_options": {}}, "`web_search_options`"),
        ({"extra_body": {"guided_json": CITY}}, "`guided_json`"),
        ({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, "a tool of type custom"),
        ({"top_logprobs": 2}, "top_logprobs without logprobs"),
    ],
)
def test_what_the_simulator_does_not_do_is_a_400_that_names_it(openai_client, asked, named) -> None:
    with pytest.raises(openai.BadRequestError, match="The simulator doesn't do") as refused:
        openai_client.chat.completions.create(model="m", messages=user(DOCUMENT), **asked)
    assert named in refused.value.message
    assert refused.value.param in named


# OpenAI's responses.


def test_openai_responses_call_a_tool_and_answer_from_its_result(openai_client) -> None:
    tools: Any = [{"type": "function", "strict": True, **WEATHER}]
    items = user(QUESTION)
    first = openai_client.responses.create(model="m", input=items, tools=tools)
    (call,) = first.output
    assert (call.type, call.name) == ("function_call", "get_weather")
    items += [call, {"type": "function_call_output", "call_id": call.call_id, "output": TOLD}]
    second = openai_client.responses.create(model="m", input=items, tools=tools)
    assert second.output_text == TOLD


def test_openai_responses_stream_a_tools_arguments(openai_client) -> None:
    tool = {"type": "function", "name": "Report", "parameters": Report.model_json_schema()}
    with openai_client.responses.stream(
        model="m", input=DOCUMENT, tools=[tool], tool_choice="required"
    ) as stream:
        (call,) = stream.get_final_response().output
    assert Report.model_validate_json(call.arguments) == REPORT


def test_openai_responses_show_a_thoughts_summary(openai_client) -> None:
    with openai_client.responses.stream(
        model="m", input=DOCUMENT, reasoning={"effort": "low", "summary": "auto"}
    ) as stream:
        answer = stream.get_final_response()
    thought, _ = answer.output
    assert thought.summary[0].text
    assert answer.output_text == ANSWER
    assert answer.usage.output_tokens_details.reasoning_tokens > 0


def test_openai_responses_give_log_probabilities(openai_client) -> None:
    answer = openai_client.responses.create(
        model="m", input=DOCUMENT, include=["message.output_text.logprobs"], top_logprobs=2
    )
    tokens = answer.output[0].content[0].logprobs
    assert "".join(token.token for token in tokens) == ANSWER


@pytest.mark.parametrize(
    "asked",
    [
        {"tools": [{"type": "web_search"}]},
        {"previous_response_id": "resp_1"},
        {"background": True},
        {"include": ["file_search_call.results"]},
    ],
)
def test_openai_responses_refuse_what_is_not_done(openai_client, asked) -> None:
    with pytest.raises(openai.BadRequestError, match="The simulator doesn't do"):
        openai_client.responses.create(model="m", input=DOCUMENT, **asked)


# Anthropic's messages.


def test_anthropics_tool_runner_gets_its_answer(anthropic_client) -> None:
    asked = []

    @anthropic.beta_tool  # type: ignore[untyped-decorator]
    def get_weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return TOLD

    runner = anthropic_client.beta.messages.tool_runner(
        model="m", max_tokens=99, messages=user(QUESTION), tools=[get_weather]
    )
    assert runner.until_done().content[0].text == TOLD
    assert asked == [QUESTION]


def test_anthropic_streams_a_tools_input(anthropic_client) -> None:
    with anthropic_client.messages.stream(
        model="m",
        max_tokens=99,
        messages=user(DOCUMENT),
        tools=[{"name": "report", "input_schema": Report.model_json_schema()}],
        tool_choice={"type": "any"},
    ) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use"
    assert Report.model_validate(message.content[0].input) == REPORT


def test_anthropic_shows_its_thinking(anthropic_client) -> None:
    with anthropic_client.messages.stream(
        model="m",
        max_tokens=2000,
        messages=user(DOCUMENT),
        thinking={"type": "enabled", "budget_tokens": 1024},
    ) as stream:
        message = stream.get_final_message()
    thinking, text = message.content
    assert thinking.thinking
    assert thinking.signature
    assert text.text == ANSWER


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "use 1024 or more"),
        (
            {
                "thinking": {"type": "adaptive"},
                "tools": [{"name": "a", "input_schema": CITY}],
                "tool_choice": {"type": "any"},
            },
            "when tool_choice forces tool use",
        ),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ({"extra_body": {"logprobs": True}}, "`logprobs`"),
    ],
)
def test_anthropic_refuses_what_is_not_done(anthropic_client, asked, why) -> None:
    with pytest.raises(anthropic.BadRequestError, match=why):
        anthropic_client.messages.create(
            model="m", max_tokens=2000, messages=user(DOCUMENT), **asked
        )


# Google's generateContent.


@pytest.mark.filterwarnings("ignore:Direct use of automatic function calling")
def test_googles_own_tool_loop_gets_its_answer(google_client) -> None:
    asked = []

    def get_weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return TOLD

    answer = google_client.models.generate_content(
        model="m", contents=QUESTION, config=types.GenerateContentConfig(tools=[get_weather])
    )
    assert (answer.text, asked) == (TOLD, [QUESTION])


def test_google_streams_a_call_of_a_tool(google_client) -> None:
    declared = types.FunctionDeclaration(
        name="report", parameters_json_schema=Report.model_json_schema()
    )
    calling = types.FunctionCallingConfig(
        mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["report"]
    )
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])],
        tool_config=types.ToolConfig(function_calling_config=calling),
    )
    chunks = google_client.models.generate_content_stream(
        model="m", contents=DOCUMENT, config=config
    )
    (call,) = [call for chunk in chunks for call in chunk.function_calls or ()]
    assert Report.model_validate(call.args) == REPORT


def test_google_gives_candidates_log_probabilities_and_thoughts(google_client) -> None:
    config = types.GenerateContentConfig(
        candidate_count=2,
        response_logprobs=True,
        logprobs=2,
        thinking_config=types.ThinkingConfig(include_thoughts=True),
    )
    answer = google_client.models.generate_content(model="m", contents=DOCUMENT, config=config)
    assert len(answer.candidates) == 2
    for candidate in answer.candidates:
        thought, text = candidate.content.parts
        assert (bool(thought.thought), text.text) == (True, ANSWER)
        chosen = candidate.logprobs_result.chosen_candidates
        assert "".join(token.token for token in chosen) == ANSWER
        assert candidate.avg_logprobs < 0
    assert answer.usage_metadata.thoughts_token_count > 0


@pytest.mark.parametrize(
    "config",
    [
        {"tools": [{"google_search": {}}]},
        {"response_mime_type": "text/x.enum", "response_schema": {"type": "STRING", "enum": ["a"]}},
        {"response_modalities": ["IMAGE"]},
        {"speech_config": {"language_code": "en-US"}},
        {"cached_content": "cachedContents/1"},
    ],
)
def test_google_is_refused_what_is_not_done(google_client, config) -> None:
    with pytest.raises(google_errors.ClientError, match=r"simulator doesn't do|can't be read") as e:
        google_client.models.generate_content(model="m", contents=DOCUMENT, config=config)
    assert e.value.status == "INVALID_ARGUMENT"


# Vectors, and where nothing is.


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_openai_embeds_equal_texts_alike_and_texts_of_the_same_words_nearly(openai_client) -> None:
    def embed(**asked: Any) -> list[list[float]]:
        answer = openai_client.embeddings.create(model="m", **asked)
        return [one.embedding for one in answer.data]

    texts = ["The dam leaks.", "Today the dam leaks.", "Lunch was late."]
    dam, again, lunch = embed(input=texts, dimensions=256)
    assert len(dam) == 256
    assert likeness(dam, dam) == pytest.approx(1)
    assert likeness(dam, again) > 0.4 > likeness(dam, lunch)
    assert embed(input=texts[0], dimensions=256)[0] == dam
    (plain,) = embed(input=texts[0], dimensions=256, encoding_format="float")
    assert plain == pytest.approx(dam, abs=1e-6)
    assert len(embed(input=[[1, 2, 3]])[0]) == 1536


def test_an_empty_text_has_no_vector(openai_client) -> None:
    with pytest.raises(openai.BadRequestError, match="position 1 is empty"):
        openai_client.embeddings.create(model="m", input=["a", ""])


def test_limits_and_planted_failures_hold_for_vectors_too(client_sim, openai_client) -> None:
    client_sim.reset()
    with pytest.raises(openai.RateLimitError):
        openai_client.embeddings.create(model="m", input="[[sim: 429]]")
    openai_client.embeddings.create(model="m", input="The dam leaks.")
    assert client_sim.ledger()["statuses"] == {"200": 1, "429": 1}


def test_google_embeds(google_client) -> None:
    config = types.EmbedContentConfig(output_dimensionality=8)
    answer = google_client.models.embed_content(model="m", contents=["a", "b"], config=config)
    assert [len(one.values) for one in answer.embeddings] == [8, 8]


def test_a_path_that_is_not_there_is_a_plain_404(
    openai_client, anthropic_client, google_client
) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        openai_client.files.list()
    assert missing.value.code is None
    assert "There is nothing to GET at /v1/files" in missing.value.message
    with pytest.raises(anthropic.NotFoundError, match="count_tokens"):
        anthropic_client.messages.count_tokens(model="m", messages=user("Hi"))
    with pytest.raises(google_errors.ClientError) as counting:
        google_client.models.count_tokens(model="m", contents="Hi")
    assert counting.value.status == "NOT_FOUND"
