"""Where a lower layer finds the parts above it that it hands work to, loaded at their first use.

Runners promise `run()`, which the pool does; a pool shows progress, and results a table, which views draw; a pool
writes a report and a trace; a run with a store heeds orders of other processes, which `control` hears; a wire's row
names the transport of a package that most runs don't need. None may import the other way up, so this table is the
only one to know both names.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Literal

_PARTS = {
    "pool": "flowpool.pool",
    "progress": "flowpool.views.progress",
    "report": "flowpool.report",
    "tables": "flowpool.views.tables",
    "summary": "flowpool.views.summary",
    "trace": "flowpool.report.trace",
    "control": "flowpool.control.server",
    "any-llm": "flowpool.integrations.any_llm_transport",
}


Part = Literal["pool", "progress", "report", "summary", "tables", "trace", "control", "any-llm"]


def load(part: Part) -> ModuleType:
    """The module that plays `part`."""
    return import_module(_PARTS[part])
