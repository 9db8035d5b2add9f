"""Runs what the documentation shows: examples in docstrings, and the blocks of README.md and docs/."""

from __future__ import annotations

import ast
import asyncio
import doctest
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import flowpool
from flowpool.simulator import SimServer

ROOT = Path(flowpool.__file__).parent
PROJECT = Path(__file__).parent.parent
FILES = sorted([PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md")])
TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_INTRODUCED = re.compile(r"(:|Example:|Examples:)$")


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


# Pages


def python_blocks(path: Path) -> list[tuple[int, str]]:
    """The ```python blocks of a page with the numbers of their first lines."""
    found: list[tuple[int, str]] = []
    lines: list[str] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = line.strip()
        if lines is None and fence == "```python":
            lines = []
            found.append((number + 1, ""))
        elif lines is not None and fence == "```":
            found[-1] = (found[-1][0], textwrap.dedent("\n".join(lines)))
            lines = None
        elif lines is not None:
            lines.append(line)
    assert lines is None, f"{path}: a block isn't closed"
    return found


def run_block(path: Path, line: int, text: str, names: dict[str, Any]) -> None:
    """Runs a block in `names`; a block that awaits gets a loop. Errors show the page's own lines."""
    source = "\n" * (line - 1) + text
    code: CodeType = compile(source, str(path), "exec", flags=TOP_LEVEL_AWAIT, dont_inherit=True)
    result = eval(code, names)
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(result)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_the_blocks_of_a_page_run_one_after_another(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = python_blocks(path)
    if not blocks:
        return
    names: dict[str, Any] = {"__name__": "__main__"}
    (tmp_path / "rows.csv").write_text("text\nThe first text is short.\nThe second one is too.\n")
    monkeypatch.chdir(tmp_path)
    with SimServer() as sim:
        for variable, value in environment(sim.url).items():
            monkeypatch.setenv(variable, value)
        for line, text in blocks:
            run_block(path, line, text, names)


def environment(url: str) -> dict[str, str]:
    """What points the providers' clients at the simulator."""
    return {
        "OPENAI_API_KEY": "key-canary",
        "OPENAI_BASE_URL": f"{url}/v1",
        "ANTHROPIC_API_KEY": "key-canary",
        "ANTHROPIC_BASE_URL": url,
        "GEMINI_API_KEY": "key-canary",
        "GOOGLE_GEMINI_BASE_URL": url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,  # where nobody collects: the exporter is told so at once
    }


def test_blocks_are_found_run_in_one_namespace_and_may_await(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n```python\nfrom flowpool import Pool, Skill\n"
        'skill = Skill("claude-haiku-4-5", prompt="Say: {text}")\n```\n'
        "```sh\nnot python\n```\n\n  ```python\n  import csv\n"
        '  rows = list(csv.DictReader(open_rows := open("rows.csv")))\n  open_rows.close()\n  ```\n'
        "```python\nresults = await Pool(skill, rows).arun()\n"
        'assert results == ["The first text is short.", "The second one is too."]\n```\n'
    )
    assert [line for line, _ in python_blocks(page)] == [4, 12, 17]
    test_the_blocks_of_a_page_run_one_after_another(page, tmp_path, monkeypatch)
    page.write_text("\n```python\n1 / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as caught:
        test_the_blocks_of_a_page_run_one_after_another(page, tmp_path, monkeypatch)
    assert caught.traceback[-1].lineno == 2  # counted from 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_links_to_files_of_the_project_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
