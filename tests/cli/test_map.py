"""`flowpool map` as a process, against the simulator's server: killed at random too."""

from __future__ import annotations

import csv
import random
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.helpers import until

from flowpool.demo.corpus import pages
from flowpool.demo.jobs import write_pages
from flowpool.simulator import SimServer

ASK = ("map", "Repeat this:\n\n{text}", "-m", "gpt-5-mini")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def was_asked(sim: Any, times: int) -> bool:
    return bool(sim.ledger()["requests"] >= times)


def test_killed_at_random_and_run_again_every_row_is_there_once_in_order(
    flowpool: Any, sim: Any
) -> None:
    count, at_once, kills = 120, 8, 3
    texts = [f"Row {i}." for i in range(count)]
    flowpool.write("rows.csv", "text\n" + "".join(f"{text}\n" for text in texts))
    words = (*ASK, "-i", "rows.csv", "-o", "out.csv", "--max-flows", str(at_once))
    chance = random.Random(7)
    for _ in range(kills):
        before = sim.ledger()["requests"]
        process = flowpool.start(*words)
        wanted = before + chance.randrange(1, 35)
        until(partial(was_asked, sim, wanted), process=process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    code, _, err = flowpool(*words)
    assert code == 0, err
    assert [row["text"] for row in table(flowpool.folder / "out.csv")] == texts
    assert [row["output"] for row in table(flowpool.folder / "out.csv")] == texts
    # A kill costs at most the calls in flight and those answered but not written down yet.
    assert sim.ledger()["requests"] <= count + kills * 2 * at_once
    assert "Going on with out.csv.flowpool.db: " in err
    assert [path.name for path in flowpool.folder.glob("out.csv*")] == ["out.csv"]


def test_choices_fields_and_a_schema_give_typed_columns(flowpool: Any) -> None:
    flowpool.write("rows.csv", "id,text\n1,Buy now\n2,Hello\n")
    flowpool.write("one.json", '{"type": "object", "properties": {"size": {"type": "integer"}}}')
    ask = ("map", "Look at {text}", "-m", "gpt-5-mini", "-i", "rows.csv", "-o")
    assert flowpool(*ask, "kind.csv", "--choices", "spam,ham", "--as", "kind")[0] == 0
    assert {row["kind"] for row in table(flowpool.folder / "kind.csv")} <= {"spam", "ham"}
    assert flowpool(*ask, "fields.csv", "--fields", "name, age:integer?")[0] == 0
    assert list(table(flowpool.folder / "fields.csv")[0]) == ["id", "text", "name", "age"]
    assert flowpool(*ask, "sizes.jsonl", "--schema", "one.json")[0] == 0
    assert flowpool.read("sizes.jsonl")[0]["id"] == "1"


def test_addresses_piped_in_are_fetched_and_asked_about(flowpool: Any, tmp_path: Path) -> None:
    write_pages(tmp_path)
    with SimServer(pages_dir=tmp_path) as site:
        urls = "".join(f"{site.url}/pages/{page.name}\n" for page in pages()[:3])
        ask = ("map", "--fetch", "Summarise: {page}", "-m", "gpt-5-mini")
        code, out, err = flowpool(*ask, "--allow-private", stdin=urls.encode())
        assert code == 0, err
        assert out.count("\n") == 3
        assert out.count('{"line":"http://127') == 3
        code, _, err = flowpool(*ask, stdin=urls.encode())
    assert code == 1
    assert "AddressRefused" in err


def test_lines_piped_in_are_rows_where_the_prompt_asks_for_line(flowpool: Any) -> None:
    flowpool.env["FLOWPOOL_MODEL"] = "gpt-5-mini"
    code, out, _ = flowpool("map", "Repeat this:\n\n{line}", "--no-inputs", stdin=b"One.\nTwo.\n")
    assert code == 0
    assert sorted(out.splitlines()) == ['{"output":"One."}', '{"output":"Two."}']


def test_a_dry_run_shows_prompts_and_cost_without_a_key(flowpool: Any, sim: Any) -> None:
    del flowpool.env["OPENAI_API_KEY"]
    flowpool.write_rows([f"Row {i}." for i in range(50)])
    words = (*ASK, "-i", "rows.jsonl", "-O", "max_tokens=50", "--rpm", "100", "--dry-run")
    code, out, _ = flowpool(*words)
    assert code == 0
    assert "--- prompt 1\nRepeat this:\n\nRow 0.\n" in out
    assert "rows      50, from rows.jsonl" in out
    assert "answers of at most 50 tokens" in out
    assert " for the input, at most $0.00" in out
    assert "time      at least 30.0 s, by the limits that you set" in out
    assert sim.ledger()["requests"] == 0
    assert not list(flowpool.folder.glob("*.db"))


def test_a_pilot_forecasts_and_its_answers_are_not_paid_again(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows([f"Row {i}." for i in range(40)])
    words = (*ASK, "-i", "rows.jsonl", "-o", "out.jsonl")
    code, _, err = flowpool(*words, "--pilot", "5")
    assert code == 0
    assert sim.ledger()["requests"] == 5
    assert "All 40 rows, by 5 of them" in err
    assert "  cost    about $" in err
    assert "say the same words with --yes" in err
    assert not (flowpool.folder / "out.jsonl").exists()
    assert flowpool(*words, "--pilot", "5", "--yes")[0] == 0
    assert sim.ledger()["requests"] == 40
    assert [row["output"] for row in flowpool.read()] == [f"Row {i}." for i in range(40)]


def test_failed_rows_are_tried_again_by_the_same_words_when_asked(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows(["Good.", "Bad. [[sim: 400]]"])
    words = (*ASK, "-i", "rows.jsonl", "-o", "out.jsonl")
    code, _, err = flowpool(*words)
    assert code == 1
    assert "out.jsonl.flowpool.db keeps the run: say the same words with --retry-errors" in err
    assert flowpool(*words)[0] == 1
    assert sim.ledger()["requests"] == 2
    assert flowpool(*words, "--retry-errors")[0] == 1
    assert sim.ledger()["requests"] == 3
    assert flowpool(*words, "--no-cache")[0] == 1
    assert sim.ledger()["requests"] == 5


def test_another_prompt_doesnt_overwrite_an_unfinished_run(flowpool: Any) -> None:
    flowpool.write_rows(["Bad. [[sim: 400]]"])
    files = ("-i", "rows.jsonl", "-o", "out.jsonl")
    assert flowpool(*ASK, *files)[0] == 1
    code, _, err = flowpool("map", "Other: {text}", "-m", "gpt-5-mini", *files)
    assert code == 2
    assert "keeps an unfinished run with another prompt" in err


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


def test_a_missing_column_is_named_with_the_option_that_mends_it(flowpool: Any) -> None:
    flowpool.write("rows.csv", "id,text\n1,one\n")
    code, _, err = flowpool("map", "Hi {body}", "-m", "gpt-5-mini", "-i", "rows.csv")
    assert code == 2
    assert "no column 'body'" in err
    assert "with --columns body=COLUMN" in err


def test_a_ceiling_that_was_reached_is_said(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows(["One.", "Two."])
    words = (*ASK, "-i", "rows.jsonl", "-O", "max_tokens=20", "--max-cost", "0.00001")
    code, _, err = flowpool(*words)
    assert code == 1
    assert err.startswith("0 done, 1 cancelled")
    assert "; cancelled: the run's ceiling of $1e-05 leaves no room" in err
    assert sim.ledger()["requests"] == 0
