"""A simulator on loopback, and the providers' own client packages pointed at it."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from flowpool.simulator import SimServer


@pytest.fixture(scope="module")
def client_sim() -> Any:
    with SimServer("free") as server:
        yield server


@pytest.fixture
def openai_client(client_sim: Any) -> Any:
    with openai.OpenAI(
        base_url=f"{client_sim.url}/v1", api_key="key-canary", max_retries=0
    ) as client:
        yield client


@pytest.fixture
def anthropic_client(client_sim: Any) -> Any:
    with anthropic.Anthropic(
        base_url=client_sim.url, api_key="key-canary", max_retries=0
    ) as client:
        yield client


@pytest.fixture
def google_client(client_sim: Any) -> Any:
    client = genai.Client(
        api_key="key-canary", http_options=types.HttpOptions(base_url=client_sim.url)
    )
    yield client
    client.close()
