"""A run as one page: its figures, how its calls went, and every item. Reads stores and pools; runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowpool.report.page import write_report
from flowpool.report.reading import run_in_store, run_of_session
from flowpool.report.target import files_in_store, files_of_session
from flowpool.run.session import Session


def report_of_pool(
    session: Session, runner: Any, path: str | Path, *, content: bool, overwrite: bool
) -> Path:
    """Writes the page of a pool's run: of what its store has, where it has one; returns where it is."""
    checkpoint = session.checkpoint
    kept = files_of_session(session)
    if checkpoint is not None and checkpoint.run is not None:
        kept += files_in_store(checkpoint.path, str(checkpoint.run))
        run = run_in_store(checkpoint.path, str(checkpoint.run))
    else:
        run = run_of_session(session, runner)
    return write_report(path, [run], kept, content=content, overwrite=overwrite)
