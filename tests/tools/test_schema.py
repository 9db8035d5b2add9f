"""Annotations as JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest

from flowpool.tools.schema import docstring_of, parameters_schema, type_schema


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (dict[str, Any], {"type": "object"}),
        (Mapping[str, int], {"type": "object"}),
        (str | None, {"type": "string"}),
        (str | int, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        (str | object, {}),
        (Literal[1, 2], {"enum": [1, 2]}),
        (Annotated[str, "x"], {"type": "string"}),
        (Any, {}),
    ],
)
def test_an_annotation_becomes_a_schema(hint: Any, schema: dict[str, Any]) -> None:
    assert type_schema(hint) == schema


def test_an_annotation_that_can_not_be_found_says_nothing() -> None:
    def f(x: "Nowhere", y: int = 3) -> None:  # type: ignore[name-defined]  # noqa: F821, UP037
        return

    properties = parameters_schema(f)["properties"]
    assert properties == {"x": {}, "y": {"default": 3}}


def test_entries_end_where_the_next_section_begins() -> None:
    def f() -> None:
        """Does it.

        More words.

        Args:
            a: one
                and more
            b (int): two

        Returns:
            c: nothing
        """

    assert docstring_of(f) == ("Does it.", {"a": "one and more", "b": "two"})
