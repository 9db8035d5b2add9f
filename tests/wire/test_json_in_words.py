"""How servers word it that they won't have a schema."""

from __future__ import annotations

import pytest

from flowpool.errors import BadRequest, ServerError
from flowpool.values import OutputFormat
from flowpool.wire.json_in_words import refuses_format

NATIVE = OutputFormat("json_schema", {"type": "object"})
REFUSALS = [
    "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
    "This model does not support response format `json_schema`.",
    "Unknown name \"responseJsonSchema\" at 'generation_config': Cannot find field.",
    "output_config.format: Extra inputs are not permitted",
    "'claude-x' does not support output format.",
    "Invalid schema for response_format 'answer': In context=(), 'additionalProperties' is required",
    "Failed to parse grammar",
    "Thinking may not be enabled when tool_choice forces tool use.",
]


@pytest.mark.parametrize("words", REFUSALS)
def test_a_refused_format_is_told_by_its_words(words: str) -> None:
    assert refuses_format(BadRequest(words, status=400), NATIVE)
    assert refuses_format(BadRequest(words, status=422), OutputFormat("json"))


@pytest.mark.parametrize(
    ("error", "output"),
    [
        (BadRequest(REFUSALS[0], status=400), None),
        (BadRequest(REFUSALS[0], status=400), OutputFormat("json", form="words")),
        (BadRequest("The prompt is too long.", status=400), NATIVE),
        (BadRequest(REFUSALS[0], status=413), NATIVE),
        (ServerError(REFUSALS[0], status=500), NATIVE),
    ],
)
def test_other_failures_are_not(error, output) -> None:
    assert not refuses_format(error, output)
