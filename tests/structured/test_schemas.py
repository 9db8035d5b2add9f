"""JSON Schemas remade."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.structured.generated import SCHEMAS, SHARED, VALUES, rooted

from flowpool.structured.check import faults
from flowpool.structured.schemas import inlined


@settings(max_examples=100, deadline=None, derandomize=True)
@given(SCHEMAS, SHARED, st.lists(VALUES, min_size=1, max_size=4))
def test_inlining_changes_no_verdict(schema: Any, shared: Any, values: list[Any]) -> None:
    whole = rooted(schema, shared)
    for value in values:
        if isinstance(whole, dict):
            assert bool(list(faults(value, inlined(whole)))) == bool(list(faults(value, whole)))
