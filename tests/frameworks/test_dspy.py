"""DSPy's modules in a pool, against the real package."""

from __future__ import annotations

import dspy
import litellm
import pytest
from tests.frameworks.conftest import on_the_loop

from flowpool import Chain, Pool
from flowpool.errors import AttemptTimeout, BadRequest, ConnectFailed, InvalidInput, ServerError
from flowpool.tools import as_tool


@pytest.fixture(autouse=True, scope="module")
def json_answers():
    before = dspy.settings.adapter
    dspy.configure(adapter=dspy.JSONAdapter())
    yield
    dspy.configure(adapter=before)
    on_the_loop(litellm.close_litellm_async_clients())


@pytest.fixture
def lm(address):
    return dspy.LM(
        "openai/gpt-5-mini",
        api_base=address,
        api_key="key-canary",
        cache=False,
        num_retries=0,
        max_tokens=16000,
        temperature=1.0,
    )


def asking(count: int) -> list[dict[str, str]]:
    return [{"question": f'[[sim: say={{"answer": "answer {n}"}}]]'} for n in range(count)]


def predicting(lm) -> dspy.Predict:
    module = dspy.Predict("question -> answer")
    module.set_lm(lm)
    return module


def test_a_module_gets_its_inputs_as_keywords_and_gives_a_dict(lm, sim) -> None:
    items = [{**item, "id": 7} for item in asking(10)]
    results = Pool(predicting(lm), items).run()
    assert results == [{"answer": f"answer {n}"} for n in range(10)]
    ledger = sim.ledger()
    assert results.usage.input_tokens == ledger["input_tokens"] > 0
    assert results.usage.output_tokens == ledger["output_tokens"] > 0
    assert {record.model for record in results.records} == {"openai/gpt-5-mini"}


def test_a_module_of_ones_own_runs_in_a_thread_and_names_what_it_lacks(lm) -> None:
    class Shout(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = predicting(lm)

        def forward(self, question: str, mark: str = "!"):
            return dspy.Prediction(shout=self.ask(question=question).answer.upper() + mark)

    assert as_tool(Shout()).mode == "thread"
    assert Pool(Shout(), asking(3)).run() == [{"shout": f"ANSWER {n}!"} for n in range(3)]
    with pytest.raises(InvalidInput, match=r"items\[0\] has no 'question'"):
        Pool(Shout(), [{"text": "x"}]).run()


def test_its_outputs_are_variables_of_the_steps_behind_it(lm) -> None:
    chain = Chain([(predicting(lm), "said"), (lambda answer: answer.upper(), "shout")])
    assert Pool(chain, asking(2)).run() == ["ANSWER 0", "ANSWER 1"]


def test_a_429_is_waited_for_and_a_bad_request_fails_its_item_alone(lm) -> None:
    items = asking(4)
    items[0] = {"question": "[[sim: 400]]"}
    items[2]["question"] += " [[sim: 429 retry-after=0.05 times=1]]"
    results = Pool(predicting(lm), items).run()
    assert [bool(output) for output in results] == [False, True, True, True]
    assert isinstance(results.errors[0], BadRequest)
    assert [record.attempts for record in results.records] == [1, 1, 2, 1]


def test_a_server_that_is_not_there_is_an_outage() -> None:
    lm = dspy.LM(
        "openai/m", api_base="http://127.0.0.1:9", api_key="any", cache=False, num_retries=0
    )
    results = Pool(predicting(lm), asking(1), retries=0).run()
    (error,) = results.errors
    assert isinstance(error, (ConnectFailed, AttemptTimeout, ServerError))
