"""Errors on the shell name options, and no Python."""

from __future__ import annotations

import re
from typing import Any

import pytest

from flowpool.cli.words import in_shell_words, with_more
from flowpool.errors import BudgetSpent

ASK = ("map", "Say: {text}", "-m", "gpt-5-mini", "-i", "rows.jsonl", "-o", "out.csv")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("max_flows=0: use 1 or more", "--max-flows 0: use 1 or more"),
        ("where='timeout=5': invalid", "--where 'timeout=5': invalid"),
        ("append=True goes on, overwrite=True drops them", "--append goes on, --force drops them"),
        ("load it with trusted=True (--trusted).", "say --trusted."),
        ("sql= and table= are for databases", "--sql and --table are for databases"),
        ('"retries=1" is a text of one\'s own', '"retries=1" is a text of one\'s own'),
        ("the option max_tokens='200': use a whole number", "the option max_tokens='200': use a whole number"),
    ],
)  # fmt: skip
def test_arguments_are_options_and_what_is_quoted_stays(said: str, words: str) -> None:
    assert in_shell_words(said) == words


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--max-flows", "0"), "--max-flows 0: use 1 or more"),
        (("--timeout", "0"), "--timeout 0.0: use seconds above 0"),
        (("--table", "a"), "--sql and --table are for databases"),
        (("--where", "a=="), "--where 'a==': invalid"),
        (("--sample", "0"), "--sample 0: use a number of rows"),
        (("-m", "foo"), "or say --provider or --base-url"),
        (("--store", ":memory:"), "--store ':memory:' is no file's path"),
    ],
)
def test_a_wrong_option_is_refused_by_its_own_name(
    flowpool: Any, more: tuple[str, ...], says: str
) -> None:
    flowpool.write_rows(["One."])
    code, _, err = flowpool(*ASK, *more)
    assert code == 2
    assert says in err
    assert not re.search(r"\b[a-z_]+=(?![^\s]*')", err)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("map {x} --max-cost 1", "map '{x}' --max-cost 2.1"),
        ("run a.yaml --max-cost=1 -q", "run a.yaml -q --max-cost 2.1"),
        ("resume run.db", "resume run.db --max-cost 2.1"),
        ("map -i a.csv --no-cache -- -x", "map -i a.csv --max-cost 2.1 -- -x"),
    ],
)
def test_a_command_with_more_room_is_the_same_but_for_its_ceiling(words: str, command: str) -> None:
    refusal = BudgetSpent("", "max_cost", 1.03)
    assert with_more(words.split(), refusal) == f"flowpool {command}"
    tokens = BudgetSpent("", "max_tokens_total", 3)
    assert with_more(["resume", "a"], tokens) == "flowpool resume a --max-tokens-total 6"
