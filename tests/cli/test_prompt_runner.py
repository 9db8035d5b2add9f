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
        (
            (*ASK, "--as", "x", "--fields", "a,b"),
            "--as names the column of an answer without fields",
        ),
        (
            (*ASK, "-O", "max_tokens=1", "-O", "max_tokens=2"),
            "max_tokens=2: max_tokens is 1 already",
        ),
        ((*ASK, "--columns", "text=a,text=b"), "--columns text=b: text is a already"),
        ((*ASK, "--fields", "a,a:integer"), "--fields a,a:integer: 'a' is there twice"),
        ((*ASK, "--pilot", "3", "-o", "o.csv", "--no-store"), "--pilot keeps its answers"),
        ((*ASK, "-o", "o.csv", "--resume"), "--resume: o.csv.flowpool.db has nothing"),
        ((*ASK, "--columns", "text=nothing"), "no column 'nothing' (there are: text)"),
        (("map", "Hi {other}", "-m", "gpt-5-mini"), "has no 'other'"),
        ((*ASK, "--allow-private"), "--allow-private does nothing without --fetch"),
        ((*ASK, "--yes"), "--yes does nothing without --pilot"),
        ((*ASK, "--seed", "3"), "--seed does nothing without --sample or --pilot"),
        ((*ASK, "--dry-run", "--pilot", "3"), "--dry-run and --pilot: say one of them"),
        ((*ASK, "-O", "max_tokens=abc"), "max_tokens='abc': use a whole number"),
        ((*ASK, "-O", "temprature=0"), "'temprature' is not known: did you mean 'temperature'?"),
        ((*ASK, "-O", "n=3"), "n=3 is paid 3 times, and one answer is read"),
        ((*ASK, "-o", "o.jsonl", "--spreadsheet-safe"), "only CSV and TSV have cells"),
        ((*ASK, "-o", "o.csv", "--append", "--force"), "append and overwrite: say one"),
        (
            ("map", "Hi { text }", "-m", "gpt-5-mini"),
            "write {text} for its value, or \\{ text } for",
        ),
        (("map", "Hi {{text!r}}", "-m", "gpt-5-mini", "--dry-run"), "write {text} for its value"),
        (("map", "Hi", "-m", "gpt-5-mini"), "(there are: {text}), or say --constant-prompt"),
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


def test_any_column_can_stand_in_a_prompt_and_any_braces_can_be_sent(flowpool: Any) -> None:
    flowpool.write("rows.csv", "Review Text,2020,Q1: How?\nGreat,1,Well\n")
    prompt = r'{Review Text} {2020} {Q1: How?} \frac\{a}\{b} {"a": {"b": 1}} {\{answer}}'
    flowpool.write("skill.yaml", f"skill:\n  model: gpt-5-mini\n  prompt: |-\n    {prompt}\n")
    said = 'Great 1 Well \\frac{a}{b} {"a": {"b": 1}} {{answer}}'
    for words in (("map", prompt, "-m", "gpt-5-mini"), ("run", "skill.yaml")):
        code, out, err = flowpool(*words, "-i", "rows.csv", "--dry-run")
        assert code == 0, err
        assert f"\n{said}\n" in out


def test_the_same_prompt_for_all_rows_is_asked_where_it_is_meant(flowpool: Any, sim: Any) -> None:
    flowpool.write("rows.csv", "id\n1\n2\n")
    flowpool.write(
        "joke.yaml",
        "skill: {model: gpt-5-mini, prompt: Tell a joke}\nrun: {constant_prompt: true}\ninput: rows.csv\n",
    )
    code, _, err = flowpool("run", "joke.yaml")
    assert code == 0, err
    code, _, err = flowpool(
        *("map", "Tell a joke", "-m", "gpt-5-mini", "-i", "rows.csv", "--constant-prompt")
    )
    assert code == 0, err
    assert sim.ledger()["requests"] == 4
