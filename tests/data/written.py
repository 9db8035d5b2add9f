"""Runs and records to be written, and what was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowpool import Pool, Record, Status, read

ITEMS: list[dict[str, Any]] = [{"text": f'line "{n}",\n{n}', "n": n} for n in range(50)]


def pool(items: Any = ITEMS, fn: Any = None, **settings: Any) -> Pool:
    return Pool(fn or (lambda n: n * 10), items, progress=False, **settings)


def record(
    index: int, output: Any = None, error: Exception | None = None, **variables: Any
) -> Record:
    status = Status.DONE if error is None else Status.FAILED
    return Record(index, variables or {"n": index}, status, output, error)


def written(path: Path) -> list[dict[str, Any]]:
    return list(read(path))
