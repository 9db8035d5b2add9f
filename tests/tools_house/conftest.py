"""Small packages to measure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.house.tree import Tree


@pytest.fixture
def plant(tmp_path: Path) -> Callable[[dict[str, str]], Tree]:
    """Makes a package `pack` of files by name and text, each folder of it a package too."""

    def make(files: dict[str, str]) -> Tree:
        root = tmp_path / "pack"
        for name, text in {"__init__.py": "", **files}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return Tree(root)

    return make
