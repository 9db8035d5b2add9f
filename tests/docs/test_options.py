"""Every option of every public function and command is told of in the prose of a page, beside the reference."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import click
import pytest
from tests.docs.pages import PAGES, PROJECT

from flowpool.cli.app import COMMANDS, load_command

_FENCE = re.compile(r"^( *)(```+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_WORD = re.compile(r"--[a-z][a-z-]*|\w+")
# What tests set; a test of flowpool's own takes it.
INNER = {"environment"}


def load_reference() -> ModuleType:
    """What makes the reference, which knows the public names."""
    spec = importlib.util.spec_from_file_location("reference", PROJECT / "docs/reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = load_reference()


@cache
def in_prose() -> frozenset[str]:
    """The words that stand in code within the prose of a page."""
    words: set[str] = set()
    for page in PAGES:
        prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
        for _, code in _CODE.findall(prose):
            words.update(_WORD.findall(code))
    return frozenset(words)


def public() -> Iterator[tuple[str, Any]]:
    """The names that a user imports, exceptions aside: those have no options."""
    for page, _, _, module_name, chosen in REFERENCE.PAGES:
        if page != "errors":
            module = importlib.import_module(module_name)
            for name in chosen or REFERENCE.own_names(module):
                yield name, getattr(module, name)


def functions() -> Iterator[tuple[str, Any]]:
    """Every function, constructor and method that a user calls; what runs alone make has no constructor."""
    for name, value in public():
        inner = REFERENCE.INNER.get(name, frozenset())
        if not inspect.isclass(value):
            yield name, getattr(value, "fn", value)
            continue
        if name not in MADE_BY_RUNS:
            yield name, value
        for method, member in vars(value).items():
            called = getattr(member, "__func__", member)
            is_inner = method.startswith("_") or method in inner or "*" in inner
            if inspect.isfunction(called) and called.__doc__ and not is_inner:
                yield f"{name}.{method}", called


MADE_BY_RUNS = {
    "Record",
    "Results",
    "Rows",
    "Status",
    "Tool",
    "ToolResult",
    "Snapshot",
    "LaneView",
    "Spend",
}
FUNCTIONS = dict(functions())


def test_the_walk_meets_what_users_call() -> None:
    assert {
        "Pool",
        "Pool.retry",
        "Skill",
        "Model",
        "read",
        "tool",
        "fetch",
        "Results.write",
    } <= FUNCTIONS.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_option_of_a_public_function_is_told_of(name: str) -> None:
    parameters = set(inspect.signature(FUNCTIONS[name]).parameters)
    assert parameters - in_prose() - INNER - {"self", "cls"} == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_told_of(name: str) -> None:
    """Each in a sentence of its own: the page of the command line has the commands' own help."""
    page = (PROJECT / "docs/cli.md").read_text(encoding="utf-8")
    for option in load_command(name).params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert any(re.search(rf"(?<![\w-]){word}(?![\w-])", page) for word in option.opts), (
                option.name
            )


def test_every_name_that_a_user_imports_is_told_of() -> None:
    assert {name for name, _ in public()} - in_prose() == set()


def test_what_a_page_shows_in_code_blocks_alone_is_not_told_of() -> None:
    assert "no_such_option" not in in_prose()
    assert _FENCE.sub("", "a `x`\n```python\n`y`\n```\nb") == "a `x`\n\nb"
