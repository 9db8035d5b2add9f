"""A provider on loopback that other frameworks call, and what every one of them is asked."""

from __future__ import annotations

import os
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from flowpool.run.loop_thread import loop_thread
from flowpool.simulator import Fixed, SimServer

# litellm fetches a price list when it is imported, unless it is told to use its own.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LANGSMITH_TRACING"] = "false"


@pytest.fixture(scope="package")
def server() -> Iterator[SimServer]:
    with SimServer("free", latency=Fixed(0.0)) as server:
        yield server


@pytest.fixture
def sim(server: SimServer) -> SimServer:
    """The provider with an empty ledger."""
    server.reset()
    return server


@pytest.fixture
def address(sim: SimServer) -> str:
    return sim.url + "/v1"


def on_the_loop(work: Coroutine[Any, Any, Any]) -> None:
    """Runs `work` where pools run: clients are closed on the loop that opened their connections."""
    loop_thread().submit(work).result()


def saying(count: int, name: str = "text") -> list[dict[str, Any]]:
    """Items whose prompts say what to answer."""
    return [{name: f"[[sim: say=answer {n}]]"} for n in range(count)]
