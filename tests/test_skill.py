from __future__ import annotations

import asyncio
import json
import re
from random import Random
from typing import Any

import pytest
from tests.helpers import Recorder

from flowpool import Model, Pool, Skill
from flowpool.errors import (
    BadRequest,
    InvalidInput,
    InvalidItem,
    InvalidOutput,
    RateLimited,
    ServerError,
)
from flowpool.pool import arun_one
from flowpool.run.environment import Environment
from flowpool.simulator import PROFILES, SimTransport, SimulatedProvider, run_virtual
from flowpool.values import HttpRequest, HttpResponse, Media, Timeouts


class Answers:
    """A chat model that answers with the given texts in turn."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        await asyncio.sleep(0.01)
        text = self.answers.pop(0) if self.answers else "fine"
        message = {"role": "assistant", "content": text}
        body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}}
        return HttpResponse(200, {}, json.dumps(body).encode())

    async def aclose(self) -> None:
        pass


def scripted(*answers: str) -> Recorder:
    """A model that gives these answers in turn, and what it was asked."""
    return Recorder(Answers(*answers))


def ask(skill: Skill, variables: dict | None = None, transport: Any = None) -> Any:
    environment = Environment(transport or scripted(), {"OPENAI_API_KEY": "key-canary"}, Random(0))
    return run_virtual(arun_one(skill, variables, environment=environment))


def messages(skill: Skill, variables: dict | None = None) -> list[dict[str, Any]]:
    transport = scripted()
    ask(skill, variables, transport)
    asked: list[dict[str, Any]] = transport.bodies[0]["messages"]
    return asked


# Prompts


def test_a_prompt_is_one_user_message() -> None:
    skill = Skill("gpt-5-mini", prompt="Say {word}, not {other.word}.")
    assert skill.names == {"word", "other.word"}
    sent = messages(skill, {"word": "hi", "other": {"word": "ho"}})
    assert sent == [{"role": "user", "content": "Say hi, not ho."}]


def test_a_conversation_keeps_its_roles_and_order() -> None:
    talk = [
        {"role": "system", "parts": ["Be {mood}."]},
        {"role": "user", "parts": ["One."]},
        {"role": "assistant", "parts": ["Two."]},
        {"parts": "Three {n}."},  # the user's is the default role
    ]
    sent = messages(Skill("gpt-5-mini", {"messages": talk}), {"mood": "brief", "n": 3})
    assert [m["role"] for m in sent][1:] == ["user", "assistant", "user"]
    assert [m["content"] for m in sent] == ["Be brief.", "One.", "Two.", "Three 3."]


def test_an_assistant_message_without_parts_is_generated_there() -> None:
    talk = [
        {"role": "user", "parts": ["Think about {topic}."]},
        {"role": "assistant"},
        {"role": "user", "parts": ["Now in one word."]},
    ]
    transport = scripted("A long thought.", "Tea")
    skill = Skill("gpt-5-mini", {"messages": talk})
    assert ask(skill, {"topic": "tea"}, transport) == "Tea"
    assert [m["content"] for m in transport.bodies[1]["messages"]] == [
        "Think about tea.",
        "A long thought.",
        "Now in one word.",
    ]


def test_a_conversation_may_end_where_the_model_speaks() -> None:
    talk = [{"role": "user", "parts": ["Hello."]}, {"role": "assistant"}]
    transport = scripted('{"a": 1}')
    output = {"format": {"type": "json"}}
    assert ask(Skill("gpt-5-mini", {"messages": talk}, output), {}, transport) == {"a": 1}
    assert len(transport.bodies) == 1


PICTURES: list[Any] = [
    {"type": "image", "url": "{link}", "media_type": "image/png"},
    {"type": "image", "source": {"url": "{link}", "media_type": "image/png"}},
    Media("image/png", url="{link}"),
]


@pytest.mark.parametrize("part", PICTURES)
def test_images_are_parts_and_their_urls_are_templates(part: Any) -> None:
    skill = Skill("gpt-5-mini", {"messages": [{"role": "user", "parts": ["See", part]}]})
    assert skill.names == {"link"}
    [message] = messages(skill, {"link": "http://host/a.png"})
    assert "http://host/a.png" in json.dumps(message)


def test_variables_of_the_skill_are_defaults_that_items_override() -> None:
    skill = Skill("gpt-5-mini", prompt="{greeting} {name}", variables={"greeting": "Hello"})
    assert skill.names == {"name"}
    assert messages(skill, {"name": "Ada"})[0]["content"] == "Hello Ada"
    assert messages(skill, {"name": "Ada", "greeting": "Bye"})[0]["content"] == "Bye Ada"


def test_the_skills_options_win_over_the_models() -> None:
    model = Model("gpt-5-mini", {"temperature": 1, "seed": 7})
    transport = scripted()
    ask(Skill(model, prompt="x", options={"temperature": 0}), None, transport)
    assert transport.bodies[0]["temperature"] == 0
    assert transport.bodies[0]["seed"] == 7


# Answers


@pytest.mark.parametrize(
    "answer", ['{"a": 1}', ' {"a": 1}\n', '```json\n{"a": 1}\n```', '```\n{"a": 1}```']
)
def test_json_is_read_also_inside_a_fence(answer: str) -> None:
    skill = Skill("gpt-5-mini", prompt="x", output={"format": {"type": "json"}})
    assert ask(skill, None, scripted(answer)) == {"a": 1}


def test_an_answer_that_is_no_json_is_asked_for_again() -> None:
    skill = Skill("gpt-5-mini", prompt="x", output={"format": {"type": "json"}})
    transport = scripted("Sorry,", '{"a": 1}')
    assert ask(skill, None, transport) == {"a": 1}
    assert len(transport.bodies) == 2


def test_an_answer_that_never_is_json_fails_with_what_came() -> None:
    skill = Skill("gpt-5-mini", prompt="x", output={"format": {"type": "json"}}, output_retries=1)
    with pytest.raises(InvalidOutput, match="isn't JSON") as caught:
        ask(skill, None, scripted("Sorry,", "again"))
    assert caught.value.partial == "again"


def test_a_schema_is_sent_and_the_answer_is_a_dict() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    output = {"modalities": ["text"], "format": {"type": "json_schema", "schema": schema}}
    skill = Skill("gpt-5-mini", prompt="Where? {text}", output=output)
    simulator = SimTransport(SimulatedProvider())
    answer = ask(skill, {"text": "Paris is a city."}, simulator)
    assert list(answer) == ["city"]


@pytest.mark.parametrize(
    "output", [None, {}, {"format": {"type": "text"}}, {"modalities": ["text"]}]
)
def test_text_is_the_output_otherwise(output: Any) -> None:
    assert ask(Skill("gpt-5-mini", prompt="x", output=output), None, scripted("{}")) == "{}"


# Failures


def test_fallback_models_answer_in_order() -> None:
    skill = Skill(["gpt-5", "gpt-5-mini"], prompt="[[sim: refuse model=gpt-5]] Hello there.")
    assert ask(skill, None, SimTransport(SimulatedProvider())) == "Hello there."


def test_the_last_models_failure_is_the_skills() -> None:
    skill = Skill(["gpt-5", "gpt-5-mini"], prompt="[[sim: 400]] Hello there.")
    with pytest.raises(BadRequest):
        ask(skill, None, SimTransport(SimulatedProvider()))


@pytest.mark.parametrize("given", [{"retries": 2}, {"max_retries": 2}])
def test_retries_by_either_name_are_attempts_after_the_first(given: dict[str, Any]) -> None:
    provider = SimulatedProvider()
    skill = Skill("gpt-5-mini", prompt="[[sim: 500]] Hello.", **given)
    with pytest.raises(ServerError):
        ask(skill, None, SimTransport(provider))
    assert provider.ledger.requests == 3


def test_run_takes_retries_for_one_call_and_leaves_the_skill() -> None:
    skill = Skill("gpt-5-mini", prompt="x", max_retries=4, retry_delay=2.0)
    changed = skill._with_retries(0, 0.5)
    assert (changed.retries, changed.retry_delay) == (0, 0.5)
    assert (skill.retries, skill.retry_delay) == (4, 2.0)
    assert skill._with_retries(None, None) is skill
    with pytest.raises(InvalidInput, match="retries=-1"):
        skill.run({}, max_retries=-1)
    with pytest.raises(InvalidInput, match="retry_delay=-1"):
        asyncio.run(skill.arun({}, retry_delay=-1))


def test_without_retries_a_throttle_is_the_answer() -> None:
    skill = Skill("gpt-5-mini", prompt="[[sim: 429]] Hello.", max_retries=0)
    with pytest.raises(RateLimited):
        ask(skill, None, SimTransport(SimulatedProvider(PROFILES["free"])))


def test_the_timeout_is_for_one_attempt() -> None:
    transport = scripted()
    ask(Skill(Model("gpt-5-mini", timeout=30), prompt="x", timeout=7), None, transport)
    assert transport.timeouts[0].total == 7


def test_a_dotted_path_that_an_item_lacks_fails_that_item() -> None:
    skill = Skill("gpt-5-mini", prompt="{page.title}")
    with pytest.raises(InvalidItem, match=r"'title' isn't in 'page'"):
        ask(skill, {"page": {"name": "x"}})


# Bad input

USER = {"role": "user", "parts": ["x"]}
BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "pass either prompt='...' or input="),
    ({"prompt": "x", "input": {"messages": [USER]}}, "pass either prompt='...' or input="),
    ({"prompt": " "}, "write the prompt as text"),
    ({"prompt": 5}, "Skill(prompt=5)"),
    ({"input": "x"}, "Skill(input='x') is a conversation: pass a text as prompt="),
    ({"system": "x"}, "Skill(system=...) goes with prompt="),
    ({"system": " ", "prompt": "x"}, "Skill(system=' '): write what the model reads first"),
    ({"input": {"messages": []}}, 'pass {"messages"'),
    (
        {"input": {"messages": ["x"]}},
        "input['messages'][0]: role is one of system, user, assistant",
    ),
    ({"input": {"messages": [USER, {"role": "tool", "parts": ["x"]}]}}, "[1]: role is one of"),
    ({"input": {"messages": [{"role": "user"}]}}, "[0]: a user message needs parts"),
    ({"input": {"messages": [{"role": "system", "parts": []}]}}, "a system message needs parts"),
    ({"input": {"messages": [{"role": "user", "parts": [5]}]}}, "[0]: a part is text"),
    ({"input": {"messages": [{"parts": [{"type": "image"}]}]}}, "[0]: a part is text"),
    ({"input": {"messages": [{"parts": [{"type": "image", "source": "x"}]}]}}, "a part is text"),
    ({"prompt": "x", "model": []}, "name at least one model"),
    ({"prompt": "x", "model": 5}, "pass a Model, its name, a Spread, or a list of them"),
    ({"prompt": "x", "model": [5]}, "Skill(model=5)"),
    ({"prompt": "x", "model": "no-such"}, "'no-such' names no known provider"),
    ({"prompt": "x", "output": "json"}, "output 'json': pass a type, a JSON Schema"),
    ({"prompt": "x", "output": {"format": {"type": "xml"}}}, '{"format": {"type": "json"}}'),
    ({"prompt": "x", "output": {"format": {"type": "json_schema"}}}, '"schema": {...}'),
    ({"prompt": "x", "output": {"modalities": ["audio"]}}, 'only ["text"] is answered'),
    ({"prompt": "x", "variables": 5}, "variables is a dict of values by name, not int"),
    ({"prompt": "x", "options": "hot"}, "options is a dict"),
    ({"prompt": "x", "options": {"api_key": "k"}}, "pass Model(api_key=...)"),
    ({"prompt": "x", "name": 5}, "name and description are text, not 5"),
    ({"prompt": "x", "timeout": -1}, "timeout=-1: use seconds above 0"),
    ({"prompt": "x", "retries": -1}, "retries=-1: use 0 or more"),
    ({"prompt": "x", "max_retries": "two"}, "retries='two'"),
    ({"prompt": "x", "retry_delay": -2.0}, "retry_delay=-2.0: use seconds, 0 or more"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD, ids=[says for _, says in BAD])
def test_a_skill_that_cannot_work_is_refused_in_one_line(arguments: dict, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)) as caught:
        Skill(**{"model": "gpt-5-mini", **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"txt": "x"}, r"no 'text', which 'skill' needs \(it has: txt\)"),
        (None, r"no 'text', which 'skill' needs"),
    ],
)
def test_a_missing_variable_is_refused_before_any_call(variables: Any, says: str) -> None:
    transport = scripted()
    with pytest.raises(InvalidInput, match=says):
        ask(Skill("gpt-5-mini", prompt="{text}"), variables, transport)
    assert not transport.bodies


def test_variables_without_names_are_refused() -> None:
    skill = Skill("gpt-5-mini", prompt="{text}")
    with pytest.raises(InvalidInput, match="pass variables by name"):
        skill.run(["x"])  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="pass variables by name"):
        asyncio.run(skill.arun("x"))  # type: ignore[arg-type]


def test_a_missing_key_is_refused_before_any_call() -> None:
    transport = scripted()
    pool = Pool(
        Skill("gpt-5-mini", prompt="{text}"),
        [{"text": "x"}],
        environment=Environment(transport, {}, Random(0)),
    )
    with pytest.raises(InvalidInput, match="openai needs a key: set OPENAI_API_KEY"):
        run_virtual(pool.arun())
    assert not transport.bodies


def test_a_system_message_stands_before_the_prompt_and_may_have_variables() -> None:
    skill = Skill("gpt-5-mini", system="Be {tone}.", prompt="Say: {text}")
    assert [message.role for message in skill.messages] == ["system", "user"]
    assert skill.names == {"tone", "text"}
