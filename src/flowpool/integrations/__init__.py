"""Other frameworks' objects as runners: what each takes of an item's variables, and what its answer says.

Pure reading of objects: no framework is imported until one of its own objects came, and nothing is awaited here
but the object's own method. A further framework is one module and one row of `_ADAPTERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from flowpool.integrations.base import ForeignAnswer, ForeignTool

__all__ = ["ForeignAnswer", "ForeignTool", "wrap"]

# The package that a class comes from: the module here that knows its objects.
_ADAPTERS = {
    "langchain_core": "langchain",
    "dspy": "dspy",
    "pydantic_ai": "pydantic_ai",
    "llama_index": "llama_index",
    "workflows": "llama_index",
}
# Any other object's methods, in the order they are preferred.
_METHODS = ("ainvoke", "acall", "invoke", "run")


def wrap(target: Any) -> ForeignTool | None:
    """The tool that another framework's object is, or None for what is no such object.

    Raises `InvalidInput` for an object of a known framework that can't run in a pool.
    """
    for package in _packages(target):
        if package in _ADAPTERS:
            adapter: Callable[[Any], ForeignTool | None]
            adapter = import_module(f"{__name__}.{_ADAPTERS[package]}").adapt
            if (made := adapter(target)) is not None:
                return made
    for method in _METHODS:
        if callable(getattr(target, method, None)):
            return ForeignTool(target, getattr(target, method))
    return None


def _packages(target: Any) -> Iterator[str]:
    """The packages of its classes, nearest first."""
    for kind in type(target).__mro__:
        yield kind.__module__.partition(".")[0]
