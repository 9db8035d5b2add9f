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
# Texts that hold no variable by accident, and escape none.
LITERALS = st.text().filter(lambda text: not re.search(r"\{|\\$", text))


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
        '{"a": {"b": [1, {"name": "a"}]}}',
        "{}",
        "{ }",
        "{1}",
        "{a: 1, b: 2}",
        "{a:",
        "{...}",
        "\\{x\\}",
        "{\n    return a;\n}",
        "function() {",
    ],
)
def test_other_braces_stay_as_they_are(text: str) -> None:
    assert Template(text).render({"a": "filled", "name": "filled"}) == text
    assert not Template(text).names


@pytest.mark.parametrize(
    ("prompt", "column"),
    [
        ("{Review Text}", "Review Text"),
        ("{review-text}", "review-text"),
        ("{文本}", "文本"),
        ("{2020}", "2020"),
        ("{ text }", " text "),
        ("{user.name}", "user.name"),
        ("{Q1: How was it?}", "Q1: How was it?"),
        ("{Price ($)}", "Price ($)"),
        ("{First\nLine}", "First\nLine"),
        ("{{text}}", "text"),
    ],
)
def test_a_name_between_braces_is_the_column_of_just_that_name(prompt: str, column: str) -> None:
    template = Template(f"Say {prompt}.")
    assert "Ada" in template.render({"other": "x", column: "Ada"})
    assert template.variables(["other", column]) == {column}


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("{ text }", "text"),
        ("{{ text }}", "text"),
        ("{text!r}", "text"),
        ("{text:>10}", "text"),
        ("{when:%Y-%m}", "when"),
        ("{text=}", "text"),
        ("{text[0]}", "text"),
        ("{row['text']}", "text"),
        ('{"text"}', "text"),
        ("{ text | upper }", "text"),
        ("{text.strip()}", "text"),
        ("{% if text %}", "text"),
        ("{review_text}", "Review Text"),
        ("{Review text}", "Review Text"),
        ("{title, text}", "text"),
        ("{2021}", "2020"),
    ],
)
def test_braces_that_are_nearly_a_variable_are_refused_with_what_to_write(
    text: str, column: str
) -> None:
    template = Template(f"{{a}} {text}")
    mistake = template.mistake(["a", column])
    assert mistake is not None
    assert f"write {{{column}}} for its value" in mistake
    if template.doubtful:
        with pytest.raises(InvalidItem, match=re.escape(mistake)):
            template.render({"a": 1, column: "x"})


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (r"\frac\{a}\{b}", r"\frac{a}{b}"),
        (r"{\{a}}", "{{a}}"),
        (r"\{\{a}}", "{{a}}"),
        (r"\{{a}}", "{A}"),
        (r"query \{ a }", "query { a }"),
        (r"C:\\{a}", "C:\\A"),
        (r"\{a: 1}", "{a: 1}"),
    ],
)
def test_a_backslash_makes_braces_of_what_would_be_a_variable(text: str, sent: str) -> None:
    assert Template(text).render({"a": "A", "b": "B"}) == sent
    assert Template(text).mistake(["a", "b"]) is None


@pytest.mark.parametrize("part", ["{", "\\", "\\{", "{a", "{a}", "{{a}", "{a\\}", "{ "])
def test_a_long_prompt_of_braces_is_read_in_one_pass(part: str) -> None:
    prompt = part * (200_000 // len(part))
    Template(prompt).mistake(["a"])


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
