"""In memory and on real sockets the simulator is one provider: flowpool's calls end the same way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from flowpool.errors import CallError
from flowpool.http.transport import HttpTransport
from flowpool.simulator import SimServer, SimTransport, run_virtual
from flowpool.values import (
    Call,
    Endpoint,
    Message,
    OutputFormat,
    Reply,
    Secret,
    Text,
    Timeouts,
    Transport,
)
from flowpool.wire import WIRES

BASES = {"openai-chat": "/v1", "openai-responses": "/v1", "anthropic": "", "gemini": ""}
SCHEMA = {"type": "object", "properties": {"label": {"type": "string", "enum": ["sea", "dam"]}}}
ENDINGS = {
    "": "Reply",
    "[[sim: 429 retry-after=0.2]]": "RateLimited",
    "[[sim: quota]]": "QuotaExhausted",
    "[[sim: 400]]": "BadRequest",
    "[[sim: 401]]": "AuthFailed",
    "[[sim: 500]]": "ServerError",
    "[[sim: 529]]": "Overloaded",
    "[[sim: reset]]": "ConnectionReset",
    "[[sim: cut]]": "BodyCut",
    "[[sim: stall]]": "AttemptTimeout",
    "[[sim: empty]]": "EmptyReply",
    "[[sim: not-json]]": "InvalidReply",
    "[[sim: error-in-200]]": "ServerError",
    "[[sim: truncate]]": "Truncated",
    "[[sim: slow=0.05]]": "Reply",
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with SimServer("free") as sim:
        yield sim.url


async def endings(wire: str, transport: Transport, base_url: str) -> dict[str, str]:
    """How one call ends for each directive: the name of its reply's or its error's type."""
    endpoint = Endpoint("sim", wire, base_url + BASES[wire], Secret("key-canary"))
    ended = {}
    for directive in ENDINGS:
        call = Call("m", (Message("user", (Text(f"{directive} The dam leaks."),)),), {})
        try:
            request = WIRES[wire].build(call, endpoint)
            response = await transport.send(request, Timeouts(total=0.3))
            ended[directive] = type(WIRES[wire].parse(response)).__name__
        except CallError as error:
            ended[directive] = type(error).__name__
    await transport.aclose()
    return ended


@pytest.mark.parametrize("wire", BASES)
def test_in_memory_each_directive_ends_as_its_error(wire: str) -> None:
    assert run_virtual(endings(wire, SimTransport(), "http://sim")) == ENDINGS


@pytest.mark.parametrize("wire", BASES)
def test_on_sockets_each_directive_ends_as_its_error(wire: str, url: str) -> None:
    async def main() -> dict[str, str]:
        return await endings(wire, HttpTransport(), url)

    assert asyncio.run(main()) == ENDINGS


@pytest.mark.parametrize("model", ["m", "claude-3-haiku"])
@pytest.mark.parametrize("wire", BASES)
def test_a_schema_comes_back_filled_on_every_wire(wire: str, model: str) -> None:
    async def main() -> str:
        endpoint = Endpoint("sim", wire, "http://sim" + BASES[wire], Secret("key-canary"))
        output = OutputFormat("json_schema", SCHEMA)
        said = (Message("system", (Text("Be brief."),)), Message("user", (Text("The dam."),)))
        request = WIRES[wire].build(Call(model, said, {}, output), endpoint)
        reply = WIRES[wire].parse(await SimTransport().send(request, Timeouts()))
        assert isinstance(reply, Reply)
        return reply.text.replace(" ", "")

    assert run_virtual(main()) == '{"label":"dam"}'
