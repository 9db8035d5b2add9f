"""YAML text as data, with the line where each part stands."""

from __future__ import annotations

import pytest

from flowpool.pipeline.yaml import MAX_DEPTH, FileError, at, dump, load

TEXT = "name: two\nsteps:\n  - tool: fetch\n\n    key: page\n  - [a, {b: 1}]\n"


@pytest.mark.parametrize(
    ("where", "line"),
    [("name", 1), ("steps", 2), ("steps[0].tool", 3), ("steps[0].key", 5), ("steps[1][1].b", 6)],
)
def test_a_part_is_known_by_its_path(where: str, line: int) -> None:
    assert load(TEXT)[1].of(where) == line


def test_what_the_file_lacks_stands_where_the_part_around_it_does() -> None:
    lines = load(TEXT)[1]
    assert lines.of("steps[0].options.timeout") == 3
    assert lines.of("nothing.of.it") == 1


def test_what_is_no_yaml_is_refused_with_its_line() -> None:
    with pytest.raises(FileError, match="not YAML") as refused:
        load("a: 1\nb: [\n")
    assert refused.value.line == 3


def test_a_few_words_cannot_make_many_values() -> None:
    with pytest.raises(FileError, match="aliases"):
        load("a: &a [1]\nb: *a\n")
    assert load("[" * MAX_DEPTH + "]" * MAX_DEPTH)[0]
    with pytest.raises(FileError, match="deep"):
        load("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_what_was_dumped_is_loaded() -> None:
    data = {"z": "no", "a": ["x\n\ny\n", None, 1.5], "m": {"k": "1e5"}}
    assert load(dump(data))[0] == data


def test_a_path_begins_without_a_dot() -> None:
    assert (at("", "steps"), at("steps[0]", "tool")) == ("steps", "steps[0].tool")
