"""`flowpool watch` of real stores and runs, and `flowpool map --watch`."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.helpers import until

from flowpool.cli import main

SLOW = "Wait. [[sim: latency=60]]"


def view(address: str) -> Any:
    with urllib.request.urlopen(f"{address}view", timeout=10) as answer:
        return json.loads(answer.read())


def first_line(process: subprocess.Popen[bytes], of: str = "stdout") -> str:
    line: bytes = getattr(process, of).readline()
    return line.decode().strip()


def test_a_finished_run_can_be_watched_and_ctrl_c_ends_that(stored: Any) -> None:
    process = stored.start("watch", "run.db")
    address = first_line(process)
    now = view(address)
    assert (now["state"], now["counts"], now["steers"]) == ("ended", "4 of 4", False)
    assert now["verdict"] == "Ended: 1 failed"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, b"")
    assert b"Ctrl-C ends the watching" in err


def test_open_tells_the_browser_no_token_but_a_file_that_leads_there(stored: Any) -> None:
    stored.write(
        "browser.py",
        "import sys, pathlib, urllib.parse, urllib.request\n"
        "file = urllib.request.url2pathname(urllib.parse.urlsplit(sys.argv[1]).path)\n"
        "pathlib.Path('seen').write_text(f'{sys.argv[1]} {pathlib.Path(file).read_text()}')\n",
    )
    stored.env["BROWSER"] = f"{sys.executable} browser.py %s"
    process = stored.start("watch", "run.db", "--open")
    address = first_line(process)
    until(lambda: stored.has("seen") and (stored.folder / "seen").read_text())
    file, _, page = (stored.folder / "seen").read_text().partition(" ")
    assert file.startswith("file:")
    assert address not in file
    assert address in page
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    assert not Path(urlsplit(file).path).parent.exists()


def test_a_run_at_work_in_another_process_is_watched_and_steered(flowpool: Any) -> None:
    flowpool.write_rows([SLOW, *(f"Text {n}." for n in range(20))])
    run = flowpool.start(
        *("run", "skill.yaml", "-i", "rows.jsonl", "-o", "out.jsonl", "--store", "run.db"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: flowpool.has("run.db") and flowpool("status", "run.db")[0] == 1, process=run)
        watch = flowpool.start("watch", "run.db")
        address = first_line(watch)
        until(lambda: view(address)["counts"] == "20 of 21", process=run)
        assert view(address)["state"] == "running"
        token = address.split("/")[3]
        order = urllib.request.Request(
            f"{address}order",
            b'{"what": "pause"}',
            {"X-Flowpool-Token": token, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(order, timeout=10) as answer:
            assert json.loads(answer.read())["said"].startswith("paused")
        until(lambda: view(address)["state"] == "paused", process=run)
    finally:
        run.kill()
    until(lambda: view(address)["state"] in ("away", "ended"))


def test_map_with_watch_says_where_the_page_is_and_ends_as_without(flowpool: Any) -> None:
    flowpool.write_rows(["One.", "Two."])
    code, _, err = flowpool(
        *("map", "Repeat: {text}", "-m", "gpt-5-mini", "-i", "rows.jsonl", "-o", "out.jsonl"),
        "--watch",
    )
    assert code == 0
    assert err.splitlines()[0].startswith("map: Watch it at http://127.0.0.1:")
    assert len(flowpool.read()) == 2


@pytest.mark.parametrize("more", [(), ("--terminal",)])
def test_what_isnt_there_is_refused(
    more: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", str(tmp_path / "no.db"), *more]) == 2
    assert capsys.readouterr().err == f"flowpool: {tmp_path / 'no.db'}: no such file.\n"


def test_a_run_that_the_store_doesnt_have_is_refused(
    stored: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", str(stored.folder / "run.db"), "--run", "other"]) == 2
    assert "no run 'other': it has 1 (" in capsys.readouterr().err


def test_a_port_that_is_in_use_is_said(stored: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["watch", str(stored.folder / "run.db"), "--port", str(port)]) == 2
    assert f"--port {port}: Address already in use" in capsys.readouterr().err


def test_the_terminal_has_no_page_to_open(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "run.db", "--terminal", "--open"]) == 2
    assert "--terminal serves no page" in capsys.readouterr().err
