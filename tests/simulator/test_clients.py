"""The providers' own client packages, sync and async, take the simulator for their provider."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types

from flowpool.simulator import PROFILES

PROMPT = "Summarise in one sentence:\n\nThe dam leaks. Engineers say the dam will hold this winter."
ANSWER = "Engineers say the dam will hold this winter."
SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["bridge", "dam"]}},
    "required": ["label"],
    "additionalProperties": False,
}


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_openai_chat_answers_with_usage_and_limits_in_headers(client_sim, openai_client) -> None:
    client_sim.reset(PROFILES["openai"].replace(time_scale=100))
    raw = openai_client.chat.completions.with_raw_response.create(
        model="gpt-sim", messages=user(PROMPT)
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == -(-len(PROMPT) // 4)
    assert raw.headers["x-ratelimit-remaining-requests"] == "4999"
    assert raw.request_id
    client_sim.reset(PROFILES["free"])


def test_openai_chat_fills_a_schema(openai_client) -> None:
    shape = {"name": "label", "schema": SCHEMA, "strict": True}
    answer = openai_client.chat.completions.create(
        model="gpt-sim",
        messages=user(PROMPT),
        response_format={"type": "json_schema", "json_schema": shape},
    )
    assert json.loads(answer.choices[0].message.content) == {"label": "dam"}


def test_openai_chat_streams(openai_client) -> None:
    chunks = list(
        openai_client.chat.completions.create(
            model="gpt-sim",
            messages=user(PROMPT),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == ANSWER
    assert chunks[-1].usage.completion_tokens == -(-len(ANSWER) // 4)


def test_openai_responses_answer_and_stream(openai_client) -> None:
    answer = openai_client.responses.create(
        model="gpt-sim", input=PROMPT, instructions="Be brief.", max_output_tokens=500
    )
    assert answer.output_text == ANSWER
    assert answer.status == "completed"
    with openai_client.responses.stream(model="gpt-sim", input=PROMPT) as stream:
        text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        assert text == ANSWER
        assert stream.get_final_response().output_text == ANSWER


def test_openai_responses_report_a_truncated_answer(openai_client) -> None:
    answer = openai_client.responses.create(model="gpt-sim", input=PROMPT, max_output_tokens=2)
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_openai_classifies_the_simulators_errors(openai_client) -> None:
    def ask(directive: str) -> Any:
        return openai_client.chat.completions.create(
            model="gpt-sim", messages=user(f"{directive} {PROMPT}"), timeout=0.5
        )

    with pytest.raises(openai.RateLimitError) as limited:
        ask("[[sim: 429 retry-after=0.2]]")
    assert limited.value.response.headers["retry-after"] == "0.2"
    assert limited.value.code == "rate_limit_exceeded"
    with pytest.raises(openai.RateLimitError) as empty:
        ask("[[sim: quota]]")
    assert empty.value.code == "insufficient_quota"
    with pytest.raises(openai.AuthenticationError):
        ask("[[sim: 401]]")
    with pytest.raises(openai.BadRequestError):
        ask("[[sim: 400]]")
    with pytest.raises(openai.InternalServerError):
        ask("[[sim: 500]]")
    with pytest.raises(openai.APIConnectionError):
        ask("[[sim: reset]]")
    with pytest.raises(openai.APIConnectionError):
        ask("[[sim: cut]]")
    with pytest.raises(openai.APITimeoutError):
        ask("[[sim: stall]]")


def test_openais_client_retries_a_planted_failure_to_its_answer(client_sim) -> None:
    prompt = f"[[sim: 429 retry-after=0.01 times=2]]{PROMPT}"
    with openai.OpenAI(
        base_url=f"{client_sim.url}/v1", api_key="key-canary", max_retries=3
    ) as client:
        answer = client.chat.completions.create(model="gpt-sim", messages=user(prompt))
    assert answer.choices[0].message.content == ANSWER


def test_openai_async(client_sim) -> None:
    async def ask() -> Any:
        async with openai.AsyncOpenAI(
            base_url=f"{client_sim.url}/v1", api_key="key-canary"
        ) as client:
            chat = await client.chat.completions.create(model="gpt-sim", messages=user(PROMPT))
            response = await client.responses.create(model="gpt-sim", input=PROMPT)
            return chat.choices[0].message.content, response.output_text

    assert asyncio.run(ask()) == (ANSWER, ANSWER)


def test_openai_lists_the_simulators_model(openai_client) -> None:
    assert [model.id for model in openai_client.models.list()] == ["flowpool-sim"]


def test_anthropic_answers_with_usage_and_limits_in_headers(client_sim, anthropic_client) -> None:
    client_sim.reset(PROFILES["anthropic"].replace(time_scale=100))
    raw = anthropic_client.messages.with_raw_response.create(
        model="claude-sim", max_tokens=100, system="Be brief.", messages=user(PROMPT)
    )
    message = raw.parse()
    assert message.content[0].text == ANSWER
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == -(-len(ANSWER) // 4)
    assert raw.headers["anthropic-ratelimit-input-tokens-limit"].isdecimal()
    assert raw.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    client_sim.reset(PROFILES["free"])


def test_anthropic_calls_a_forced_tool_with_its_schema_filled(anthropic_client) -> None:
    message = anthropic_client.messages.create(
        model="claude-sim",
        max_tokens=100,
        messages=user(PROMPT),
        tools=[{"name": "label", "input_schema": SCHEMA}],
        tool_choice={"type": "tool", "name": "label"},
    )
    assert message.stop_reason == "tool_use"
    assert message.content[0].input == {"label": "dam"}


def test_anthropic_streams(anthropic_client) -> None:
    with anthropic_client.messages.stream(
        model="claude-sim", max_tokens=100, messages=user(PROMPT)
    ) as stream:
        assert "".join(stream.text_stream) == ANSWER
        assert stream.get_final_message().stop_reason == "end_turn"


def error_type(error: Any) -> Any:
    return error.body["error"]["type"]


def test_anthropic_classifies_the_simulators_errors(anthropic_client) -> None:
    def ask(directive: str) -> Any:
        return anthropic_client.messages.create(
            model="claude-sim", max_tokens=100, messages=user(f"{directive} {PROMPT}")
        )

    with pytest.raises(anthropic.RateLimitError) as limited:
        ask("[[sim: 429]]")
    assert error_type(limited.value) == "rate_limit_error"
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        ask("[[sim: 529]]")
    assert overloaded.value.status_code == 529
    assert error_type(overloaded.value) == "overloaded_error"
    with pytest.raises(anthropic.APIStatusError) as unpaid:
        ask("[[sim: quota]]")
    assert unpaid.value.status_code == 402
    with pytest.raises(anthropic.APIConnectionError):
        ask("[[sim: reset]]")
    assert ask("[[sim: refuse]]").stop_reason == "refusal"


def test_anthropic_async(client_sim) -> None:
    async def ask() -> Any:
        async with anthropic.AsyncAnthropic(
            base_url=client_sim.url, api_key="key-canary"
        ) as client:
            message: Any = await client.messages.create(
                model="claude-sim", max_tokens=100, messages=user(PROMPT)
            )
            return message.content[0].text

    assert asyncio.run(ask()) == ANSWER


def test_google_answers_with_usage(google_client) -> None:
    answer = google_client.models.generate_content(
        model="gemini-sim",
        contents=PROMPT,
        config=types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=100),
    )
    assert answer.text == ANSWER
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata.candidates_token_count == -(-len(ANSWER) // 4)


def test_google_fills_a_schema(google_client) -> None:
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema=SCHEMA
    )
    answer = google_client.models.generate_content(
        model="gemini-sim", contents=PROMPT, config=config
    )
    assert json.loads(answer.text) == {"label": "dam"}


def test_google_streams(google_client) -> None:
    chunks = google_client.models.generate_content_stream(model="gemini-sim", contents=PROMPT)
    assert "".join(chunk.text for chunk in chunks) == ANSWER


def test_google_classifies_the_simulators_errors(google_client) -> None:
    def ask(directive: str) -> Any:
        return google_client.models.generate_content(
            model="gemini-sim", contents=f"{directive} {PROMPT}"
        )

    with pytest.raises(google_errors.ClientError) as limited:
        ask("[[sim: 429 retry-after=37]]")
    assert limited.value.status == "RESOURCE_EXHAUSTED"
    details = limited.value.details["error"]["details"]
    assert {"retryDelay": "37s"}.items() <= details[-1].items()
    with pytest.raises(google_errors.ServerError):
        ask("[[sim: 503]]")
    assert ask("[[sim: filter]]").prompt_feedback.block_reason == types.BlockedReason.SAFETY


# The client's own subclassing of aiohttp's session is what warns.
@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
def test_google_async(client_sim) -> None:
    async def ask() -> Any:
        client = genai.Client(
            api_key="key-canary", http_options=types.HttpOptions(base_url=client_sim.url)
        )
        async with client.aio as aio:
            answer = await aio.models.generate_content(model="gemini-sim", contents=PROMPT)
        return answer.text

    assert asyncio.run(ask()) == ANSWER


def test_keys_never_stand_in_the_ledger(client_sim, openai_client) -> None:
    openai_client.chat.completions.create(model="gpt-sim", messages=user(PROMPT))
    books = client_sim.ledger()
    assert "key-canary" not in json.dumps(books)
    assert sum(books["keys"].values()) == books["requests"]
