"""`flowpool sim` as a process."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from typing import Any

import pytest


def listening(flowpool: Any, *arguments: str) -> tuple[Any, str]:
    """The process and where it listens."""
    process = flowpool.start("sim", "--port", "0", *arguments)
    line = process.stdout.readline().decode()
    return process, next(word for word in line.split() if word.startswith("http")).rstrip(".,")


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def ask(url: str, prompt: str) -> dict[str, Any]:
    body = {"model": "any", "messages": [{"role": "user", "content": prompt}]}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": "Bearer key-canary"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        reply: dict[str, Any] = json.load(answer)
        return reply


def test_it_answers_until_ctrl_c_and_then_sums_up(flowpool: Any) -> None:
    process, url = listening(flowpool)
    assert url.startswith("http://127.0.0.1:")
    assert ask(url, "Who are you?")["choices"][0]["message"]["content"].startswith("I am flowpool")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"1 requests, 1 answers" in out
    assert err == b""


def test_options_are_the_profiles(flowpool: Any) -> None:
    options = ("--profile", "vllm", "--latency", "0", "--rpm", "600", "--slots", "3")
    _, url = listening(flowpool, *options, "--fault", "400=0.5", "--fault", "500=0.5")
    overview = get(f"{url}/sim/")
    assert "a vllm provider, limits: rpm 600, slots 3" in overview
    codes = set()
    for i in range(20):
        try:
            ask(url, f"Question {i}")
        except urllib.error.HTTPError as error:
            codes.add(error.code)
            error.close()
    assert codes == {400, 500}


def test_the_demos_pages_are_served(flowpool: Any) -> None:
    _, url = listening(flowpool, "--pages", "demo")
    assert get(f"{url}/pages/").count("<li>") > 200
    assert "<title>Slovenia" in get(f"{url}/pages/slovenia")


def test_a_world_refuses_in_place_of_the_limits_and_is_named(flowpool: Any) -> None:
    process, url = listening(flowpool, "--world", "chance share=1 status=529", "--world-seed", "7")
    with pytest.raises(urllib.error.HTTPError, match="529") as refused:
        ask(url, "Who are you?")
    refused.value.close()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert b"Its world: 100.0% of all calls get a 529 by chance." in out
    assert b"--world 'chance share=1 status=529" in out
    assert b"--world-seed 7" in out


def test_a_port_that_is_taken_is_said_in_a_line(flowpool: Any) -> None:
    _, url = listening(flowpool)
    code, out, err = flowpool("sim", "--port", url.rpartition(":")[2])
    assert (code, out) == (2, "")
    assert err.startswith("flowpool: --port ")
    assert "in use" in err
    assert err.count("\n") == 1


def test_mistakes_are_said_in_a_line(flowpool: Any) -> None:
    for arguments, words in (
        (("--profile", "none"), "profile 'none': use one of"),
        (("--latency", "soon"), "latency 'soon'"),
        (("--fault", "bad"), "fault 'bad'"),
        (("--pages", "nowhere"), "--pages nowhere: no such directory"),
        (("--slots", "0"), "slots=0"),
    ):
        code, _, err = flowpool("sim", "--port", "0", *arguments)
        assert code == 2
        assert words in err
        assert err.count("\n") == 1
