"""The most that a call can use, known from its request before it is sent. Knows no prices and no run.

Hard bounds, for providers that keep to max_tokens: what can't be bounded is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowpool.errors import (
    AddressRefused,
    CallError,
    ConnectFailed,
    ConnectTimeout,
    InvalidInput,
    TransportError,
)
from flowpool.values import Media, Message
from flowpool.wire.anthropic import DEFAULT_MAX_TOKENS

# Beyond the request's own bytes: what chat templates put around messages, and what a provider tells the model
# of tools and of the answer's form (Anthropic's instructions for tools are up to about 800 tokens).
TEMPLATE, FORM = 200, 1500
# The most tokens that providers make of one picture; gpt-4o-mini counts each of them 33 times.
ANTHROPIC_IMAGE, ANY_IMAGE = 5_500, 20_000
COUNTS_MORE, LARGEST_IMAGE = "gpt-4o-mini", 50_000

_OUTPUT_NAMES = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
_CHOICES_NAMES = ("n", "best_of", "candidateCount", "candidate_count")
_PLAIN_TIERS = (None, "auto", "default", "standard", "standard_only", "flex", "on_demand")
# What a proxy or gateway says when it may have lost an answer that was made, and paid.
_LOST_ON_THE_WAY = frozenset({408, 499, 502, 504, *range(520, 528)})


def most_output(options: Mapping[str, Any], wire: str) -> int | None:
    """The most tokens that an answer can have with these options, or None where nothing bounds it."""
    config = options.get("generationConfig")
    holders = (options, config) if isinstance(config, Mapping) else (options,)
    limits = [
        holder[name] for holder in holders for name in _OUTPUT_NAMES if _is_count(holder.get(name))
    ]
    if not limits and wire == "anthropic":
        limits = [DEFAULT_MAX_TOKENS]
    choices = [
        holder[name] for holder in holders for name in _CHOICES_NAMES if _is_count(holder.get(name))
    ]
    return max(limits) * max(1, *choices, 1) if limits else None


def most_input(
    body: bytes, messages: Iterable[Message], provider: str, model: str, window: int | None
) -> int:
    """The most tokens that a request can be: no tokenizer makes more than one of a byte.

    A picture counts by what its provider makes of the largest, a document as much as the model can read (its
    `window`). Raises `InvalidInput` for what has no bound.
    """
    tokens = len(body) + TEMPLATE
    if b'"tools"' in body or b"schema" in body or b'"response_format"' in body:
        tokens += FORM
    for message in messages:
        for part in message.parts:
            if isinstance(part, Media):
                tokens += _most_of_media(part, provider, model, window)
    return tokens


def _most_of_media(media: Media, provider: str, model: str, window: int | None) -> int:
    kind = media.media_type
    if kind.startswith("image/"):
        most = ANTHROPIC_IMAGE if provider == "anthropic" else ANY_IMAGE
        if COUNTS_MORE in model:
            most = LARGEST_IMAGE
        return most - len(media.data)  # its bytes are counted with the request's
    if kind.startswith("text/") and media.data:
        return 0
    if kind.startswith(("audio/", "video/")) or window is None:
        raise InvalidInput(
            f"nobody can say before the call what {kind or 'a file'} costs: run it in a pool without max_cost "
            "and max_tokens_total, or turn it into text first."
        )
    return window - len(media.data)


def unbounded(options: Mapping[str, Any], prices_known: bool) -> str:
    """The option, if any, that makes a call cost what nobody can tell. Fewer do where the user gave prices."""
    for tool in options.get("tools") or ():
        kind = tool.get("type", "function") if isinstance(tool, Mapping) else "function"
        hosted = isinstance(tool, Mapping) and "name" not in tool and not _DECLARED & tool.keys()
        if kind not in ("function", "custom") or hosted:
            return "tools that the provider runs"
    for name in ("web_search_options", "plugins"):
        if options.get(name):
            return name
    if not prices_known:
        for name in ("service_tier", "serviceTier"):
            if options.get(name) not in _PLAIN_TIERS:
                return f"{name}={options[name]!r}"
        if options.get("speed") not in (None, "standard"):
            return f"speed={options['speed']!r}"
    return ""


_DECLARED = frozenset({"function", "functionDeclarations", "function_declarations"})


def is_free(error: CallError, status: int | None) -> bool:
    """Whether a failed call without usage surely cost nothing. `status` is its HTTP answer's."""
    if isinstance(error, TransportError):
        return isinstance(error, (ConnectFailed, ConnectTimeout, AddressRefused))
    return status is not None and status >= 300 and status not in _LOST_ON_THE_WAY


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
