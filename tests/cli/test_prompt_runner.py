"""The runner that the options of `flowpool map` describe."""

from __future__ import annotations

from typing import Any

import pytest

ASK = ("map", "Repeat this:\n\n{text}", "-m", "gpt-5-mini")


def test_choices_fields_and_a_schema_give_typed_columns(flowpool: Any) -> None:
    flowpool.write("rows.csv", "id,text\n1,Buy now\n2,Hello\n")
    flowpool.write("one.json", '{"type": "object", "properties": {"size": {"type": "integer"}}}')
    ask = ("map", "Look at {text}", "-m", "gpt-5-mini", "-i", "rows.csv", "-o")
    assert flowpool(*ask, "kind.csv", "--choices", "spam,ham", "--as", "kind")[0] == 0
    assert {row["kind"] for row in flowpool.table("kind.csv")} <= {"spam", "ham"}
    assert flowpool(*ask, "fields.csv", "--fields", "name, age:integer?")[0] == 0
    assert list(flowpool.table("fields.csv")[0]) == ["id", "text", "name", "age"]
    assert flowpool(*ask, "sizes.jsonl", "--schema", "one.json")[0] == 0
    assert flowpool.read("sizes.jsonl")[0]["id"] == "1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("map", "Hi {text}"), "which model? Say -m gpt-5-mini, or set FLOWPOOL_MODEL"),
        (("map", " ", "-m", "gpt-5-mini"), "the prompt is empty"),
        (("map", "@none.txt", "-m", "gpt-5-mini"), "none.txt: No such file"),
        ((*ASK, "--choices", "a,b", "--json"), "--choices and --json: an answer has one form"),
        ((*ASK, "--schema", "none.json"), "none.json: No such file"),
        ((*ASK, "-O", "max_tokens"), "--option max_tokens: write NAME=VALUE"),
        ((*ASK, "--resume"), "--resume: no store is kept"),
        ((*ASK, "--pilot", "3", "-o", "o.csv", "--no-store"), "--pilot keeps its answers"),
        ((*ASK, "-o", "o.csv", "--resume"), "--resume: o.csv.flowpool.db has nothing"),
        ((*ASK, "--columns", "text=nothing"), "no column 'nothing' (there are: text)"),
        (("map", "Hi {other}", "-m", "gpt-5-mini"), "has no 'other'"),
    ],
)
def test_what_cant_be_meant_is_refused_in_one_line(
    flowpool: Any, sim: Any, arguments: tuple[str, ...], words: str
) -> None:
    flowpool.write_rows(["A."])
    code, out, err = flowpool(*arguments, "-i", "rows.jsonl")
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert sim.ledger()["requests"] == 0
