"""The providers' own clients agree: they type our requests, and read from answers what we read."""

from __future__ import annotations

import warnings
from copy import deepcopy

import msgspec
import pytest
from tests.structured.kinds import READ
from tests.wire import golden_cases as golden

from flowpool.providers import resolve
from flowpool.structured import answer_of
from flowpool.values import Call, HttpResponse, Reply
from flowpool.wire import WIRES, schema_dialects

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from anthropic.types import Message as AnthropicMessage
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
    from google.genai.types import GenerateContentResponse
    from openai.lib._pydantic import _ensure_strict_json_schema as to_strict
    from openai.types.chat import ChatCompletion
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
    from openai.types.responses import Response
    from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
    from pydantic import TypeAdapter, ValidationError

WITH_GOLDEN = [wire for wire in WIRES if wire != "any-llm"]
REQUESTS = [case for wire in WITH_GOLDEN for case in golden.requests(wire)]
ANSWERS = [case | {"wire": wire} for wire in WITH_GOLDEN for case in golden.answers(wire)]
PARAMS = {
    "openai": CompletionCreateParamsNonStreaming,
    "openai-responses": ResponseCreateParamsNonStreaming,
    "anthropic": MessageCreateParamsNonStreaming,
}


@pytest.mark.parametrize("provider", PARAMS)
def test_the_clients_types_accept_our_requests(provider) -> None:
    adapter: TypeAdapter[dict[str, object]] = TypeAdapter(PARAMS[provider])
    wrong = []
    for case in REQUESTS:
        if case["provider"] == provider:
            endpoint = resolve(provider, None, "k", {})
            request = WIRES[endpoint.wire].build(msgspec.convert(case["call"], Call), endpoint)
            try:
                _exhaust(adapter.validate_json(request.body), case["body"])
            except ValidationError as error:
                wrong.append(f"{case['claim']}: {error}")
    assert not wrong, "\n".join(wrong)


FORMATS = [answer_of(output).format for output, _, _ in READ]
SCHEMAS = [wanted.schema for wanted in FORMATS if wanted is not None and wanted.schema is not None]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_openais_client_has_nothing_to_change_in_our_schemas(schema) -> None:
    strict, is_strict = schema_dialects.for_openai(schema)
    if is_strict:
        assert to_strict(deepcopy(strict), path=(), root=strict) == strict


def test_most_schemas_are_enforced() -> None:
    strict = [schema for schema in SCHEMAS if schema_dialects.for_openai(schema)[1]]
    fit = [schema for schema in SCHEMAS if schema_dialects.for_anthropic(schema) is not None]
    assert len(SCHEMAS) - len(strict) == 1  # of dict[str, int]
    assert len(SCHEMAS) - len(fit) == 4  # and those that refer to themselves


def _exhaust(value, sent) -> None:
    """Pydantic checks an Iterable only while it is read, and takes a text for one."""
    if isinstance(sent, dict) and isinstance(value, dict):
        for name, inner in value.items():
            _exhaust(inner, sent[name])
    elif isinstance(sent, list):
        for inner, part in zip(value, sent, strict=True):
            _exhaust(inner, part)


def answer(claim: str) -> tuple[Reply, bytes]:
    case = next(case for case in ANSWERS if case["claim"].startswith(claim))
    body = msgspec.json.encode(case["body"])
    result = WIRES[case["wire"]].parse(HttpResponse(200, {}, body))
    assert isinstance(result, Reply)
    return result, body


def test_openais_client_reads_the_same_completion() -> None:
    ours, body = answer("chat: a reply with cached")
    theirs = ChatCompletion.model_validate_json(body)
    assert theirs.choices[0].message.content == ours.text
    assert theirs.usage is not None
    assert theirs.usage.prompt_tokens == ours.usage.input_tokens
    assert theirs.usage.prompt_tokens_details is not None
    assert theirs.usage.prompt_tokens_details.cached_tokens == ours.usage.cached_input_tokens


def test_openais_client_reads_the_same_response() -> None:
    ours, body = answer("responses: a reply behind its reasoning")
    theirs = Response.model_validate_json(body)
    assert theirs.output_text == ours.text
    assert theirs.usage is not None
    assert theirs.usage.output_tokens == ours.usage.output_tokens


def test_anthropics_client_reads_the_same_message() -> None:
    ours, body = answer("anthropic: the input includes")
    theirs = AnthropicMessage.model_validate_json(body)
    assert "".join(part.text for part in theirs.content if part.type == "text") == ours.text
    assert theirs.usage.cache_creation_input_tokens == ours.usage.cache_write_tokens


def test_googles_client_reads_the_same_candidate() -> None:
    ours, body = answer("google: a reply; thoughts")
    theirs = GenerateContentResponse.model_validate_json(body)
    assert theirs.text == ours.text
    assert theirs.usage_metadata is not None
    assert theirs.usage_metadata.thoughts_token_count == ours.usage.reasoning_tokens
