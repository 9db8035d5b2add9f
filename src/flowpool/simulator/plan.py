"""What goes through the simulator: a call as it was understood, and the plan of what becomes of it.

The wires make the one and write the other; `provider` stands between them. Data alone.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from msgspec import Struct

from flowpool.simulator.limits import LimitState
from flowpool.worlds import Arrival

Wire = Literal["chat", "responses", "messages", "gemini", "embeddings", "gemini-embeddings"]
Finish = Literal["stop", "length", "filter", "refusal"]
Shape = Literal["whole", "empty", "not-json", "error-in-200"]
Connection = Literal["open", "reset", "cut", "stall", "slow"]
ToolUse = Literal["auto", "required", "none"]


class SimTool(Struct, frozen=True):
    """A tool that may be called, and the schema of its arguments."""

    name: str
    about: str = ""
    schema: dict[str, Any] = {}


class Thinking(Struct, frozen=True):
    """That the model thinks first. `shown`: whether the answer holds the thought, beside the tokens it cost."""

    shown: bool = False


class Vectors(Struct, frozen=True):
    """The texts whose vectors are wanted, of so many numbers each. `packed`: in base64, several in one answer
    unless `single`."""

    texts: tuple[str, ...]
    size: int
    packed: bool = False
    single: bool = False


class SimRequest(Struct, frozen=True):
    """A call as the provider understands it, whatever wire it came by.

    `text` is every message in order, a line break between them; `user` is the last message of the
    user and `first` the first one; `answers` how often the model has spoken; `key` a fingerprint of the key.
    `called` are the tools that were called since the user spoke last, and `results` what they gave; `worded`
    says whether the model's last turn was words alone.
    `schema` is None unless the answer must fit one; `tool_use` says whether one of `tools` must be called.
    `stops`: where the answer ends. `choices`: how many answers are wanted. `logprobs`: for each token of the
    answer so many likely ones, None for not even its own.
    """

    wire: Wire
    model: str
    text: str
    user: str
    system: str = ""
    first: str = ""
    answers: int = 0
    called: tuple[str, ...] = ()
    results: str = ""
    worded: bool = False
    max_tokens: int | None = None
    wants_json: bool = False
    schema: dict[str, Any] | None = None
    tools: tuple[SimTool, ...] = ()
    tool_use: ToolUse = "auto"
    thinking: Thinking | None = None
    stops: tuple[str, ...] = ()
    choices: int = 1
    logprobs: int | None = None
    vectors: Vectors | None = None
    stream: bool = False
    stream_usage: bool = False
    key: str = "none"


class ServedAnswer(Struct, frozen=True):
    """The model's answer and the tokens it is billed for.

    `tool`: the tool that it calls, with `text` as the arguments. `thought` came before it, `stop` is the stop
    sequence that ended it.
    """

    text: str
    finish: Finish
    input_tokens: int
    output_tokens: int
    tool: str = ""
    thought: str = ""
    stop: str = ""


class Failure(Struct, frozen=True):
    """An HTTP error. `kind` tells "rate", "quota" and "path" (there is nothing there) from the rest, which `status`
    describes. `page`: the body, of a proxy that answers instead of the API. `not_done`: what of the request the
    simulator doesn't do."""

    status: int
    message: str
    kind: Literal["rate", "quota", "path", "status"] = "status"
    dimension: str = "requests"
    retry_after: float | None = None
    page: str = ""
    not_done: tuple[str, ...] = ()


class ReplyPlan(Struct, eq=False):
    """What becomes of one request. `due` is when its first byte leaves, inf while that isn't known:
    it waits for a slot, or will never be answered. The body takes `spread` seconds more. `call`: what a
    world admitted and hears of when it is over.
    """

    ticket: int
    request: SimRequest
    digest: str
    received: float
    outcome: ServedAnswer | Failure
    connection: Connection = "open"
    shape: Shape = "whole"
    service: float = 0.0
    spread: float = 0.0
    limits: tuple[LimitState, ...] = ()
    holds_slot: bool = False
    call: Arrival | None = None
    started: float = math.inf
    due: float = math.inf

    @property
    def waiting(self) -> bool:
        """In the queue for a slot: `finished` or `abandoned` of others returns it when it starts."""
        return self.started == math.inf


def tokens_of(text: str) -> int:
    """The simulator's tokenizer: four characters a token."""
    return -(-len(text) // 4)
