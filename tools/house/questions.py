"""How many files a stranger reads for the answer to a question. `questions.toml` holds the questions.

A question has an answer: the functions, classes and tables to read, each as "file: name", written down by
somebody who read them all. Two checks keep it honest, so that a short list is a short way and not a short
memory:

- each name is defined in its file;
- nobody else decides: a file that isn't on the list but tests one of the question's words (`decides`) in a
  condition of an `if`, `while`, `x if y else z`, `match`, comprehension or comparison is one more file to read.
  The rooms that only look on (`onlookers`) don't count.

The question of what a change touches has probes instead of an answer (`named`): each is a name that the change
would be another of, and the files to touch are those whose code says it, as an identifier or as a whole string.
The worst counts.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from msgspec import Struct, convert

from tools.house.tree import Module, Tree

FILE = Path(__file__).with_name("questions.toml")


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """answer: "file: name" each. decides: words that only those files may test. named: probes."""

    ask: str
    answer: tuple[str, ...] = ()
    decides: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


class Questions(Struct, frozen=True, forbid_unknown_fields=True):
    """onlookers: patterns of modules that show what was decided, and decide nothing."""

    question: tuple[Question, ...]
    onlookers: tuple[str, ...] = ()


class Reading(Struct, frozen=True):
    """files: those to read. missing: names of the answer that aren't where it says."""

    files: tuple[str, ...]
    missing: tuple[str, ...] = ()


def load(path: Path = FILE) -> Questions:
    return convert(tomllib.loads(path.read_text(encoding="utf-8")), Questions)


def read(tree: Tree, question: Question, onlookers: tuple[str, ...] = ()) -> Reading:
    """What has to be read for a question."""
    if question.named:
        return Reading(max((tuple(_saying(tree, name)) for name in question.named), key=len))
    files: dict[str, None] = {}
    missing = []
    by_file = {module.path.relative_to(tree.root).as_posix(): module for module in tree}
    for entry in question.answer:
        file, _, name = entry.partition(": ")
        files[file] = None
        if file not in by_file or name not in defined(by_file[file]):
            missing.append(entry)
    words = set(question.decides)
    for file, module in by_file.items():
        looks_on = any(fnmatchcase(module.name, pattern) for pattern in onlookers)
        if not looks_on and words & tested(module):
            files[file] = None
    return Reading(tuple(files), tuple(missing))


def defined(module: Module) -> set[str]:
    """Classes, functions and names assigned at the top of a module; methods and fields as "Class.name"."""
    return set(_definitions(module.syntax.body, ""))


def _definitions(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield prefix + node.name
            yield from _definitions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (prefix + name for target in targets for name in _names(target))


@cache
def tested(module: Module) -> set[str]:
    """The names and whole numbers that a module's conditions test."""
    found: set[str] = set()
    for node in ast.walk(module.syntax):
        for condition in _conditions(node):
            found.update(_names(condition))
    return found


def _conditions(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield node.test
    elif isinstance(node, ast.Compare | ast.BoolOp):
        yield node
    elif isinstance(node, ast.match_case):
        yield node.pattern
    elif isinstance(node, ast.comprehension):
        yield from node.ifs
    elif isinstance(node, ast.ExceptHandler) and node.type is not None:
        yield node.type


def _names(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.Attribute):
            yield inner.attr
        elif isinstance(inner, ast.Constant) and type(inner.value) is int:
            yield str(inner.value)


def _saying(tree: Tree, name: str) -> Iterator[str]:
    """The files whose code says a name."""
    for module in tree:
        if name in said(module):
            yield module.path.relative_to(tree.root).as_posix()


@cache
def said(module: Module) -> set[str]:
    """A module's identifiers, and the strings of its code as identifiers, so that "--max-cost" says max_cost."""
    found: set[str] = set()
    for node in ast.walk(module.syntax):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                found.add(name)
            case ast.alias(name=name) | ast.keyword(arg=str(name)):
                found.add(name)
            case ast.Constant(value=str(text)):
                found.add(text.lstrip("-").replace("-", "_"))
    return found
