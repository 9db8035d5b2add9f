"""The values that flow between the layers. Plain data: nothing here does I/O or knows who uses it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from msgspec import Struct

from flowpool.errors import InvalidInput
from flowpool.usage import NO_USAGE as NO_USAGE
from flowpool.usage import Usage as Usage

if TYPE_CHECKING:
    import typing_extensions

    # What an item's output is; without a default, an unadorned `Results` would be an error to strict type checkers.
    Output = typing_extensions.TypeVar("Output", default=Any)
else:
    Output = TypeVar("Output")

Role = Literal["system", "user", "assistant"]
Headers = tuple[tuple[str, str], ...]


class Status(IntEnum):
    """Where an item stands."""

    PENDING = 0
    RUNNING = 1
    DONE = 2
    FAILED = 3
    CANCELLED = 4

    def __repr__(self) -> str:
        return self.name


class Secret:
    """A key that shows itself only when asked by `reveal()`: never in a repr, a log or a pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        raise TypeError("a key can't be pickled: pass its environment variable instead")


class Text(Struct, frozen=True, tag="text"):
    """A piece of a message in words."""

    text: str


class Media(Struct, frozen=True, tag="media"):
    """An image or a document in a message, by `url` or as base64 `data`."""

    media_type: str
    data: str = ""
    url: str = ""
    name: str = ""

    def __repr__(self) -> str:
        # Its data may be millions of characters.
        return f"Media({self.media_type}, {self.url or f'{len(self.data):,} characters of base64'})"


Part = Text | Media


class Message(Struct, frozen=True):
    """One message of a conversation."""

    role: Role
    parts: tuple[Part, ...]


class OutputFormat(Struct, frozen=True):
    """What the answer must be: any JSON, or JSON that fits `schema`.

    `form` is how it is asked for: by the best means that the provider has, or in words alone.
    """

    kind: Literal["json", "json_schema"]
    schema: Mapping[str, Any] | None = None
    name: str = "answer"
    form: Literal["native", "words"] = "native"


class Call(Struct, frozen=True):
    """One question to a model, in no provider's dialect.

    `options` holds the neutral names `max_tokens`, `temperature`, `top_p`, `stop`, `seed`; any other name
    goes into the request's body as it stands.
    """

    model: str
    messages: tuple[Message, ...]
    options: Mapping[str, Any]
    output: OutputFormat | None = None


# The scheme of a URL whose host is the percent-encoded path of a Unix socket.
UNIX = "http+unix"


class Tls(Struct, frozen=True):
    """How a server of TLS is trusted, and how one shows who one is.

    ca_file: a PEM file of further certificate authorities. client_cert: a PEM file, and that of its key where it is
    another. verify: False trusts whatever the server shows.
    """

    ca_file: str | None = None
    client_cert: tuple[str, ...] = ()
    verify: bool = True


class Endpoint(Struct, frozen=True, cache_hash=True):
    """Where a model's calls go: a resolved row of the provider table. `headers` excludes the key's."""

    provider: str
    wire: str
    base_url: str
    key: Secret
    headers: Headers = ()
    tls: Tls = Tls()

    def __repr__(self) -> str:
        # Header values may hold a gateway's key.
        names = ", ".join(name for name, _ in self.headers)
        return f"Endpoint({self.provider} {self.base_url}, wire: {self.wire}; headers: {names or 'none'})"


class HttpRequest(Struct, frozen=True):
    """One HTTP request. `headers` should be one tuple reused between calls: the transport caches by it."""

    method: str
    url: str
    headers: Headers
    body: bytes = b""

    def __repr__(self) -> str:
        # Header values hold the key.
        names = ", ".join(name for name, _ in self.headers)
        return f"HttpRequest({self.method} {self.url}, headers: {names}; {len(self.body)} bytes)"


