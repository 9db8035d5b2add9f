"""`flowpool map` as a process, against the simulator's server: killed at random too."""

from __future__ import annotations

import random
import shlex
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
    assert [row["text"] for row in flowpool.table("out.csv")] == texts
    assert [row["output"] for row in flowpool.table("out.csv")] == texts
    # A kill costs at most the calls in flight and those answered but not written down yet.
    assert sim.ledger()["requests"] <= count + kills * 2 * at_once
    assert "Going on with out.csv.flowpool.db: " in err
    assert [path.name for path in flowpool.folder.glob("out.csv*")] == ["out.csv"]


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


def test_a_missing_column_is_named_with_the_option_that_mends_it(flowpool: Any) -> None:
    flowpool.write("rows.csv", "id,Reviews Text\n1,one\n")
    flowpool.write("rows.jsonl", '{"id": 1, "Reviews Text": "one"}\n')
    for rows, words in (("rows.csv", "no column"), ("rows.jsonl", "items[0] has no")):
        for prompt, fix in (
            ("Hi {body}", "with --columns 'body=COLUMN'"),
            ("Hi {limit}", "with --columns 'limit=COLUMN'"),
            ("Hi {Review Text}", "say --columns 'Review Text=Reviews Text'."),
        ):
            code, _, err = flowpool("map", prompt, "-m", "gpt-5-mini", "-i", rows)
            assert code == 2
            assert words in err
            assert "id, Reviews Text" in err
            assert fix in err


@pytest.mark.parametrize("rows", ["rows.csv", "rows.jsonl"])
def test_a_column_that_the_options_name_and_that_isnt_there_is_the_one_that_is_blamed(
    flowpool: Any, rows: str
) -> None:
    flowpool.write("rows.csv", "id,Reviews Text\n1,one\n")
    flowpool.write("rows.jsonl", '{"id": 1, "Reviews Text": "one"}\n')
    words = ("map", "Hi {t}", "-m", "gpt-5-mini", "-i", rows, "--columns", "t=Review Text")
    code, _, err = flowpool(*words)
    assert code == 2
    assert (
        "no column 'Review Text' (there are: id, Reviews Text): did you mean 'Reviews Text'." in err
    )
    assert "'t'" not in err


def test_a_file_that_is_separated_otherwise_is_told_as_such(flowpool: Any, sim: Any) -> None:
    flowpool.write("rows.csv", "id;review text\n1;fine; really\n")
    for more in ((), ("--columns", "review text=review text")):
        ask = ("map", "Hi {review text}", "-m", "gpt-5-mini", "-i", "rows.csv")
        code, _, err = flowpool(*ask, *more)
        assert code == 2
        assert "the file seems to be separated by ';': say delimiter=';' (--delimiter)." in err
        assert err.count("\n") == 1
        assert "with --columns" not in err
    assert not was_asked(sim, 1)


def test_a_ceiling_that_was_reached_is_said(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows(["One.", "Two."])
    words = (*ASK, "-i", "rows.jsonl", "-O", "max_tokens=20", "--max-cost", "0.00001")
    code, _, err = flowpool(*words)
    assert code == 1
    assert err.startswith("0 done, 1 cancelled")
    assert "; cancelled: the run's ceiling of $1e-05 leaves no room" in err
    assert sim.ledger()["requests"] == 0


def test_after_a_ceiling_the_command_that_goes_on_is_named(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows([f"Row {n}." for n in range(6)])
    words = (*ASK, "-i", "rows.jsonl", "-o", "out.jsonl", "-O", "max_tokens=20", "--max-flows=1")
    ceilings = ("--max-cost=0.00006",), ("--max-tokens-total", "100")
    for ceiling in ceilings:
        seen = ""
        for _ in range(20):
            code, _, err = flowpool(*(shlex.split(seen)[1:] if seen else (*words, *ceiling)))
            if code == 0:
                break
            _, _, said = err.partition("out.jsonl.flowpool.db keeps the run. To go on: ")
            assert said.count("--max-") == 2
            assert said != seen
            seen = said
        assert code == 0, err
        assert [row["output"] for row in flowpool.read()] == [f"Row {n}." for n in range(6)]
        assert not flowpool.has("out.jsonl.flowpool.db")
        (flowpool.folder / "out.jsonl").unlink()
    assert sim.ledger()["requests"] == 12


def test_a_csv_in_the_ways_of_the_world_is_read_and_written_as_told(flowpool: Any) -> None:
    path = flowpool.folder / "rows.csv"
    path.write_bytes("id;text\r\n1;Größe\r\n".encode("cp1252"))
    words = (*ASK, "-i", "rows.csv", "-o", "out.csv")
    code, _, err = flowpool(*words)
    assert code == 2
    assert "rows.csv, line 2: not UTF-8: say encoding=, where 'cp1252' reads" in err
    told = ("--encoding", "cp1252", "--output-encoding", "utf-8-sig", "--output-delimiter", ";")
    code, _, err = flowpool(*words, *told)
    assert code == 0, err
    out = flowpool.folder / "out.csv"
    assert out.read_bytes() == "id;text;output\n1;Größe;Größe\n".encode("utf-8-sig")
    path.write_bytes("id\ttext\n2\tname\n".encode("utf-16"))
    code, _, err = flowpool(*words, "--append", "--delimiter", "\\t")
    assert code == 0, err
    assert out.read_bytes().endswith(b"\n2;name;name\n")


def test_an_output_at_a_url_keeps_its_store_in_the_folder_of_the_run(
    flowpool: Any, tmp_path: Path
) -> None:
    flowpool.write("rows.csv", "text\nOne.\nTwo.\n")
    (tmp_path / "bucket").mkdir()
    url = (tmp_path / "bucket" / "out.csv").as_uri()
    words = (*ASK, "-i", "rows.csv", "-o", url)
    assert flowpool(*words, "--limit", "1")[0] == 0
    code, _, err = flowpool(*words)
    assert code == 2
    assert f"{url} exists" in err
    code, _, err = flowpool(*words, "--force", "--max-cost", "0.000122", "-O", "max_tokens=20")
    assert code == 1
    assert "out.csv.flowpool.db keeps the run" in err
    code, _, err = flowpool(*words, "-O", "max_tokens=20")
    assert code == 0, err
    assert "Going on with out.csv.flowpool.db" in err
    assert (tmp_path / "bucket" / "out.csv").read_text() == "text,output\nOne.,One.\nTwo.,Two.\n"
    assert not list(flowpool.folder.glob("*.flowpool.db"))
