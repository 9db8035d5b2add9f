"""Finish reasons: what is known in any spelling, and what is never a whole answer."""

from __future__ import annotations

import pytest

from flowpool.errors import (
    Blocked,
    EmptyReply,
    InvalidReply,
    Overloaded,
    Refused,
    ServerError,
    Truncated,
)
from flowpool.wire.endings import PAUSED, TOOL, WHOLE, ending_of

MEANT = {
    None: [
        *(
            "",
            " ",
            "null",
            "None",
            "stop",
            "STOP",
            "Stop",
            "FINISH_REASON_STOP",
            "eos",
            "eos_token",
        ),
        *("end_turn", "endTurn", "stop_sequence", "stopSequence", "COMPLETE", "completed", "done"),
        *("finished", "end", "<|endoftext|>", "FINISH_REASON_UNSPECIFIED", "stop_token", "success"),
        *("stopped_eos", "stopped_word"),
    ],
    Truncated: [
        *("length", "LENGTH", "max_tokens", "MAX_TOKENS", "maxTokens", "max-tokens", "maxtokens"),
        *("FINISH_REASON_MAX_TOKENS", "max_output_tokens", "max_new_tokens", "token_limit"),
        *(
            "model_length",
            "model_context_window_exceeded",
            "context_length_exceeded",
            "ERROR_LIMIT",
        ),
        *("truncated", "incomplete", "stopped_limit", "repetition_truncation"),
    ],
    Blocked: [
        *("content_filter", "content-filter", "ContentFilter", "content_filtered", "SAFETY"),
        *("sensitive", "RECITATION", "PROHIBITED_CONTENT", "SPII", "BLOCKLIST", "IMAGE_SAFETY"),
        *("guardrail_intervened", "ERROR_TOXIC", "LANGUAGE", "MODEL_ARMOR"),
    ],
    Refused: ["refusal", "refused"],
    InvalidReply: [
        *("error", "ERROR", "abort", "aborted", "network_error", "cancelled", "USER_CANCEL"),
        *("failed", "disconnected", "not_finished", "MALFORMED_FUNCTION_CALL", "in_progress"),
        *("malformed_model_output", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "load"),
        *("tired", "x", "未知", "!!!", "true", "7"),
    ],
    Overloaded: ["insufficient_system_resource", "overloaded"],
    ServerError: ["TIMEOUT", "time_limit", "timed_out"],
    EmptyReply: ["OTHER", "other"],
}
CASES = [(kind, reason) for kind, reasons in MEANT.items() for reason in reasons]


@pytest.mark.parametrize(("kind", "reason"), CASES)
def test_a_reason_means_the_same_in_any_spelling(kind, reason) -> None:
    ending = ending_of(reason)
    assert ending.failure is kind
    assert (ending is WHOLE) == (kind is None)


@pytest.mark.parametrize("reason", ["tool_calls", "TOOL_CALL", "tool_use", "function_call"])
def test_a_tool_is_called_in_any_spelling(reason) -> None:
    assert ending_of(reason) is TOOL
    assert ending_of("pause_turn") is PAUSED


def test_a_reason_that_nobody_knows_is_not_asked_again() -> None:
    ending = ending_of("tired")
    assert not ending.is_known
    assert "'tired'" in ending.why
