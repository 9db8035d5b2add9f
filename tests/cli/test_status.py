"""`flowpool status` of real stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowpool.cli import main
from flowpool.store.file import open_store


def test_status_says_what_is_done_what_failed_and_how_to_go_on(stored: Any) -> None:
    code, out, _ = stored("status", "run.db")
    assert code == 1
    assert out.startswith("run.db: 1 run, ")
    assert "what      gpt-5-mini 'Repeat this: {text}'" in out
    assert "3 done, 1 failed; all items of the run stand in the store" in out
    assert " 4 attempts" in out
    assert "failed    1 x BadRequest: " in out
    assert "try again flowpool retry run.db\n" in out
    assert "flowpool resume" not in out
    assert "At work" not in out


def test_status_says_who_holds_the_store(stored: Any) -> None:
    with open_store(stored.folder / "run.db"):
        _, out, _ = stored("status", "run.db")
    assert "At work on it now: " in out
    assert "try again" not in out


@pytest.mark.parametrize("command", ["status", "resume", "retry", "export"])
def test_what_is_no_store_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no.db"
    for content in (None, "words"):
        if content is not None:
            path.write_text(content)
        assert main([command, str(path)]) == 2
        assert capsys.readouterr().err.startswith(f"flowpool: {path}: ")
