"""Figures that are read off the source: long functions, branches, circles, names, words, folders."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator

from tools.house.tree import Module, Tree

Function = ast.FunctionDef | ast.AsyncFunctionDef

LONG = 45
COMPLEX = 14
WORDS = ("told", "place")


def functions(tree: Tree) -> Iterator[tuple[Module, Function]]:
    """Every function of the tree, those inside others too."""
    for module in tree:
        for node in ast.walk(module.syntax):
            if isinstance(node, Function):
                yield module, node


def lines_of(function: Function) -> int:
    """A function's lines: its body from the first statement to the last, without its docstring."""
    assert function.end_lineno is not None
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    return function.end_lineno - body[0].lineno + 1 if body else 0


def branches_of(function: Function) -> int:
    """A function's cyclomatic complexity as radon counts it.

    1, and 1 more for each `if`, `elif`, loop, `except`, `case`, `x if y else z` and `for` of a comprehension,
    and for each `and` and `or`; what is defined inside it counts with it.
    """
    one_each = (
        ast.If,
        ast.IfExp,
        ast.For,
        ast.AsyncFor,
        ast.While,
        ast.ExceptHandler,
        ast.match_case,
        ast.comprehension,
    )
    found = 1
    for node in ast.walk(function):
        if isinstance(node, ast.BoolOp):
            found += len(node.values) - 1
        elif isinstance(node, one_each):
            found += 1
    return found


def long_functions(tree: Tree) -> list[str]:
    """Functions over `LONG` lines, the longest first."""
    found = ((lines_of(node), module.name, node.name) for module, node in functions(tree))
    return _listed(entry for entry in found if entry[0] > LONG)


def complex_functions(tree: Tree) -> list[str]:
    """Functions of a complexity over `COMPLEX`, the worst first."""
    found = ((branches_of(node), module.name, node.name) for module, node in functions(tree))
    return _listed(entry for entry in found if entry[0] > COMPLEX)


def _listed(entries: Iterator[tuple[int, str, str]]) -> list[str]:
    return [f"{module}: {name} ({size})" for size, module, name in sorted(entries, reverse=True)]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, in whatever way round (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = lowest[name] = len(index)
        stack.append(name)
        for target in sorted(graph[name]):
            if target not in index:
                visit(target)
                lowest[name] = min(lowest[name], lowest[target])
            elif target in stack:
                lowest[name] = min(lowest[name], index[target])
        if lowest[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return sorted(found)


def shared_class_names(tree: Tree) -> list[str]:
    """Names of public classes that are defined at the top of two modules or more."""
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for module in tree:
        for node in module.syntax.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(module.name)
    return [
        f"{name}: {', '.join(where)}" for name, where in sorted(homes.items()) if len(where) > 1
    ]


_WORD = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(f'{word}s?' for word in WORDS)})(?![A-Za-z])")


def words(tree: Tree) -> Counter[str]:
    """How often each module says one of `WORDS`: as a word or as a part of a snake_case name, prose included."""
    counts = ((module.name, len(_WORD.findall(module.text))) for module in tree)
    return Counter({name: count for name, count in counts if count})


def words_of_code(tree: Tree) -> int:
    """The same in identifiers alone, without comments and strings."""
    found = 0
    for module in tree:
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
            if token.type == tokenize.NAME:
                found += len(_WORD.findall(token.string))
    return found


def folders(tree: Tree) -> dict[str, float]:
    """The share of the package's lines in each top folder, the biggest first."""
    lines: Counter[str] = Counter()
    for module in tree:
        if module.is_in_folder:
            lines[module.room] += len(module.text.splitlines())
    whole = sum(len(module.text.splitlines()) for module in tree)
    return {name: count / whole for name, count in lines.most_common()}
