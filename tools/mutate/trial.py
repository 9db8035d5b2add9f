"""One mutant against its module's tests, in a copy of the tree, and what came of several."""

from __future__ import annotations

import compileall
import difflib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, convert

from tools.house.tree import REPOSITORY
from tools.mutate.mutations import Mutation, mutations

TABLE = Path(__file__).with_name("policies.toml")
# A mutant that never ends is killed after so many times the tests' own time, and some seconds for a busy machine.
PATIENCE = 5.0
PATIENCE_SECONDS = 20.0


class Equivalent(Struct, frozen=True, forbid_unknown_fields=True):
    """A mutant that nobody could tell from the module. was, becomes: its line, and the line mutated."""

    module: str
    was: str
    becomes: str
    why: str


class Policies(Struct, frozen=True, forbid_unknown_fields=True):
    """target: the share to be killed. policies: each module's further test files."""

    target: float
    policies: dict[str, tuple[str, ...]]
    equivalent: tuple[Equivalent, ...] = ()


class Score(Struct):
    """How a module's tests did. survivors: their diffs."""

    module: str
    tried: int = 0
    killed: int = 0
    survivors: list[str] = []

    @property
    def share(self) -> float:
        return self.killed / self.tried if self.tried else 1.0


def load(path: Path = TABLE) -> Policies:
    return convert(tomllib.loads(path.read_text(encoding="utf-8")), Policies)


def own_tests(module: str, extra: tuple[str, ...], root: Path = REPOSITORY) -> list[str]:
    """The test files of a module: the one that mirrors it, where there is one, and the further ones."""
    folder, _, name = module.rpartition("/")
    mirror = Path("tests", folder, f"test_{name}.py").as_posix()
    found = [file for file in dict.fromkeys((mirror, *extra)) if (root / file).exists()]
    if not found:
        raise FileNotFoundError(f"{module} has no {mirror}: write it, or name its tests in {TABLE}")
    return found


def lines_changed(source: bytes, mutation: Mutation) -> tuple[str, str]:
    """The lines that a mutation changes, as they were and as they become, without their indent."""
    mutated = mutation.applied(source)
    begin = source.rfind(b"\n", 0, mutation.start) + 1
    rest = source.find(b"\n", mutation.end)
    tail = len(source) - rest if rest >= 0 else 0
    was, becomes = source[begin : len(source) - tail], mutated[begin : len(mutated) - tail]
    return was.decode().strip(), becomes.decode().strip()


def mutants(module: str, source: bytes, table: Policies) -> list[Mutation]:
    """A module's mutations that somebody could notice."""
    same = {(one.was, one.becomes) for one in table.equivalent if one.module == module}
    found = mutations(source)
    return [mutation for mutation in found if lines_changed(source, mutation) not in same]


def diff(module: str, source: bytes, mutation: Mutation) -> str:
    """What a mutation changes, as a diff without context."""
    before, after = (text.decode().splitlines() for text in (source, mutation.applied(source)))
    lines = difflib.unified_diff(before, after, f"src/flowpool/{module}.py", n=0, lineterm="")
    return "\n".join(line for line in lines if not line.startswith("+++"))


class Bench:
    """A copy of the repository in which one module is mutated and tested, again and again."""

    def __init__(
        self, folder: Path, module: str, tests: list[str], nursery: subprocess.Popen[str]
    ) -> None:
        self.path = folder / "src" / "flowpool" / f"{module}.py"
        self.source = self.path.read_bytes()
        self._tests = tests
        self._nursery = nursery

    def passes(self, source: bytes, seconds: float) -> bool:
        """Whether the tests pass with this source in place of the module's, within so many seconds."""
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self.path.write_bytes(source)
        # A mutant of the same size in the same second would be taken for the one before it.
        Path(importlib.util.cache_from_source(str(self.path))).unlink(missing_ok=True)
        self._nursery.stdin.write(json.dumps({"tests": self._tests, "seconds": seconds}) + "\n")
        self._nursery.stdin.flush()
        # Else a test failed, or took too long, or the mutant could not even be imported.
        return int(self._nursery.stdout.readline()) == 0


@contextmanager
def bench(module: str, tests: list[str], root: Path = REPOSITORY) -> Iterator[Bench]:
    """A `Bench` for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="mutate-") as name:
        folder = Path(name)
        skipped = shutil.ignore_patterns("__pycache__")
        for part in ("src", "tests"):
            shutil.copytree(root / part, folder / part, ignore=skipped)
        shutil.copy(root / "pyproject.toml", folder)
        compileall.compile_dir(str(folder / "src"), quiet=2)
        # Other packages' plugins take seconds to load, and no policy's tests need one.
        environ = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        with subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nursery.py"))],
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as nursery:
            assert nursery.stdout is not None
            assert nursery.stdout.readline() == "ready\n"
            yield Bench(folder, module, tests, nursery)
