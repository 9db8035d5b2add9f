from __future__ import annotations

import json
import re
from collections import namedtuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpool.errors import InvalidItem
from flowpool.template import Template, as_text, look_up
from flowpool.values import Limits

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
# Texts that hold no variable by accident: `{name}` needs a letter after its brace.
LITERALS = st.text().filter(
    lambda text: not re.search(r"\{[A-Za-z_]", text + "x") and "{" not in text[-1:]
)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(LITERALS, NAMES, st.text())), LITERALS)
def test_a_text_is_its_literals_with_the_values_between(pieces: list, end: str) -> None:
    variables = {name: value for _, name, value in pieces}
    text = "".join(literal + "{" + name + "}" for literal, name, _ in pieces) + end
    expected = "".join(literal + variables[name] for literal, name, _ in pieces) + end
    template = Template(text)
    assert template.render(variables) == expected
    assert template.names == variables.keys()


@settings(deadline=None, derandomize=True)
@given(LITERALS)
def test_a_text_without_variables_stays_as_it_is(text: str) -> None:
    assert Template(text).render({}) == text
    assert not Template(text).names


@settings(deadline=None, derandomize=True)
@given(st.text(), st.text())
def test_a_value_that_looks_like_a_variable_is_not_filled_in(value: str, other: str) -> None:
    injected = value + "{other}"
    assert Template("<{value}>").render({"value": injected, "other": other}) == f"<{injected}>"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        "{}",
        "{ name }",
        "{1}",
        "{a-b}",
        "{a:>10}",
        "{a!r}",
        "{a.}",
        "{.a}",
        "function() {return}{ }"[:12],
    ],
)
def test_other_braces_stay_as_they_are(text: str) -> None:
    assert Template(text).render({"a": "filled", "name": "filled"}) == text
    assert not Template(text).names


def test_doubled_braces_are_a_variable_between_braces() -> None:
    assert Template("{{name}}").render({"name": "Ada"}) == "{Ada}"


def test_names_in_any_script_are_variables() -> None:
    assert Template("{città} {naïve_1}").render({"città": "Roma", "naïve_1": 2}) == "Roma 2"


Point = namedtuple("Point", "x")
PAGE = {"title": "Home", "links": [{"url": "a"}, {"url": "b"}], "items": 3}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("page", PAGE),
        ("page.title", "Home"),
        ("page.links.1.url", "b"),
        ("page.items", 3),  # the key, not the dict's method
        ("limits.rpm", 60),
        ("point.x", 1),
    ],
)
def test_dotted_paths_reach_into_dicts_lists_and_fields(path: str, value: Any) -> None:
    point = Point(1)
    assert look_up(path, {"page": PAGE, "limits": Limits(rpm=60), "point": point}) == value


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("text", "no variable 'text'; there are: page, word"),
        ("page.name", "'page.name': 'name' isn't in 'page', a dict"),
        ("page.links.2", "'2' isn't in 'page', a list"),
        ("page.links.first", "'first'"),
        (
            "word.title",
            "'word.title': 'title' isn't in 'word', a str",
        ),  # str has a method of that name
        ("word.__class__", "'__class__'"),
        ("page.__class__", "'__class__'"),
        ("page.links.0.url.x", "'x'"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ends(path: str, says: str) -> None:
    with pytest.raises(InvalidItem, match=re.escape(says)):
        look_up(path, {"page": PAGE, "word": "Ada"})
    with pytest.raises(InvalidItem):
        Template("{" + path + "}").render({"page": PAGE, "word": "Ada"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", "a\nb"),
        (None, ""),
        (12, "12"),
        (1.5, "1.5"),
        (True, "true"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ([], "[]"),
        (("é", 1), '["é",1]'),
        (
            Limits(rpm=1),
            '{"rpm":1,"tpm":null,"input_tpm":null,"output_tpm":null,"concurrent":null}',
        ),
    ],
)
def test_values_stand_in_a_prompt_as_text_or_json(value: Any, text: str) -> None:
    assert as_text(value) == text
    assert Template("<{x}>").render({"x": value}) == f"<{text}>"


@settings(deadline=None, derandomize=True)
@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_structured_values_can_be_read_back(value: Any) -> None:
    if isinstance(value, (dict, list)):
        assert json.loads(as_text(value)) == value


def test_what_json_cannot_hold_is_still_text() -> None:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    assert as_text(cyclic) == "[[...]]"
    assert as_text({"key": "\ud800"})
    assert as_text({(1, 2): object()})
