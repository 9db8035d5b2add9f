"""What a function or object is: the same in every process and place; state and Python's own parts are left out."""

from __future__ import annotations

import importlib.util
import linecache
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from flowpool.checkpoint import code_identity
from flowpool.checkpoint.code_identity import CodeIdentity

WORK = '''
import enum, functools, logging, re
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
BESIDE = str(HERE.parent / "data" / "words.txt")
WORDS = {"a", "b", "c"}
TABLE = {"x": len, "y": {1, 2}}
LOG = logging.getLogger(__name__)

class Kind(enum.Enum):
    A = "a"
    B = "b"

@dataclass
class Row:
    kind: Kind
    words: frozenset = frozenset(WORDS)
    more: list = field(default_factory=list)

    def line(self):
        return f"{self.kind!r:>9} {self.words}"

def deep(text):
    return work(text) if text in WORDS else Row(Kind.A).line()

@functools.cache
def work(text: str, limit=lambda n: n + 1) -> str:
    """What it does."""
    LOG.info("%s", text)
    if text in {"one", "two", "three"}:
        return (HERE / "words.txt").read_text() + BESIDE
    return [deep(one) for one in TABLE["y"] if (found := one)][0]
'''
SCRIPT = """
import sys; sys.path.insert(0, {folder!r})
from work import work
from flowpool.checkpoint.code_identity import CodeIdentity
print(CodeIdentity().of(work))
"""


def of(value: Any) -> str:
    return CodeIdentity().of(value)


def loaded(path: Path, text: str, monkeypatch: pytest.MonkeyPatch, name: str = "work") -> Any:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_it_is_the_same_in_every_process_and_folder(tmp_path: Path) -> None:
    found = set()
    for seed, name in (("1", "here"), ("2", "elsewhere/deeper")):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "work.py").write_text(WORK)
        script = SCRIPT.format(folder=str(folder))
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env=env,
            cwd=folder,
        )
        found.add(done.stdout)
    assert len(found) == 1
    assert len(found.pop()) == 33


def test_functions_that_call_each_other_end(tmp_path: Path, monkeypatch: Any) -> None:
    text = "def a(n):\n    return b(n)\ndef b(n):\n    return a(n) {}\n"
    one = loaded(tmp_path / "a.py", text.format(""), monkeypatch)
    two = loaded(tmp_path / "b.py", text.format("+ 1"), monkeypatch)
    assert of(one.a) != of(one.b)
    assert of(one.a) != of(two.a)


def test_values_that_hold_themselves_end() -> None:
    values: list[Any] = [len]
    values.append(values)
    table: dict[str, Any] = {"f": of}
    table["self"] = table
    assert of(values) == of(values)
    assert of(table) != of(values)


def test_a_whole_application_is_looked_at_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_identity, "MOST_OBJECTS", 5)

    class Node:
        next: Any = None

    first = node = Node()
    for _ in range(500):
        node.next = Node()
        node = node.next
    assert of(first) == of(first)


def test_lambdas_of_one_line_are_different_functions(tmp_path: Path, monkeypatch: Any) -> None:
    text = "add, twice, of = lambda n: n + 1, lambda n: (lambda m: m + m)(n), lambda n: (lambda m: m)(n)\n"
    module = loaded(tmp_path / "lambdas.py", text, monkeypatch)
    assert len({of(module.add), of(module.twice), of(module.of)}) == 3
    again = loaded(tmp_path / "other.py", "# A line.\n" + text, monkeypatch)
    assert [of(module.add), of(module.of)] == [of(again.add), of(again.of)]


def test_a_run_changes_nothing_of_what_its_function_is(tmp_path: Path, monkeypatch: Any) -> None:
    module = loaded(
        tmp_path / "state.py",
        """
import itertools, threading
seen, cache, numbers, lock, total = [], {}, itertools.count(), threading.Lock(), 0
class Stats:
    def __init__(self):
        self.calls, self.by = 0, {}
    def note(self, text):
        self.calls += 1
        self.by.setdefault(text, []).append(1)
stats = Stats()
def work(text, known={}):
    global total
    total += next(numbers)
    seen.append(text)
    cache[text] = known[text] = stats.note(text)
    work.last = text
    with lock:
        return sorted(seen)
""",
        monkeypatch,
    )
    before = of(module.work)
    module.work("a")
    module.work("b")
    assert of(module.work) == before


def test_a_name_that_is_a_functions_own_hides_no_constant(tmp_path: Path, monkeypatch: Any) -> None:
    text = """
WORDS = {}
def other():
    WORDS = []
    WORDS.append(1)
def work(text):
    return text in WORDS
"""
    one = loaded(tmp_path / "a.py", text.format("['a']"), monkeypatch)
    two = loaded(tmp_path / "b.py", text.format("['b']"), monkeypatch)
    assert of(one.work) != of(two.work)


def test_source_that_changed_since_it_was_imported_isnt_what_runs(
    tmp_path: Path, monkeypatch: Any
) -> None:
    old = loaded(tmp_path / "a.py", "def work(text):\n    return text + 'a'\n", monkeypatch)
    before = of(old.work)
    new = loaded(tmp_path / "a.py", "def work(text):\n    return text + 'bc'\n", monkeypatch)
    linecache.checkcache()
    assert len({before, of(old.work), of(new.work)}) == 3


def test_code_without_source_is_its_bytes_but_for_docstrings() -> None:
    def made(text: str) -> Any:
        space: dict[str, Any] = {"__name__": "work"}
        exec(text, space)
        return space["work"]

    plain = "def work(text):\n    {}return text + {!r}\n"
    assert of(made(plain.format("", "a"))) == of(made(plain.format("'A.'; ", "a")))
    assert of(made(plain.format("", "a"))) != of(made(plain.format("", "b")))
    words = "def work(text):\n    return {!r}\n"
    assert of(made(words.format("a"))) != of(made(words.format("b")))
    assert of(made("work = lambda: 'a'")) != of(made("work = lambda: 'b'"))


def test_long_expressions_are_no_deeper_than_they_may_be(tmp_path: Path, monkeypatch: Any) -> None:
    text = "def work(n):\n    return n" + " + n" * 900 + "\n"
    one = loaded(tmp_path / "a.py", text, monkeypatch)
    two = loaded(tmp_path / "b.py", text.replace("return n", "return 1"), monkeypatch)
    assert of(one.work) != of(two.work)


def test_what_a_package_shows_of_itself_counts_without_addresses() -> None:
    class Named:
        pass

    assert of(object()) == of(object())
    assert of(threading.Lock()) == of(threading.Lock())
    assert of(slice(1)) != of(slice(2))
    assert of(Named()) == of(Named())
