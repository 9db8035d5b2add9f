"""The examples in docstrings run or can be read, and every public name is there."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import flowpool

ROOT = Path(flowpool.__file__).parent
TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def module_names() -> Iterator[str]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        if parts[-1] != "__main__":  # which run when they are imported
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = list(module_names())


# Docstrings


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_session_give_what_they_show(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test)
    assert not runner.summarize(verbose=False).failed, capsys.readouterr().out


@pytest.mark.parametrize("name", MODULES)
def test_other_examples_can_be_read(name: str) -> None:
    path = Path(inspect.getsourcefile(importlib.import_module(name)) or "")
    for where, text in docstrings(path):
        for example in indented_blocks(text):
            assert is_code(example), f"{path.name}, {where}:\n{example}"


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", "the module"), text


def indented_blocks(text: str) -> Iterator[str]:
    """Blocks set off by an empty line or "Example:" and indented; no sessions, no lists of arguments."""
    block: list[str] = []
    before = ""  # the last line above the block
    gap = False
    for line in [*text.splitlines(), "end"]:
        indented = line.startswith("    ")
        if block and (indented or not line.strip()):
            block.append(line)
        elif block:
            yield textwrap.dedent("\n".join(block)).strip()
            block = []
        elif indented and (gap or before.strip() == "Example:") and ">>>" not in line:
            block = [line]
        gap = not line.strip()
        before = line if line.strip() else before


def is_code(text: str) -> bool:
    if _compiles(text):
        return True
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return isinstance(YAML(typ="safe", pure=True).load(text), dict)
    except YAMLError:
        return False


def _compiles(text: str) -> bool:
    try:
        compile(text, "<example>", "exec", flags=TOP_LEVEL_AWAIT)
    except SyntaxError:
        return False
    return True


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_exists(name: str) -> None:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert getattr(module, public) is not None
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


def test_the_package_names_what_a_user_needs() -> None:
    assert dir(flowpool) == flowpool.__all__
    assert {"Chain", "Limits", "Model", "Pool", "Skill", "tool"} <= set(flowpool.__all__)
    with pytest.raises(ImportError, match="Pol"):
        from flowpool import Pol  # noqa: F401
