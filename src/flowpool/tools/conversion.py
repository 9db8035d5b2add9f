"""Whatever can be run as a tool: a function, a callable object, another framework's object."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from flowpool import integrations
from flowpool.errors import InvalidInput
from flowpool.tools.base import FunctionTool, Tool


def as_tool(obj: Any) -> Tool:
    """The tool that `obj` is or can be.

    Takes a `Tool` or its class, a plain or async function, a `functools.partial`, a callable object, or
    another framework's object (`flowpool.integrations`). Raises `InvalidInput` for anything else.

        as_tool(str.title).run(**as_tool(str.title).bind({"self": "ada"}))  # 'Ada'
    """
    if isinstance(obj, Tool):
        return obj
    if inspect.isclass(obj) and issubclass(obj, Tool):
        return obj()
    if isinstance(obj, functools.partial) and isinstance(obj.func, Tool) and not obj.args:
        return obj.func.with_options(**obj.keywords)
    may_be_foreign = not inspect.isroutine(obj) and not inspect.isclass(obj)
    if may_be_foreign and (made := integrations.wrap(obj)) is not None:
        return made
    if callable(obj):
        return FunctionTool(obj)
    raise InvalidInput(f"{obj!r} can't be run: pass a Skill, a Chain, a Tool or a function.")
