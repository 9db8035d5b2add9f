"""What options say over a pipeline's file."""

from __future__ import annotations

from typing import Any

import click
import pytest

from flowpool.cli.app import load_command
from flowpool.cli.options import pairs, with_options
from flowpool.pipeline.spec import Input, Output, Pipeline, RunOptions
from flowpool.values import Limits

FILE = Pipeline(
    None,
    Input(path="file.csv", limit="1-3", seed=4),
    Output(path="file.jsonl", meta=True),
    RunOptions(retries=3, max_cost=2.0, limits=Limits(tpm=500), dedupe=True),
)


def with_words(*words: str) -> Pipeline:
    """The file's pipeline with what a command line says."""
    options: dict[str, Any] = load_command("map").make_context("map", ["prompt", *words]).params
    return with_options(FILE, options)


def test_without_options_it_is_as_the_file_says() -> None:
    assert with_words() == FILE


def test_an_option_stands_over_its_field_and_leaves_the_others() -> None:
    found = with_words(
        "-i", "other.csv", "--seed", "0", "--retries", "0", "--rpm", "60", "--unordered"
    )
    assert found.input == Input(path="other.csv", limit="1-3", seed=0)
    assert found.output == Output(path="file.jsonl", meta=True, ordered=False)
    assert (found.run.retries, found.run.max_cost, found.run.dedupe) == (0, 2.0, True)
    assert found.run.limits == Limits(rpm=60, tpm=500)


def test_a_query_is_asked_without_the_files_rows() -> None:
    assert with_words("--sql", "select 1 as n").input == Input(sql="select 1 as n")


def test_flags_say_what_they_are_called() -> None:
    found = with_words("--no-inputs", "--force", "--no-store", "--retry-errors", "--append")
    assert (found.output.inputs, found.output.overwrite, found.output.append) == (False, True, True)
    assert (found.run.store, found.run.retry_failed) == (False, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--max-flows", "few"), "--max-flows few: use 1 or more"),
        (("--sample", "1.0.0"), "--sample 1.0.0: write 100"),
        (("--tpm", "-1"), "--tpm -1: use a rate above 0"),
        (("--columns", "a"), "--columns a: write NAME=VALUE"),
        (("--output-format", "xml"), "format: Invalid enum value 'xml'."),
        (("--store", "x", "--no-store"), "--store and --no-store: say one of them"),
    ],
)
def test_what_cant_be_meant_is_named_by_its_option(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(click.ClickException) as refused:
        with_words(*words)
    assert says in refused.value.format_message()


def test_pairs_are_given_several_times_or_with_commas() -> None:
    assert pairs(["a=b, c=d", "e=f"], "--columns") == {"a": "b", "c": "d", "e": "f"}
    assert pairs(["stop=a,b"], "--option", split=False) == {"stop": "a,b"}
