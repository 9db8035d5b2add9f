"""Broken answers by four wires: each repaired rightly, asked again, or failed typed; none accepted wrongly."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec import structs
from tests.conftest import Simulation
from tests.structured.broken_table import AGAIN, BROKEN, RIGHT

from flowpool import Model
from flowpool.errors import InvalidOutput
from flowpool.record import Record
from flowpool.simulator.plan import ReplyPlan, ServedAnswer, SimRequest
from flowpool.structured.equal import are_equal

WIRES = {
    "chat": ("gpt-5-mini", "openai", "/v1"),
    "responses": ("gpt-5-mini", "openai-responses", "/v1"),
    "anthropic": ("claude-haiku-4-5", "anthropic", ""),
    "gemini": ("gemini-2.5-flash", "google", ""),
}


def answered(
    simulate: type[Simulation], wire: str, name: str, texts: list[str], **settings: Any
) -> list[Record]:
    """What becomes of these answers of a model's; asked again, it answers well."""
    sim = simulate()
    kind, well, _ = RIGHT[name]
    receive = sim.provider.receive

    def say(now: float, request: SimRequest) -> ReplyPlan:
        plan = receive(now, request)
        assert isinstance(plan.outcome, ServedAnswer)
        case = re.search(r"case (\d+)", request.first)
        assert case is not None
        text = well if request.answers else texts[int(case[1])]
        plan.outcome = structs.replace(plan.outcome, text=text)
        return plan

    sim.provider.receive = say  # type: ignore[method-assign]
    model, provider, path = WIRES[wire]
    asked = Model(model, provider=provider, base_url=f"http://sim.test{path}")
    skill = sim.skill("Read case {n}.", asked, output=kind, retries=0, **settings)
    pool = sim.pool(skill, [{"n": n} for n in range(len(texts))])
    return list(sim.run(pool).records)


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("wire", WIRES)
def test_no_broken_answer_is_taken_for_another(
    simulate: type[Simulation], wire: str, name: str
) -> None:
    cases = [(text, meant) for kind, text, meant in BROKEN if kind == name]
    texts = [text for text, _ in cases]
    right = RIGHT[name][2]
    wrong: list[Any] = []
    for (text, meant), record in zip(cases, answered(simulate, wire, name, texts), strict=True):
        wanted, attempts = (right, 2) if meant is AGAIN else (meant, 1)
        if text and not (are_equal(record.output, wanted) and record.attempts == attempts):
            wrong.append((text, meant, record.output, record.attempts, record.error))
    once = answered(simulate, wire, name, texts, output_retries=0)
    for (text, meant), record in zip(cases, once, strict=True):
        if meant is not AGAIN:
            is_right = are_equal(record.output, meant) and record.error is None
        elif text:
            error = record.error
            is_right = isinstance(error, InvalidOutput) and error.partial == text
        else:
            is_right = record.error is not None  # an empty answer fails before it is read
        if not is_right:
            wrong.append((text, meant, record.output, record.error))
    assert wrong == []


def test_there_are_two_hundred_of_them() -> None:
    assert len(BROKEN) >= 200
    assert len({(name, text) for name, text, _ in BROKEN}) == len(BROKEN)
