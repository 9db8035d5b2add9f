"""The names that the conventions give, in one file: they are still moving.

https://github.com/open-telemetry/semantic-conventions-genai, read in November 2026. What has no name there begins
with `flowpool.`.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowpool.usage import Usage

SCOPE = "flowpool"

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
OUTPUT_TYPE = "gen_ai.output.type"
TOKEN_TYPE = "gen_ai.token.type"
WORKFLOW = "gen_ai.workflow.name"
TOOL = "gen_ai.tool.name"
SERVER_ADDRESS, SERVER_PORT = "server.address", "server.port"
ERROR_TYPE, STATUS_CODE = "error.type", "http.response.status_code"

SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"

CHAT, EXECUTE_TOOL, INVOKE_WORKFLOW = "chat", "execute_tool", "invoke_workflow"

ITEM, ITEM_INDEX = "flowpool.item", "flowpool.item.index"
ITEMS_DONE, ITEMS_FAILED = "flowpool.items.done", "flowpool.items.failed"
ATTEMPTS, QUEUED = (
    "flowpool.attempts",
    "flowpool.queued",
)  # queued: seconds before the first attempt
FAILED_ATTEMPT, RETRY_AFTER = "flowpool.failed_attempt", "flowpool.retry_after"

TOKENS, TOKENS_UNIT = "gen_ai.client.token.usage", "{token}"
TOKENS_TEXT = "Number of input and output tokens used."
TOKENS_BUCKETS = [4**n for n in range(14)]
DURATION, DURATION_UNIT = "gen_ai.client.operation.duration", "s"
DURATION_TEXT = "GenAI operation duration."
DURATION_BUCKETS = [0.01 * 2**n for n in range(14)]

_OPTIONS = {
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}
_STOP = "gen_ai.request.stop_sequences"
# Ours by the conventions' names; others keep their own.
_PROVIDERS = {
    "openai-responses": "openai",
    "google": "gcp.gemini",
    "azure": "azure.ai.openai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
    "moonshot": "moonshot_ai",
    "bedrock": "aws.bedrock",
    "vertexai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
}


def provider_name(provider: str) -> str:
    return _PROVIDERS.get(provider, provider)


def option_attributes(options: Mapping[str, object]) -> dict[str, object]:
    """The call's options that have a name, where their values are plain."""
    attributes: dict[str, object] = {
        name: options[option]
        for option, name in _OPTIONS.items()
        if isinstance(options.get(option), (int, float))
    }
    stop = options.get("stop")
    if isinstance(stop, (str, list, tuple)):
        attributes[_STOP] = [stop] if isinstance(stop, str) else [str(one) for one in stop]
    return attributes


def usage_attributes(usage: Usage) -> dict[str, int]:
    attributes = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_input_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    return {name: count for name, count in attributes.items() if count}
