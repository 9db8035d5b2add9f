"""Values made to fit their schema."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from tests.structured.generated import SCHEMAS, SHARED, VALUES, rooted

from flowpool.structured.check import faults
from flowpool.structured.fit import fitted


@settings(max_examples=100, deadline=None, derandomize=True)
@given(SCHEMAS, SHARED, VALUES)
def test_what_fits_is_left_as_it_is(schema: Any, shared: Any, value: Any) -> None:
    whole = rooted(schema, shared)
    if not list(faults(value, whole)):
        assert fitted(value, whole) == value
