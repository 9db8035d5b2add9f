"""Every block of code in README.md and docs/ does what the page says, with a simulated provider."""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.docs.pages import (
    NOT_RUN,
    PAGES,
    PROJECT,
    Block,
    blocks_of,
    name_of,
    needs_frameworks,
    setups_of,
)

from flowpool.demo.jobs import write_pages
from flowpool.pipeline import build
from flowpool.simulator import SimServer

ROWS = "text\nThe first text is short.\nThe second one is too.\n"
OUTPUT = "Output"
# What pages call the servers that a reader starts; here the simulator is all of them.
ADDRESSES = re.compile(r"http://(?:127\.0\.0\.1|localhost):(?:8090|8000|11434)\b")
READ = ("csv", "json", "jsonl", "sql", "text", "toml", "")
COMPARE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
MAY_NOT_RUN = 10


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimServer]:
    folder = tmp_path_factory.mktemp("pages")
    write_pages(folder)
    with SimServer(pages_dir=folder) as server:
        yield server


# tests/frameworks/test_pages.py runs the others.
@pytest.mark.parametrize("page", [p for p in PAGES if not needs_frameworks(p)], ids=name_of)
def test_the_blocks_of_a_page_run_one_after_another(
    page: Path, sim: SimServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_page(page, sim.url, tmp_path, monkeypatch)


def run_page(page: Path, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a page's blocks in `folder`, with the simulator at `url` as every provider."""
    for variable, value in environment(url).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(folder)
    Path("rows.csv").write_text(ROWS)
    text = ADDRESSES.sub(url, page.read_text(encoding="utf-8"))
    Runner(page).run(text)


class Runner:
    """Runs a page's blocks in the current folder, Python in one namespace."""

    def __init__(self, page: Path) -> None:
        self.page = page
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.printed = ""

    def run(self, text: str) -> None:
        for setup in setups_of(text):
            exec(setup, {})
        for block in blocks_of(text):
            if not block.reason:
                self._run_block(block)

    def _run_block(self, block: Block) -> None:
        if block.title == OUTPUT:
            self._compare(block)
        elif block.title:
            path = Path(block.title)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text + "\n", encoding="utf-8")
        if block.language == "python":
            if not block.title:
                self._run_python(block)
        elif block.language == "sh":
            self._run_shell(block)
        elif block.language == "yaml":
            check_yaml(block.text)
        elif block.language == "json":
            json.loads(block.text)
        else:
            assert block.language in READ, f"{self._place(block)}: no such language"

    def _run_python(self, block: Block) -> None:
        """A block that awaits gets a loop. Errors show the page's own lines."""
        source = "\n" * (block.line - 1) + block.text
        code: CodeType = compile(
            source, str(self.page), "exec", flags=TOP_LEVEL_AWAIT, dont_inherit=True
        )
        with redirect_stdout(StringIO()) as printed:
            result = eval(code, self.names)
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(result)
        self.printed = printed.getvalue()

    def _run_shell(self, block: Block) -> None:
        script = "\n".join(line for line in commands(block.text) if not is_known_otherwise(line))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not done.returncode, f"{self._place(block)}: {done.stderr}"
        self.printed = done.stdout + done.stderr

    def _compare(self, block: Block) -> None:
        same = doctest.OutputChecker().check_output(block.text + "\n", self.printed, COMPARE)
        assert same, f"{self._place(block)} printed:\n{self.printed}"

    def _place(self, block: Block) -> str:
        return f"{self.page.name}, line {block.line}"


def environment(url: str) -> dict[str, str]:
    """What points the providers' clients at the simulator."""
    return {
        "OPENAI_API_KEY": "key-canary",
        "OPENAI_BASE_URL": f"{url}/v1",
        "ANTHROPIC_API_KEY": "key-canary",
        "ANTHROPIC_BASE_URL": url,
        "GEMINI_API_KEY": "key-canary",
        "GOOGLE_GEMINI_BASE_URL": url,
        "OLLAMA_HOST": url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,  # where nobody collects: the exporter is told so at once
    }


def commands(text: str) -> list[str]:
    """The lines of a script, with those that end in a backslash joined."""
    return text.replace("\\\n", " ").splitlines()


def is_known_otherwise(line: str) -> bool:
    """Whether a line installs, builds or serves: what it names is checked, and it isn't run."""
    words = shlex.split(line, comments=True)
    if words[:2] == ["pip", "install"]:
        check_extras(words[2:])
    elif words[:1] == ["make"]:
        assert f"\n{words[1]}:" in (PROJECT / "Makefile").read_text(), line
    elif words[:2] == ["flowpool", "sim"]:
        from flowpool.cli.sim import sim

        sim.make_context("sim", words[2:])
    elif words[:1] == ["export"]:
        assert words[1].partition("=")[0] in environment(""), line  # which is set already
    else:
        return words[:3] == ["python", "-m", "venv"] or words[:1] in (["source"], ["git"], ["cd"])
    return True


def check_extras(names: list[str]) -> None:
    """Extras of flowpool that a page installs are there."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for name in names:
        if name.startswith("flowpool["):
            asked = name.removeprefix("flowpool[").rstrip("]").split(",")
            assert set(asked) <= project["optional-dependencies"].keys(), name


def check_yaml(text: str) -> None:
    """What flowpool can run is read as it would be; anything else is YAML."""
    value = YAML(typ="safe", pure=True).load(text)
    if "steps" in value or {"model", "prompt"} <= value.keys():
        path = Path("block.yaml")
        path.write_text(text, encoding="utf-8")
        build.read(path, trusted=True)


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    blocks = [block for page in PAGES for block in blocks_of(page.read_text(encoding="utf-8"))]
    reasons = [block.reason for block in blocks if block.reason]
    assert all(len(reason) > 10 for reason in reasons)
    assert len(reasons) <= MAY_NOT_RUN < len(blocks) / 5


# The test itself: that it finds what is wrong.

PAGE = """# Page

<!-- setup
from pathlib import Path
Path("made.txt").write_text("made")
-->

```python
from pathlib import Path
from flowpool import Pool, Skill
skill = Skill("claude-haiku-4-5", prompt="Say: {text}")
```

```csv title="few.csv"
text
one
```

  ```python
  results = await Pool(skill, "few.csv").arun()
  print(Path("made.txt").read_text(), results)
  ```

```text title="Output"
made [...]
```

```sh
cat few.csv \\
  made.txt  # both
```

```text title="Output"
text one made
```
"""


def test_blocks_share_a_namespace_may_await_and_are_held_to_their_output(
    sim: SimServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    run_page(page, sim.url, tmp_path, monkeypatch)
    page.write_text(PAGE.replace("made [...]", "mad [...]"))
    with pytest.raises(AssertionError, match="line 25 printed"):
        run_page(page, sim.url, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("block", "error"),
    [
        ("```python\n1 / 0\n```", "division"),
        ("```sh\nfalse\n```", "line 3"),
        ("```sh\nflowpool rum x\n```", "see flowpool --help"),
        ("```sh\npip install 'flowpool[nothing]'\n```", "nothing"),
        ("```sh\nmake nothing\n```", "make nothing"),
        ("```yaml\nmodel: gpt-5-mini\nprompt: [}\n```", "line 2"),
        ("```yaml\nmodel: gpt-5-mini\nprompt: x\nouput: y\n```", "ouput"),
        ("```json\n{\n```", "line 1"),
        ("```pyton\n```", "no such language"),
        ("```python\n", "isn't closed"),
    ],
)
def test_what_is_wrong_in_a_block_is_found(
    block: str, error: str, sim: SimServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"\n{block}\n")
    with pytest.raises(Exception, match=error):
        run_page(page, sim.url, tmp_path, monkeypatch)


def test_a_block_that_is_not_run_says_why(
    sim: SimServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{NOT_RUN} it divides\nby zero.*\n\n```python\n1 / 0\n```\n")
    assert [block.reason for block in blocks_of(page.read_text())] == ["it divides by zero."]
    run_page(page, sim.url, tmp_path, monkeypatch)
