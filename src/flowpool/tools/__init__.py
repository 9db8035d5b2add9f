"""Tools: functions as steps, and the built-in ones that fetch pages and make markdown of documents.

Names load on first use: the fetcher and the converters bring libraries that most runs don't need.

    from flowpool.tools import fetch, to_markdown, tool
"""

from __future__ import annotations

from collections.abc import Coroutine
from importlib import import_module
from typing import TYPE_CHECKING, Any

from flowpool.tools import base as _base

if TYPE_CHECKING:
    from flowpool.tools.base import Tool, ToolResult, tool
    from flowpool.tools.conversion import as_tool
    from flowpool.tools.markdown import convertToMD, to_markdown
    from flowpool.tools.web import fetch
    from flowpool.values import Caps

__all__ = ["Caps", "Tool", "ToolResult", "as_tool", "convertToMD", "fetch", "to_markdown", "tool"]

_HOMES = {
    **dict.fromkeys(("Caps", "Tool", "ToolResult", "tool"), "base"),
    "as_tool": "conversion",
    **dict.fromkeys(("convertToMD", "kept_to", "to_markdown"), "markdown"),
    "fetch": "web",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


def _drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    from flowpool.tools.running import drive

    return drive(coroutine)


# Waiting for an async tool takes an event loop, which `base` must not know.
_base.Tool.drive = staticmethod(_drive)
