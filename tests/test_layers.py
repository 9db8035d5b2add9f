"""Holds the table of layers: a file imports only from its own row or those above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import flowpool

ROOT = Path(flowpool.__file__).parent

# Modules by row, without the package's name; "." is the package itself, which loads its names by need.
ROWS: dict[int, tuple[str, ...]] = {
    1: (".", "usage", "values", "errors", "wiring", "logs"),
    2: (
        *(
            "template",
            "attachments",
            "model",
            "models",
            "skill",
            "skills",
            "chain",
            "runner",
            "pipeline.build",
            "pipeline.spec",
            "pipeline.json_schema",
            "pipeline.yaml",
            "providers",
        ),
        *(
            "tools.base",
            "tools.schema",
            "tools.conversion",
            "wire",
            "wire.*",
            "structured",
            "structured.*",
        ),
        *("integrations", "integrations.*", "encoding"),
        *("run", "plan", "calls.retry", "limits.window", "limits.demand", "limits.lane"),
        *("checkpoint.fingerprint", "checkpoint.output_codec"),
        *("limits.lane_view", "limits.rate_meter", "calls.budget", "calls.worst_case"),
        *(
            "limits.breaker",
            "limits.load_curve",
            "limits.header_bucket",
            "limits.limiter",
            "limits.pacer",
            "settings",
        ),
    ),
    3: (
        *(
            "calls.files",
            "http.transport",
            "http",
            "http.*",
            "workers",
            "per_loop",
            "prices",
            "data",
            "data.*",
        ),
        *(
            "run.source",
            "threads",
            "limits.sharing",
            "limits.sharing.*",
            "store",
            "store.*",
            "record",
            "results",
        ),
        *("tracing", "tracing.*", "integrations.any_llm_transport"),
        *("tools", "tools.addresses", "tools.decoding", "tools.documents", "tools.main_content"),
        *("tools.markdown", "tools.page", "tools.running", "tools.web"),
    ),
    4: (
        *(
            "calls.attachments",
            "calls.model_calls",
            "calls.route",
            "calls.flow",
            "limits.lanes",
            "calls.tool_calls",
            "limits.sharing.run_shares",
            "calls.spending",
            "calls.bounds",
            "run.deadline",
            "run.run",
            "run.session",
            "run.dedupe",
            "checkpoint.journal",
            "checkpoint.checkpoint",
            "run.steps",
            "run.sink",
            "run.environment",
            "run.slots",
            "run.single",
            "run.stream",
            "run.progress",
        ),
        "run.loop_thread",
        *("pool", "run.snapshot", "estimate"),
    ),
    5: ("views", "views.*", "simulator", "simulator.*", "cli", "cli.*", "demo", "demo.*"),
}
# What the decisions of rows 1 and 2 must not know: they are told the time and what arrived.
OUTSIDE_WORLD = {
    *("asyncio", "socket", "ssl", "select", "selectors", "http", "urllib.request", "sqlite3"),
    *(
        "time",
        "random",
        "secrets",
        "os",
        "threading",
        "subprocess",
        "multiprocessing",
        "concurrent",
    ),
}
OTHER_PACKAGES_OF_ROW_1 = {"msgspec"}


def modules() -> dict[str, Path]:
    """Every module of the package by its name without the package's."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join(parts) or "."] = path
    return found


MODULES = modules()


def rows_of(name: str) -> list[int]:
    return [row for row, patterns in ROWS.items() if any(fnmatchcase(name, p) for p in patterns)]


def imports(path: Path) -> Iterator[str]:
    """What a file imports anywhere in it, except for type checkers, as absolute names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in _without_type_checking(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            assert node.module
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if _is_own_module(inner) else node.module


def _without_type_checking(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield from (other, *_without_type_checking(other))
            continue
        yield child
        yield from _without_type_checking(child)


def _is_own_module(name: str) -> bool:
    return name.removeprefix("flowpool.") in MODULES and name.startswith("flowpool.")


def own(name: str) -> str | None:
    """A module of the package without the package's name; None for others."""
    if name == "flowpool":
        return "."
    return name.removeprefix("flowpool.") if name.startswith("flowpool.") else None


def test_every_module_stands_in_exactly_one_row() -> None:
    misplaced = {name: rows for name in MODULES if len(rows := rows_of(name)) != 1}
    assert not misplaced, "give each module one row of ROWS"


def test_every_row_names_only_modules_that_exist() -> None:
    patterns = [pattern for row in ROWS.values() for pattern in row]
    assert not [p for p in patterns if not any(fnmatchcase(name, p) for name in MODULES)]


@pytest.mark.parametrize("name", [name for name in MODULES if rows_of(name)])
def test_a_module_imports_only_from_its_row_or_above(name: str) -> None:
    row = rows_of(name)[0]
    below = []
    for imported in imports(MODULES[name]):
        module = own(imported)
        if module is not None and rows_of(module) and rows_of(module)[0] > row:
            below.append(f"{imported} (row {rows_of(module)[0]})")
    assert not below, f"{name} stands in row {row}"


@pytest.mark.parametrize("name", [name for name in MODULES if rows_of(name)[:1] in ([1], [2])])
def test_what_decides_knows_no_clock_chance_or_input(name: str) -> None:
    heads = {".".join(found.split(".")[:n]) for found in imports(MODULES[name]) for n in (1, 2)}
    assert not heads & OUTSIDE_WORLD


@pytest.mark.parametrize("name", [name for name in MODULES if rows_of(name)[:1] == [1]])
def test_the_first_row_needs_only_the_standard_library_and_msgspec(name: str) -> None:
    import sys

    allowed = sys.stdlib_module_names | OTHER_PACKAGES_OF_ROW_1 | {"flowpool"}
    assert {found.partition(".")[0] for found in imports(MODULES[name])} <= allowed


def test_this_test_sees_imports_inside_functions_and_not_those_for_type_checkers(
    tmp_path: Path,
) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import socket\nelse:\n    import json\n"
        "def later():\n    from flowpool import pool, Model\n    import os.path\n"
    )
    assert list(imports(path)) == ["typing", "json", "flowpool.pool", "flowpool", "os.path"]
