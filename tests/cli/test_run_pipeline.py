"""What `flowpool run` refuses before a call is paid."""

from __future__ import annotations

from typing import Any

import pytest

RUN = ("run", "skill.yaml")
FILES = ("--input", "rows.jsonl", "--output", "out.jsonl", "--meta", "--no-store")
TEXTS = ["A river runs.", "A sea rests.", "A hill stands."]


def asked(sim: Any) -> int:
    requests: int = sim.ledger()["requests"]
    return requests


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ('{"text": "A."}\nnot json\n', "rows.jsonl, line 2: not JSON"),
        ('{"text": "A."}\n{"other": "B."}\n', "items[1] has no 'text'"),
        ('{"text": "A."}\n[1]\n', "rows.jsonl, line 2: list, not an object"),
        ("", "rows.jsonl: the file is empty"),
        ("\n", "rows.jsonl: no rows"),
    ],
)
def test_a_bad_row_anywhere_in_a_file_costs_nothing(
    flowpool: Any, sim: Any, rows: str, words: str
) -> None:
    flowpool.write("rows.jsonl", rows)
    code, out, err = flowpool(*RUN, *FILES)
    assert (code, out) == (2, "")
    assert err.startswith("flowpool: ")
    assert words in err
    assert err.count("\n") == 1
    assert asked(sim) == 0
    assert not (flowpool.folder / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "none.yaml", *FILES), "none.yaml: no such file"),
        (("run", "rows.jsonl", *FILES), "rows.jsonl, line 2: not YAML"),
        ((*RUN, "--input", "none.csv", "--output", "o.jsonl"), "none.csv: no such file"),
        (
            (*RUN, "--input", "rows.jsonl", "--output", "no/o.jsonl"),
            "no/o.jsonl: there is no folder no",
        ),
        ((*RUN, "--input", "rows.jsonl", "--output", "."), ". is a folder: name a file"),
        ((*RUN, *FILES, "--max-flows", "0"), "--max-flows 0: use 1 or more"),
        ((*RUN, *FILES, "--max-flows", "many"), "--max-flows many: use 1 or more"),
        ((*RUN, *FILES, "--limit", "9-1"), "limit 9-1: write 10"),
        ((*RUN, *FILES, "--limit", "10-20"), "rows.jsonl: no rows are left by the selection"),
        ((*RUN, *FILES, "--rpm", "0"), "--rpm 0: use a rate above 0"),
        ((*RUN, *FILES, "--timeout", "-1"), "--timeout -1.0: use seconds above 0"),
        ((*RUN, *FILES, "--on-error", "cry"), "cry"),
        ((*RUN, *FILES, "--sample", "some"), "--sample some: write 100"),
        ((*RUN, *FILES, "--columns", "text"), "--columns text: write NAME=VALUE"),
        ((*RUN, *FILES, "--where", "stars >= 4"), "there is no column 'stars'"),
        ((*RUN, *FILES, "--retry-errors"), "--retry-errors and --no-store: say one of them"),
        ((*RUN, *FILES, "--store", "a.db"), "--store and --no-store: say one of them"),
        ((*RUN, *FILES, "--input-format", "xml"), "format: "),
    ],
)
def test_what_cant_work_is_refused_in_one_line(
    flowpool: Any, sim: Any, arguments: tuple[str, ...], words: str
) -> None:
    flowpool.write_rows(TEXTS)
    code, out, err = flowpool(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("flowpool: ")
    assert words in err
    assert err.count("\n") == 1
    assert asked(sim) == 0


def test_an_existing_output_is_kept_unless_forced(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows(TEXTS)
    flowpool.write("out.jsonl", "paid for\n")
    code, _, err = flowpool(*RUN, *FILES)
    assert code == 2
    assert err == (
        "flowpool: out.jsonl exists: name another file, overwrite it with --force, or --append.\n"
    )
    assert (flowpool.folder / "out.jsonl").read_text() == "paid for\n"
    assert asked(sim) == 0
    assert flowpool(*RUN, *FILES, "--force")[0] == 0
    assert len(flowpool.read()) == 3


def test_a_forced_run_that_cant_start_leaves_the_old_output(flowpool: Any) -> None:
    flowpool.write_rows(TEXTS)
    flowpool.write("out.jsonl", "paid for\n")
    del flowpool.env["OPENAI_API_KEY"], flowpool.env["OPENAI_BASE_URL"]
    code, _, err = flowpool(*RUN, *FILES, "--force")
    assert code == 2
    assert "OPENAI_API_KEY" in err
    assert (flowpool.folder / "out.jsonl").read_text() == "paid for\n"


def test_a_run_that_cant_start_leaves_no_empty_output(flowpool: Any) -> None:
    flowpool.write_rows(TEXTS)
    del flowpool.env["OPENAI_API_KEY"], flowpool.env["OPENAI_BASE_URL"]
    assert flowpool(*RUN, *FILES)[0] == 2
    assert not (flowpool.folder / "out.jsonl").exists()


def test_the_input_is_never_the_output(flowpool: Any) -> None:
    flowpool.write_rows(TEXTS)
    before = (flowpool.folder / "rows.jsonl").read_bytes()
    code, _, err = flowpool(*RUN, "--input", "rows.jsonl", "-o", "./rows.jsonl", "--force")
    assert code == 2
    assert "rows.jsonl is the input" in err
    assert (flowpool.folder / "rows.jsonl").read_bytes() == before


def test_a_key_that_two_rows_have_is_refused_before_anything_is_asked(
    flowpool: Any, sim: Any
) -> None:
    skill = {"model": "gpt-5-mini", "prompt": "{text}"}
    flowpool.write("run.yaml", f"skill: {skill}\nrun: {{key: id}}\n")
    flowpool.write("rows.csv", "id,text\n1,a\n2,b\n1,c\n")
    code, _, err = flowpool("run", "run.yaml", "-i", "rows.csv", "-o", "out.csv")
    assert code == 2
    assert "key='id': items[0] and items[2] both have '1'" in err
    assert sim.ledger()["requests"] == 0