class HttpResponse(Struct, frozen=True):
    """A whole HTTP answer. Header names are in lower case; the body is decompressed.

    connect, first_byte: what of its time went where, as in `Timing`; 0 where the transport can't tell.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    connect: float = 0.0
    first_byte: float = 0.0


class Caps(Struct, frozen=True):
    """The most that one call in a worker process may take; None is no cap.

    seconds: of its work, what it waits for a worker not counted. memory: bytes beyond those that the worker has at
    the call's beginning; kept where the system has such a limit (Linux). output: bytes of its result.
    """

    seconds: float | None = None
    memory: int | None = None
    output: int | None = None


class Timeouts(Struct, frozen=True):
    """Seconds an attempt may take: to connect, between two reads, and in all."""

    connect: float = 10.0
    read: float = 600.0
    total: float = 600.0


class AnswerColumns(Struct, frozen=True):
    """What is known of a runner's answers as columns, before there is any.

    name: the column of an answer without fields. fields: the fields of one that has them, each with its JSON type
    ("" where that isn't known). kind: the JSON type of one without; None where nothing is known.
    """

    name: str = "output"
    fields: Mapping[str, str] = {}
    kind: str | None = None


UNKNOWN_ANSWERS = AnswerColumns()


class Reply(Struct, frozen=True):
    """A model's complete answer to a call."""

    text: str
    usage: Usage = NO_USAGE
    model: str = ""
    request_id: str = ""


class Timing(Struct, frozen=True, gc=False):
    """Where the time of an attempt went, in seconds.

    Before it was sent, it waited for: slot_wait: a slot among the calls in flight. limit_wait: its turn within a
    rate limit. budget_wait: money that other calls had set aside. backoff: after the failure before. Within the
    attempt's own seconds: connect: for a connection. first_byte: from the request to the first byte of the answer.
    What is left of them is the reading of the answer; of a function's attempt, its own code.
    """

    slot_wait: float = 0.0
    limit_wait: float = 0.0
    budget_wait: float = 0.0
    backoff: float = 0.0
    connect: float = 0.0
    first_byte: float = 0.0


NO_TIMING = Timing()


class Attempt(Struct, frozen=True, gc=False):
    """One request of a call, as it went.

    step: the step that made it. model: `provider/model`. started: seconds of the run's loop clock. status: the HTTP
    status, None where no answer came. error: the error's type, None for an answer. prices: as configured.
    unknown_cost, unknown_tokens: the most that it may have cost, in dollars, where nobody knows what it did.
    timing: what the call waited for before it, and what of its seconds went where.
    """

    step: str
    model: str
    started: float
    seconds: float
    status: int | None = 200
    error: str | None = None
    usage: Usage = NO_USAGE
    request_id: str = ""
    prices: Prices | None = None
    unknown_cost: float = 0.0
    unknown_tokens: int = 0
    timing: Timing = NO_TIMING


class Limits(Struct, frozen=True, kw_only=True):
    """Ceilings that people know, never exceeded. None leaves one open.

    rpm: requests a minute. tpm: tokens a minute, input and output together. input_tpm, output_tpm: the
    same apart. concurrent: calls in flight. They belong to the key and model, and hold for what all pools with
    limits, threads and processes of a user do on one machine, at once or one after the other
    (`FLOWPOOL_SHARE=off`: those of one process). A function's are its process's, and have no tokens.

        Pool(skill, items, limits=Limits(rpm=3000, concurrent=64))
    """

    rpm: float | None = None
    tpm: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    concurrent: int | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            kinds = (int,) if name == "concurrent" else (int, float)
            if value is not None and not (isinstance(value, kinds) and value > 0):
                least = "1 or more" if name == "concurrent" else "a number above 0"
                raise InvalidInput(f"Limits({name}={value!r}): use {least}, or None for no limit.")


class Prices(Struct, frozen=True, kw_only=True):
    """What a model costs: dollars for a million tokens. For a model that the price list doesn't know, or has wrong.

    cached_input, cache_write: of input read from or written to a cache, as `input` if left out. request:
    dollars for each call beside its tokens.

        Model("qwen3", base_url="http://localhost:8000/v1", prices=Prices(input=0, output=0))
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None
    request: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and 0 <= value < inf):
                raise InvalidInput(f"Prices({name}={value!r}): use dollars, 0 or more.")


class LimitReading(Struct, frozen=True):
    """One dimension's limit headers on an answer.

    reset: seconds until the bucket is full again, None if the provider doesn't say. coarse: `reset` is in
    whole seconds.
    """

    dimension: str
    limit: float
    remaining: float
    reset: float | None = None
    coarse: bool = False


class Transport(Protocol):
    """What carries requests: real sockets, or the simulator in memory."""

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        """The answer to `request`; raises a `TransportError` when there is none."""
        ...

    async def aclose(self) -> None:
        """Closes every connection."""
        ...
