"""Stores to report on."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.made_run import MadeRun


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 400 items with waits, refusals, failures, samples, bottlenecks and changes."""
    path = tmp_path_factory.mktemp("made") / "run.db"
    MadeRun(400, failing=0.05).write(path)
    return path
