"""Broken answers of the kinds that models give, through a whole run: each repaired, asked again, or failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field
from tests.conftest import Simulation
from tests.structured.broken_table import Kind, Letter

from flowpool import Model
from flowpool.errors import Blocked, InvalidOutput, Refused, Truncated
from flowpool.sim_model.spoiled import SPOILS
from flowpool.simulator.plan import ReplyPlan, SimRequest
from flowpool.values import Status

DOCUMENT = "Extract:\n\nAda wrote 12 letters about spam. She was 36. Few people read the letters."


class Report(BaseModel):
    title: str
    letters: list[Letter] = Field(min_length=1)
    score: float


OUTPUTS: dict[str, Any] = {
    "record": Letter,
    "nested": Report,
    "list": list[Letter],
    "choice": Kind,
    "schema": {"fields": {"author": "string", "count": "integer", "kind": "ham | spam"}},
}
HARMLESS = {
    *("fence", "prose", "python", "trailing-comma", "comments", "thinking", "line-breaks"),
    *("bare", "in-quotes", "in-list", "twice"),
}
# What can't be guessed, and so is asked for again.
UNCLEAR = {"cut", "cut-in-fence", "deep", "words", "nulls"}
UNCLEAR_BY_OUTPUT = {
    "record": {"nan", "other-words", "less"},
    "nested": {"nan", "other-words", "less"},
    "list": {"nan", "other-words", "less"},
    "choice": {"other-words", "less"},
    "schema": {"nan", "other-words", "less", "more"},
}
Simulate = Callable[..., Simulation]


def outcome(simulate: Simulate, output: Any, directives: str = "", **settings: Any) -> Any:
    """The record of one item, and how many requests it took."""
    sim = simulate()
    model = settings.pop("model", None)
    skill = sim.skill(f"{directives}{DOCUMENT}", model, output=output, **settings)
    pool = sim.pool(skill, [{}])
    [_] = sim.run(pool)
    [record] = pool._session.records()
    return record, sim.ledger.requests


@pytest.mark.parametrize("how", [how for how in SPOILS if how != "shouting"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_spoiled_answer_is_repaired_or_asked_for_again(
    simulate: Simulate, name: str, how: str
) -> None:
    right, _ = outcome(simulate, OUTPUTS[name])
    record, requests = outcome(simulate, OUTPUTS[name], f"[[sim: bad={how} asks=1]]")
    assert record.output == right.output
    assert type(record.output) is type(right.output)
    unclear = UNCLEAR | UNCLEAR_BY_OUTPUT[name]
    assert requests == record.attempts == (2 if how in unclear else 1)
    # All that was asked for is paid for, and on the record.
    paid = record.usage.output_tokens > right.usage.output_tokens
    assert paid or how not in unclear


def test_a_choice_in_capitals_is_that_choice(simulate: Simulate) -> None:
    record, requests = outcome(simulate, Kind, "[[sim: bad=shouting]]")
    assert (record.output, requests) == (Kind.SPAM, 1)


GOOD = Letter("O'Brien", 3, "ham")
SAID: list[tuple[str, Any]] = [
    ("{'author': 'O\\'Brien', 'count': 3, 'kind': 'ham'}", GOOD),
    ("{'author': 'O'Brien', 'count': 3, 'kind': 'ham'}", GOOD),
    ('{"author": "O\'Brien", "count": 3, "kind": "ham", "tags": null}', GOOD),
    ('{author: "O\'Brien", count: 3, kind: "ham",}', GOOD),
    ('{"author": "O\'Brien"\n "count": 3\n "kind": "ham"}', GOOD),
    ('{"author": "O\'Brien", /* why? */ "count": 3.0, "kind": "Ham"}', GOOD),
    ('"{\\"author\\": \\"O\'Brien\\", \\"count\\": 3, \\"kind\\": \\"ham\\"}"', GOOD),
    ('\ufeff  {"author": "O\\u0027Brien", "count": "3", "kind": "ham."}', GOOD),
    ("**Answer:**\n```\n{'author': \"O'Brien\", 'count': 3, 'kind': 'ham'}\n```\n[1]", GOOD),
    ('{"author": "say "hi" now", "count": 3, "kind": "ham"}', Letter('say "hi" now', 3, "ham")),
    ('{"author": "two\nlines", "count": 3, "kind": "ham"}', Letter("two\nlines", 3, "ham")),
    (
        '{"author": "```py\n1\n```", "count": 3, "kind": "ham"}',
        Letter("```py\n1\n```", 3, "ham"),
    ),
    ('{"author": "\\ud83d\\ude00", "count": 3, "kind": "ham"}', Letter("\U0001f600", 3, "ham")),
]


@pytest.mark.parametrize(("text", "expected"), SAID)
def test_what_can_be_meant_in_one_way_is_repaired(
    simulate: Simulate, text: str, expected: Any
) -> None:
    record, requests = outcome(simulate, Letter, f"[[sim: say={text}]]")
    assert (record.output, requests) == (expected, 1)


UNUSABLE: list[tuple[str, str]] = [
    ('{"author": "A", "count": 3, "kind": "ham"', "is cut: it ends in the middle"),
    ('{"author": "A", "count": 3, "kind": "ham', "is cut: it ends in the middle of a text"),
    ('{"author": "A", "count": 3, "kind":', "is cut"),
    ('{"tags": ["a", {"author": "A", "count": 3, "kind": "ham"},', "is cut"),
    ('{"author": "A", "count": Infinity, "kind": "ham"}', "isn't JSON near 'Infinity"),
    ('{"author": "A", "count": 1e999, "kind": "ham"}', "number 1e999 is too large"),
    ('{"author": "A", "author": "B", "count": 3, "kind": "ham",}', "'author' stands twice"),
    ('{"author": "A", "count": 3, "kind": "ham and spam"}', "$.kind: is 'ham and spam', not one"),
    ('{"author": "A", "count": true, "kind": "ham"}', "$.count: is true, not an integer"),
    ('{"author": "A", "count": 3.5, "kind": "ham"}', "$.count: is 3.5, not an integer"),
    ('{"author": null, "count": 3, "kind": "ham"}', "$.author: is null, not a string"),
    (
        '{"author": "A", "count": 1, "kind": "ham"}\n{"author": "A", "count": 2, "kind": "ham"}',
        "2 different answers",
    ),
    ("[]", "$: is an array, not an object"),
    ("null", "$: is null, not an object"),
    ("I am sorry, I can't do that.", "isn't JSON"),
]


@pytest.mark.parametrize(("text", "says"), UNUSABLE)
def test_what_never_fits_fails_with_what_was_wrong(
    simulate: Simulate, text: str, says: str
) -> None:
    record, requests = outcome(simulate, Letter, f"[[sim: say={text}]]")
    assert record.status is Status.FAILED
    assert type(record.error) is InvalidOutput
    assert says in str(record.error)
    assert record.error.partial == text
    assert requests == record.attempts == 3  # asked, and asked again twice
    assert record.output is None


@pytest.mark.parametrize("asks", [0, 1, 4])
def test_how_often_it_is_asked_for_again_is_the_skills(simulate: Simulate, asks: int) -> None:
    _, requests = outcome(simulate, Letter, "[[sim: say=no]]", output_retries=asks)
    assert requests == asks + 1


@pytest.mark.parametrize(
    ("fault", "kind"), [("truncate", Truncated), ("refuse", Refused), ("filter", Blocked)]
)
def test_truncated_and_refused_are_not_invalid_and_not_asked_for_again(
    simulate: Simulate, fault: str, kind: type[Exception]
) -> None:
    record, requests = outcome(simulate, Letter, f"[[sim: {fault}]]")
    assert type(record.error) is kind
    assert requests == 1


def test_the_conversation_goes_on_with_the_bad_answer_and_what_is_wrong(simulate: Simulate) -> None:
    sim = simulate()
    asked: list[SimRequest] = []
    receive = sim.provider.receive

    def note(now: float, request: SimRequest) -> ReplyPlan:
        asked.append(request)
        return receive(now, request)

    sim.provider.receive = note  # type: ignore[method-assign]
    skill = sim.skill(f"[[sim: bad=less asks=1]]{DOCUMENT}", output=Letter)
    sim.run(sim.pool(skill, [{}]))
    first, second = asked
    assert second.text.startswith(first.text)
    assert (first.answers, second.answers) == (0, 1)
    assert second.user.startswith("That can't be used: the answer doesn't fit: $: has no 'author'.")
    assert second.schema == first.schema


def test_the_next_model_starts_from_the_question(simulate: Simulate) -> None:
    sim = simulate()
    models = [sim.model("weak"), sim.model("strong")]
    prompt = f"[[sim: bad=words model=weak]]{DOCUMENT}"
    pool = sim.pool(sim.skill(prompt, models, output=Kind), [{}])
    assert sim.run(pool) == [Kind.SPAM]
    assert sim.ledger.requests == 4
    [record] = pool._session.records()
    assert record.model == "custom/strong"
    assert record.attempts == 4


# Servers that enforce nothing


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_a_server_that_refuses_a_schema_is_asked_in_words(
    simulate: Simulate, output: Any, caplog: pytest.LogCaptureFixture
) -> None:
    right, _ = outcome(simulate, output)
    sim = simulate(schemas=False)
    pool = sim.pool(sim.skill(f"{DOCUMENT} {{text}}", output=output), 20, max_flows=1)
    assert [type(got) for got in sim.run(pool)] == [type(right.output)] * 20
    assert sim.ledger.requests == 21  # the refusal is remembered
    assert len([r for r in caplog.records if "is asked in words" in r.message]) == 1


def test_those_in_flight_meanwhile_are_asked_in_words_too(simulate: Simulate) -> None:
    sim = simulate(schemas=False)
    pool = sim.pool(sim.skill(DOCUMENT, output=Kind), 20, max_flows=10, constant_prompt=True)
    assert sim.run(pool) == [Kind.SPAM] * 20
    assert sim.ledger.requests == 30


def test_a_bare_word_is_a_choice_where_nothing_enforces_it(simulate: Simulate) -> None:
    sim = simulate(schemas=False)
    skill = sim.skill(f"[[sim: say=Ham.]]{DOCUMENT}", output={"choices": ["spam", "ham"]})
    assert sim.run(sim.pool(skill, [{}])) == ["ham"]


def test_a_400_that_has_nothing_to_do_with_the_format_stays_one(simulate: Simulate) -> None:
    record, requests = outcome(simulate, Letter, "[[sim: 400]]")
    assert type(record.error).__name__ == "BadRequest"
    assert requests == 1


# The other wires

WIRES = {
    "responses": ("gpt-5-mini", "openai-responses", "/v1"),
    "anthropic": ("claude-haiku-4-5", "anthropic", ""),
    "anthropic's tool": ("claude-3-5-haiku-latest", "anthropic", ""),
    "gemini": ("gemini-2.5-flash", "google", ""),
    "plain JSON mode": ("deepseek-chat", "deepseek", "/v1"),
}


@pytest.mark.parametrize("schemas", [True, False])
@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("wire", WIRES)
def test_every_wire_gives_the_same_answers(
    simulate: Simulate, wire: str, name: str, schemas: bool
) -> None:
    right, _ = outcome(simulate, OUTPUTS[name])
    sim = simulate(schemas=schemas)
    model, provider, path = WIRES[wire]
    asked = Model(model, provider=provider, base_url=f"http://sim.test{path}")
    prompt = f"[[sim: bad=less asks=1]]{DOCUMENT}"
    pool = sim.pool(sim.skill(prompt, asked, output=OUTPUTS[name]), [{}])
    assert sim.run(pool) == [right.output]
    refused = not schemas and wire != "plain JSON mode"
    assert sim.ledger.requests == 2 + refused
