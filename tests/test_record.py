"""What a record says its item cost."""

from __future__ import annotations

import pytest

from flowpool import Prices, Record, Status, Usage
from flowpool.record import CallCost, known_sum

MINE = Prices(input=1.0, output=2.0)


def test_a_call_costs_its_configured_prices_before_the_lists() -> None:
    assert CallCost("openai/gpt-5-mini", Usage(1_000_000, 0), MINE).cost == 1.0
    assert CallCost("vllm/qwen3", Usage(1_000_000, 0)).cost is None


def test_an_items_cost_is_that_of_the_calls_whose_price_is_known() -> None:
    calls = (CallCost("a/b", Usage(0, 1_000_000), MINE), CallCost("vllm/c", Usage(5, 5)))
    record = Record(0, {}, Status.DONE, "x", bills=calls)
    assert record.calls == calls
    assert record.cost == 2.0
    assert known_sum([None, None]) is None


@pytest.mark.parametrize("error", [None, ValueError("no")])
def test_a_record_as_plain_data_has_its_error_in_words(error: Exception | None) -> None:
    plain = Record(3, {"a": b"xy"}, Status.FAILED, error=error).as_dict()
    assert plain["index"] == 3
    assert plain["error"] == (None if error is None else "ValueError: no")
