"""Where a run is kept, and what becomes of one that was."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from tests.helpers import until

ASK = ("map", "Repeat this:\n\n{text}", "-m", "gpt-5-mini")


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
    flowpool.write_rows(["Fine.", "Bad. [[sim: 400]]"])
    files = ("-i", "rows.jsonl", "-o", "out.jsonl")
    assert flowpool(*ASK, *files)[0] == 1
    code, _, err = flowpool("map", "Other: {text}", "-m", "gpt-5-mini", *files)
    assert code == 2
    assert "keeps an unfinished run with another prompt" in err


def test_a_store_lets_only_the_files_that_its_run_wrote_be_overwritten(flowpool: Any) -> None:
    flowpool.write_rows(["One.", "Two."])
    flowpool.write("notes.csv", "hi\n")
    words = (*ASK, "-i", "rows.jsonl", "--store", "run.db")
    for own in ("one.csv", "two.csv", "one.csv"):
        code, _, err = flowpool(*words, "-o", own)
        assert code == 0, err
    code, _, err = flowpool(*words, "-o", "notes.csv")
    assert code == 2
    assert "notes.csv" in err
    assert "--force" in err
    assert (flowpool.folder / "notes.csv").read_text() == "hi\n"


def test_a_store_and_its_output_may_be_moved_together(flowpool: Any) -> None:
    flowpool.write_rows(["One."])
    flowpool.folder.joinpath("old").mkdir()
    words = (*ASK, "-i", "rows.jsonl")
    assert flowpool(*words, "--store", "old/run.db", "-o", "old/out.csv")[0] == 0
    flowpool.folder.joinpath("old").rename(flowpool.folder / "new")
    code, _, err = flowpool(*words, "--store", "new/run.db", "-o", "new/out.csv")
    assert code == 0, err


def test_answers_that_a_shorter_run_doesnt_write_are_kept(flowpool: Any, sim: Any) -> None:
    texts = [f"Row {i}." for i in range(20)]
    flowpool.write_rows([*texts, "Last. [[sim: latency=30]]"])
    words = (*ASK, "-i", "rows.jsonl", "-o", "out.jsonl")
    process = flowpool.start(*words, "--max-flows", "4")
    until(lambda: flowpool.has("out.jsonl") and len(flowpool.read()) == 20, process=process)
    process.kill()
    process.wait()
    for narrowed, count in ((("--limit", "5"), 5), (("--where", "text == 'Row 7.'"), 1)):
        code, _, err = flowpool(*words, *narrowed)
        assert code == 0, err
        assert len(flowpool.read()) == count
        assert f"out.jsonl.flowpool.db keeps {20 - count} answers of other rows" in err
    asked = sim.ledger()["requests"]
    flowpool.write_rows(texts)
    code, _, err = flowpool(*words)
    assert code == 0, err
    assert [row["output"] for row in flowpool.read()] == texts
    assert sim.ledger()["requests"] == asked
    assert not flowpool.has("out.jsonl.flowpool.db")


def test_a_run_that_asked_nothing_leaves_no_store_that_blocks_its_mend(flowpool: Any) -> None:
    flowpool.write_rows(["One."])
    words = (*ASK, "-i", "rows.jsonl", "-o", "out.jsonl")
    code, _, err = flowpool(*words, "--max-cost", "1")
    assert code == 2
    assert "max_tokens" in err
    assert not flowpool.has("out.jsonl.flowpool.db")
    code, _, err = flowpool(*words, "--max-cost", "1", "-O", "max_tokens=50")
    assert code == 0, err


def test_a_missing_key_leaves_no_store_that_blocks_its_mend(flowpool: Any) -> None:
    flowpool.write_rows(["One."])
    words = (*ASK, "-i", "rows.jsonl", "-o", "out.jsonl")
    url = flowpool.env.pop("OPENAI_BASE_URL")
    del flowpool.env["OPENAI_API_KEY"]
    code, _, err = flowpool(*words)
    assert code in (1, 2)
    assert "OPENAI_API_KEY" in err
    code, _, err = flowpool(*words, "--base-url", url)
    assert code == 0, err


def test_a_store_beside_the_output_in_which_nothing_was_asked_is_replaced(
    flowpool: Any, sim: Any
) -> None:
    flowpool.write_rows(["One. [[sim: latency=30]]"])
    files = ("-i", "rows.jsonl", "-o", "out.jsonl")
    process = flowpool.start(*ASK, *files)
    until(lambda: sim.ledger()["in_flight"] == 1, process=process)
    code, _, err = flowpool("map", "Other: {text}", "-m", "gpt-5-mini", *files)
    assert code == 2
    assert "in use by" in err
    process.kill()
    process.wait()
    flowpool.write_rows(["One."])
    code, _, err = flowpool("map", "Other: {text}", "-m", "gpt-5-mini", *files)
    assert code == 0, err


@pytest.mark.parametrize(
    "words", [("status", "copy.db"), ("export", "copy.db", "all.csv"), ("resume", "copy.db")]
)
def test_a_store_copied_without_its_log_says_so(
    words: tuple[str, ...], flowpool: Any, sim: Any
) -> None:
    flowpool.write_rows(["One.", "Two. [[sim: latency=30]]"])
    process = flowpool.start(*ASK, "-i", "rows.jsonl", "-o", "out.jsonl")
    until(lambda: sim.ledger()["in_flight"] == 1 and sim.ledger()["requests"] == 2, process=process)
    process.kill()
    process.wait()
    shutil.copy(flowpool.folder / "out.jsonl.flowpool.db", flowpool.folder / "copy.db")
    code, _, err = flowpool(*words)
    assert code == 2
    assert "copy.db has no runs in it" in err
    assert "copy.db-wal" in err
    assert "older flowpool" not in err


def test_after_a_fix_of_what_nobody_was_answered_for_the_run_goes_on(
    flowpool: Any, sim: Any
) -> None:
    flowpool.write_rows(["[[sim: 400]] One.", "[[sim: 400]] Two."])
    files = ("-m", "gpt-5-mini", "-i", "rows.jsonl", "-o", "out.jsonl")
    assert flowpool("map", "Say: {text}", *files)[0] == 1
    assert flowpool.has("out.jsonl.flowpool.db")
    flowpool.write_rows(["One.", "Two."])
    code, _, err = flowpool("map", "Say: {text}", *files, "-O", "max_tokens=900")
    assert code == 0, err
    assert len(flowpool.read()) == 2


def test_a_changed_run_that_has_answers_names_the_commands_that_go_on(flowpool: Any) -> None:
    flowpool.write_rows(["One.", "[[sim: 400]] Two."])
    files = ("-m", "gpt-5-mini", "-i", "rows.jsonl", "-o", "out.jsonl")
    assert flowpool("map", "Say: {text}", *files)[0] == 1
    code, _, err = flowpool("map", "Say: {text}", *files, "-O", "max_tokens=900")
    assert code == 2
    command = "export out.jsonl.flowpool.db failed.jsonl --only failed"
    assert f"`flowpool {command}`" in err
    assert flowpool(*command.split())[0] == 0
    [failed] = flowpool.read("failed.jsonl")
    assert failed["text"] == "[[sim: 400]] Two."
    assert failed["_error"].startswith("BadRequest: ")


@pytest.mark.parametrize("going_on", ["--resume", "--retry-errors"])
@pytest.mark.parametrize("dropping", ["--no-cache", "--no-store", "--append"])
def test_going_on_with_a_run_and_dropping_it_is_refused_with_its_answers_kept(
    flowpool: Any, sim: Any, going_on: str, dropping: str
) -> None:
    flowpool.write_rows(["Fine.", "Bad. [[sim: 400]]"])
    words = (*ASK, "-i", "rows.jsonl", "-o", "out.jsonl")
    assert flowpool(*words)[0] == 1
    kept = (flowpool.folder / "out.jsonl.flowpool.db").read_bytes()
    for more in ((), ("--dry-run",)):
        code, _, err = flowpool(*words, going_on, dropping, *more)
        assert code == 2
        assert f"{going_on} and {dropping}: say one of them." in err
    assert (flowpool.folder / "out.jsonl.flowpool.db").read_bytes() == kept
    assert sim.ledger()["requests"] == 2


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (("--max-flows", "0"), "--max-flows 0"),
        (("--output-encoding", "utf-9"), "no such encoding"),
    ],
)
def test_a_refused_run_drops_no_store(flowpool: Any, mistake: tuple[str, ...], said: str) -> None:
    flowpool.write_rows(["Fine.", "Bad. [[sim: 400]]"])
    words = (*ASK, "-i", "rows.jsonl", "-o", "out.csv")
    assert flowpool(*words)[0] == 1
    kept = (flowpool.folder / "out.csv.flowpool.db").read_bytes()
    code, _, err = flowpool(*words, "--no-cache", *mistake)
    assert code == 2
    assert said in err
    assert (flowpool.folder / "out.csv.flowpool.db").read_bytes() == kept
