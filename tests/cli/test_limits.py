"""`flowpool limits` as a process, against the simulator's server on a real socket."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from flowpool import Model, Pool, Skill
from flowpool.simulator import PROFILES, Fixed, SimServer

VARIABLES = {
    "openai": ("OPENAI_BASE_URL", "/v1", "OPENAI_API_KEY", "gpt-5-mini"),
    "anthropic": ("ANTHROPIC_BASE_URL", "", "ANTHROPIC_API_KEY", "claude-haiku-4-5"),
    "google": ("GOOGLE_GEMINI_BASE_URL", "", "GEMINI_API_KEY", "gemini-2.5-flash"),
}


@pytest.fixture
def sound(flowpool: Any, sim: SimServer) -> Any:
    """Runs `flowpool limits` against a profile; its exit code and what it printed."""

    def ask(profile: str, *arguments: str, api: str = "openai", **changes: Any) -> tuple[int, str]:
        sim.reset(PROFILES[profile].replace(**{"latency": Fixed(0.02), **changes}))
        url, path, key, model = VARIABLES[api]
        flowpool.env |= {url: sim.url + path, key: "key-canary", "FLOWPOOL_SHARE": "off"}
        code, out, err = flowpool("limits", "--model", model, *arguments)
        assert "key-canary" not in out + err
        return code, out + err

    return ask


def row(output: str, name: str) -> list[str]:
    line = next(line for line in output.splitlines() if line.startswith(f"{name} "))
    return re.split(r"\s{2,}", line)[1:]


def test_limits_come_from_headers(sound: Any, sim: SimServer) -> None:
    code, out = sound("openai", rpm=600, depth=60.0)
    assert code == 0
    assert out.startswith("openai/gpt-5-mini at http://127.0.0.1:")
    assert re.search(r"5 calls answered in 0\.\d\d s( to 0\.\d\d s)?, \d+ tokens, ", out)
    limit, left, _, a_minute = row(out, "requests")
    assert (limit, a_minute) == ("600", "600")
    assert 590 <= float(left) < 600
    assert row(out, "tokens")[0] == "2,000,000"
    assert sim.ledger()["requests"] == 5


def test_anthropics_come_with_input_and_output_apart(sound: Any) -> None:
    _, out = sound("anthropic", api="anthropic")
    assert row(out, "input tokens")[0] == "2,000,000"
    assert row(out, "output tokens")[0] == "400,000"
    assert "inf" not in out


def test_a_header_that_does_not_speak_of_a_minute_is_not_said_to(sound: Any) -> None:
    _, out = sound("groq")
    assert row(out, "requests")[-1] != "500,000"


@pytest.mark.parametrize(("profile", "api"), [("google", "google"), ("vllm", "openai")])
def test_without_headers_it_says_what_was_seen(sound: Any, profile: str, api: str) -> None:
    code, out = sound(profile, api=api)
    assert code == 0
    assert "5 calls answered in " in out
    assert "No limit headers: nothing says what the limits are." in out


def test_calls_says_how_many_and_each_asks_for_few_tokens(sound: Any, sim: SimServer) -> None:
    sound("free", "--calls", "2", answer_chars=4000)
    books = sim.ledger()
    assert books["requests"] == 2
    assert books["output_tokens"] <= 2 * 16


def test_the_first_429_ends_it_with_what_it_said(sound: Any, sim: SimServer) -> None:
    code, out = sound("openai", rpm=60, depth=2.0)
    assert code == 1
    assert "2 calls answered in " in out
    assert "Call 3 failed, so none followed; it asks to wait " in out
    assert "RateLimited: HTTP 429" in out
    assert row(out, "requests")[0] == "2"
    assert sim.ledger()["requests"] == 3


def test_a_wrong_key_is_one_line_and_one_call(sound: Any, sim: SimServer) -> None:
    code, out = sound("free", faults={"401": 1.0})
    assert code == 1
    assert "flowpool: HTTP 401" in out
    assert "check the API key" in out
    assert sim.ledger()["requests"] == 1


def test_a_server_that_is_not_there_is_one_line(flowpool: Any) -> None:
    code, _, err = flowpool("limits", "-m", "m", "--base-url", "http://127.0.0.1:9/v1")
    assert code == 1
    assert err.startswith("flowpool: ")
    assert len(err.splitlines()) == 1


def test_a_missing_key_is_named_before_any_call(flowpool: Any, sim: SimServer) -> None:
    del flowpool.env["OPENAI_API_KEY"], flowpool.env["OPENAI_BASE_URL"]
    code, _, err = flowpool("limits", "--model", "gpt-5-mini")
    assert code == 2
    assert "OPENAI_API_KEY" in err
    assert sim.ledger()["requests"] == 0


def test_what_a_run_learned_is_shown_without_a_call(
    flowpool: Any, sim: SimServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim.reset(PROFILES["openai"].replace(rpm=1200, depth=1.0, latency=Fixed(0.02)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("FLOWPOOL_SHARE", "on")
    flowpool.env |= {"XDG_CACHE_HOME": str(tmp_path), "FLOWPOOL_SHARE": "on"}
    arguments = ("limits", "--model", "gpt-5-mini", "--calls", "0")
    assert "No run before has learned its limits." in flowpool(*arguments)[1]
    model = Model("gpt-5-mini", base_url=f"{sim.url}/v1", api_key="key-canary", provider="openai")
    Pool(Skill(model, prompt="{n}"), [{"n": n} for n in range(65)], progress=False).run()
    before = sim.ledger()["requests"]
    assert re.search(
        r"Learned by a run .* s ago: 1,\d{3} requests .*a minute", flowpool(*arguments)[1]
    )
    assert sim.ledger()["requests"] == before
