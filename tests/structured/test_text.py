"""JSON found in text: what is whole is found, what is cut never is."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpool.structured.text import BrokenJson, CutJson, NoJson, Scan, values_in, without_thoughts

SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=12)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.text(max_size=6), VALUES, min_size=1, max_size=3)
ANYWHERE = [
    "{}",
    "  {}\n",
    "Sure, here it is:\n{}\nThat's all [of it].",
    "```json\n{}\n```",
    "```\n{}\n```\nI hope that helps {{you}}.",
    "<think>[1, 2] or {{no}}?</think>\n{}",
    "\ufeff{}",
]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(RECORDS, st.sampled_from(ANYWHERE), st.sampled_from([None, 2]), st.booleans())
def test_json_is_found_wherever_it_stands(
    value: Any, where: str, indent: int | None, ascii: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    if "```" not in text:
        assert values_in(where.format(text)) == [value]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(RECORDS, st.sampled_from(ANYWHERE[:4]), st.data())
def test_what_is_cut_is_never_taken_for_whole(value: Any, where: str, data: st.DataObject) -> None:
    text = json.dumps(value, indent=2)
    end = data.draw(st.integers(1, len(text) - 1))
    before = where.partition("{}")[0]
    with pytest.raises(NoJson):
        values_in(before + text[:end])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(RECORDS)
def test_python_literals_are_read(value: Any) -> None:
    if "\\U" not in repr(value):
        assert values_in(f"The result: {value!r}") == [value]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(alphabet="{}[]:,\"'\\/*#ntu0-9. \n`a", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    with suppress(NoJson):
        assert values_in(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": NaN}', [{"a": None}]),
        ("{'a': True, 'b': None, 'c': undefined}", [{"a": True, "b": None, "c": None}]),
        ("{“a”: “b”}", [{"a": "b"}]),
        ("[1, 2,]", [[1, 2]]),
        ("{\n  # why\n  a: 1, // so\n  /* and */ b: [1, 2,],\n}", [{"a": 1, "b": [1, 2]}]),
        ('{"a": "x\\\ny"}', [{"a": "xy"}]),
        ('{"a": "C:\\dir"}', [{"a": "C:\\dir"}]),
        ('```json\n{"a": 1}\n```\n```json\n{"a": 2}\n```', [{"a": 1}, {"a": 2}]),
        ('```python\nprint("hi")\n```\n{"a": 1}', [{"a": 1}]),
        ('{"a": 1}\n{"a": 2}', [{"a": 1}, {"a": 2}]),
    ],
)
def test_what_models_write_instead_of_json(text: str, expected: Any) -> None:
    assert values_in(text) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", NoJson),
        ("No {json} at all [here].", NoJson),
        ('{"a": {"b": 1}, "c": [1, 2', CutJson),
        ('Here: {"a": 1', CutJson),
        ('```json\n{"a": "hel\n```', CutJson),
        ('{"a": {"b": 1}, "c": @}', BrokenJson),
        ('{"a": 1 "b": 2}', BrokenJson),
        ('{"a": -Infinity}', BrokenJson),
        ('{"a": 1e999}', BrokenJson),
        ('{"a": 1,, "a": 2}', BrokenJson),
        ('{"a": 1, "a": 2,}', BrokenJson),
        ('{"a": "\\u12"}', BrokenJson),
        ("[" * 5000 + "]" * 5000, BrokenJson),
        ("[" * 100_000, BrokenJson),
    ],
)
def test_what_can_not_be_read_in_one_way_is_not_guessed(text: str, kind: type[NoJson]) -> None:
    with pytest.raises(kind):
        values_in(text)


PIECES = [
    '{"a',
    "[",
    "{",
    '["a" ',
    "['",
    '{"a": "\\" /*',
    "```json\n",
    '{"a": "x" ',
    "/*",
    '"/*',
    "// ",
    "</think>",
    "<think>",
    '{"a": [</think>',
    '{"a": "</think>',
    '[1, {"a": </think>',
    '{"',
    "{'",
    '{"a" ',
    '<think>{"',
    "{/*",
    "[[{/*",
    '{"a":{/*',
    "[x",
    "{abc",
    '["\\uZ',
    f"[[[[{'1' * 1000}x",
    f'["a"{" " * 1000}',
]


@pytest.mark.parametrize("piece", PIECES)
def test_hostile_texts_come_to_their_end(piece: str) -> None:
    # Anything quadratic would take minutes for these.
    with pytest.raises(NoJson):
        values_in(piece * (1_000_000 // len(piece)) + "x")
    with pytest.raises(NoJson):
        values_in(piece * (200_000 // len(piece)) + '"')


def looked(text: str) -> int:
    """How many characters of a text are looked at to find what is in it."""
    scan = Scan(text, lenient=True)
    list(scan)
    return scan.looked


@pytest.mark.parametrize("ending", ["x", '"', "'"])
@pytest.mark.parametrize("piece", PIECES)
def test_a_text_that_is_twice_as_long_takes_no_more_than_twice_the_looks(
    piece: str, ending: str
) -> None:
    short, long = (looked(piece * (size // len(piece)) + ending) for size in (200_000, 400_000))
    assert long <= 12 * 400_000
    assert long <= 2.1 * short + 1000


def test_braces_of_prose_keep_nothing_from_being_found() -> None:
    prose = "Some {words} and [more]. " * 2000
    assert values_in(f'{prose}{{"a": 1}}') == [{"a": 1}]
    lines = [{"a": number} for number in range(1000)]
    assert values_in("\n".join(map(json.dumps, lines))) == lines


THOUGHTS = [
    "<think>{0}</think>{1}",
    "<think>\n{0}\n</think>\n\n{1}",
    "<Think>{0}</THINK>\n{1}",
    "{0}</think>{1}",
    "<think>{0}</think>\nBut wait.<think>{0}</think>{1}",
    "<think>{0} I could close it with </think> here: {0}</think>{1}",
    "<thinking>{0}</thinking>{1}",
    "<seed:think>{0}</seed:think>{1}",
    "<reasoning>{0}</reasoning>{1}",
    "[THINK]{0}[/THINK]{1}",
    "\u25c1think\u25b7{0}\u25c1/think\u25b7{1}",
    "<|START_THINKING|>{0}<|END_THINKING|>{1}",
    "<|channel|>analysis<|message|>{0}<|end|><|start|>assistant<|channel|>final<|message|>{1}",
    "{1}<think>{0}</think>",
    "{1}\n<think>Now {0}",
]
DRAFTS = ["Hm.", '{"a": 1}, or [1, 2]?', '```json\n{"a": 1}\n```', '{"a": "b', "{left}", "[1]"]


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("thoughts", THOUGHTS)
def test_what_follows_the_last_thought_is_the_answer(thoughts: str, draft: str) -> None:
    assert values_in(thoughts.format(draft, '{"a": 2}')) == [{"a": 2}]
    assert values_in(thoughts.format(draft, "42")) == [42]
    assert without_thoughts(thoughts.format(draft, "spam")).strip() == "spam"


@pytest.mark.parametrize("text", ["<think>{0}", "<think>{0}</think>", "{0}</think> Sorry."])
def test_a_thought_alone_is_no_answer(text: str) -> None:
    with pytest.raises(NoJson):
        values_in(text.format('{"a": 1}'))


@pytest.mark.parametrize("around", ["{}", "Sure: {} That's it.", "```json\n{}\n```"])
def test_a_tag_in_the_answers_own_text_is_no_thoughts_end(around: str) -> None:
    value = {"html": "a </think> b <think> c", "n": 1}
    assert values_in(around.format(json.dumps(value))) == [value]
