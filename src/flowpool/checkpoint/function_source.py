"""The source of running code, as its syntax tree, and which names a file's functions write to. Knows no values.

A tree is the same over Python's versions, where bytecode isn't, and has no comments. It counts only where compiling
it gives the very code that runs: a file may have been changed since it was imported.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from types import CodeType
from typing import Any

from msgspec import Struct, field

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SCOPES = (*_FUNCTIONS, ast.ClassDef)
# What a method with one of these names writes to its object is how the object is made.
_MAKERS = frozenset({"__init__", "__new__", "__post_init__", "__setstate__", "__init_subclass__"})
_WRITING = frozenset(
    {"append", "appendleft", "extend", "extendleft", "insert", "remove", "pop", "popleft"}
    | {"popitem", "clear", "add", "discard", "update", "setdefault", "write", "put", "put_nowait"}
    | {"difference_update", "intersection_update", "symmetric_difference_update", "move_to_end"}
)
# Parts of a tree that say nothing of what the code does, or that are looked at as values: defaults and decorators.
_NO_PART = frozenset(
    {"ctx", "kind", "type_comment", "annotation", "returns", "type_params", "simple"}
)


class SourceFile(Struct):
    """What stands in a file.

    codes: the tree of each code object that compiling it gives. names, cells, attributes, parameters: what its
    functions write to while they run: names of the module, names of functions around them, by class its objects'
    attributes, and by function what a parameter's default may be.
    """

    codes: dict[CodeType, Function] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    cells: dict[str, set[str]] = field(default_factory=dict)
    attributes: dict[str, set[str]] = field(default_factory=dict)
    parameters: dict[ast.AST, set[str]] = field(default_factory=dict)


class Sources:
    """The files that code was compiled from, each read once."""

    def __init__(self) -> None:
        self._files: dict[str, SourceFile] = {}

    def file_of(self, name: str) -> SourceFile:
        """The file that code has as its own; an empty one where its source isn't there."""
        if name not in self._files:
            self._files[name] = _read(name)
        return self._files[name]

    def tree_of(self, code: CodeType) -> Function | None:
        """The function or lambda that gave this very code."""
        return self.file_of(code.co_filename).codes.get(code)


def shape_of(tree: Function) -> bytes:
    """What a function does, as text: without its name, comments, docstrings, type hints and positions."""
    body = tree.body if isinstance(tree.body, list) else [tree.body]
    args = [[kind, [one.arg for one in named]] for kind, named in _arguments(tree.args)]
    written = [repr((isinstance(tree, ast.AsyncFunctionDef), args))]
    pending: list[Any] = [_statements(body)]
    while pending:  # long expressions are nested too deep to be walked by recursion
        part = pending.pop()
        if isinstance(part, ast.Constant):
            written.append(f"{type(part.value).__name__} {part.value!r}")
        elif isinstance(part, ast.AST):
            written.append(type(part).__name__)
            for name, value in ast.iter_fields(part):
                if name not in _NO_PART and value not in (None, []):
                    pending += [")", _counting(part, name, value), f"{name}("]
        elif isinstance(part, list):
            pending += ["]", *reversed(part), "["]
        else:
            written.append(str(part))
    return "\n".join(written).encode("utf-8", "surrogatepass")


def _arguments(args: ast.arguments) -> Iterator[tuple[str, list[ast.arg]]]:
    yield "/", args.posonlyargs
    yield "", args.args
    yield "*", [args.vararg] if args.vararg else []
    yield "kw", args.kwonlyargs
    yield "**", [args.kwarg] if args.kwarg else []


def _counting(node: ast.AST, name: str, value: Any) -> Any:
    """What counts of a node's field: of an f-string not the empty texts, which some versions of Python add."""
    if name == "body":
        return _statements(value)
    if isinstance(node, ast.JoinedStr):
        return [one for one in value if not (isinstance(one, ast.Constant) and one.value == "")]
    return value


def _statements(body: Any) -> Any:
    """The statements that do something: a docstring is none."""
    if not isinstance(body, list):
        return body
    return [one for one in body if not _is_text(one) and not isinstance(one, ast.Pass)]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _read(name: str) -> SourceFile:
    """A file by the name that its code has; cells of a notebook have one too."""
    linecache.checkcache(name)
    text = "".join(linecache.getlines(name))
    if not text:
        return SourceFile()
    try:
        tree = ast.parse(text)
        code = compile(text, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return SourceFile()
    trees: dict[int, list[Function]] = {}
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS):
            trees.setdefault(_first_line(node), []).append(node)
    file = SourceFile()
    for one in _codes_in(code):
        if found := _narrowest(one, trees.get(one.co_firstlineno, [])):
            file.codes[one] = found
    _Writes(file).look_through(tree)
    return file


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes_in(constant)


def _first_line(node: Function) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min(one.lineno for one in (node, *decorators))


def _narrowest(code: CodeType, trees: list[Function]) -> Function | None:
    """Of the functions that begin on a line, the one that the code is of: several lambdas may stand in a line."""
    named = [one for one in trees if getattr(one, "name", "<lambda>") == code.co_name]
    if len(named) < 2:
        return named[0] if named else None
    points = [(p[0], p[2]) for p in code.co_positions() if p[0] and p[2] is not None and p[3]]
    around = [one for one in named if all(_begin(one) <= point <= _end(one) for point in points)]
    return max(around, key=_begin, default=None)


def _begin(node: Function) -> tuple[int, int]:
    body = node.body[0] if isinstance(node.body, list) else node.body
    return body.lineno, body.col_offset


def _end(node: Function) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or 0


class _Writes:
    """Notes what the functions of a file write to that isn't made anew in each call."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        # Around the node: each function and class, with its own names and those that it declares to be global.
        self._scopes: list[tuple[Any, set[str], set[str]]] = []
        self._objects: list[tuple[str, str]] = []  # methods' first parameters, and their classes

    def look_through(self, node: ast.AST) -> None:
        """Notes what is written below a node: a whole file, or a function or class of it."""
        in_function = any(isinstance(scope, _FUNCTIONS) for scope, _, _ in self._scopes)
        pending = list(ast.iter_child_nodes(node))
        while pending:
            one = pending.pop()
            if isinstance(one, _SCOPES):
                self._enter(one)
                continue
            for target in _written(one) if in_function else ():
                is_new = isinstance(target, ast.Name) and not isinstance(
                    one, ast.AugAssign | ast.Call
                )
                if path := _path(target):
                    self._note(path, is_new=is_new)
            pending.extend(ast.iter_child_nodes(one))

    def _enter(self, node: Any) -> None:
        first = self._object_of(node)
        self._objects += first
        self._scopes.append((node, *_bound(node)))
        self.look_through(node)
        self._scopes.pop()
        del self._objects[len(self._objects) - len(first) :]

    def _object_of(self, node: Any) -> list[tuple[str, str]]:
        """A method's first parameter and the name of its class; nothing for others and for makers of objects."""
        is_method = bool(self._scopes) and isinstance(self._scopes[-1][0], ast.ClassDef)
        if not is_method or not isinstance(node, _FUNCTIONS) or not node.args.args:
            return []
        if getattr(node, "name", "") in _MAKERS:
            return []
        names = []
        for scope, _, _ in self._scopes:
            names.append(getattr(scope, "name", "<lambda>"))
            if isinstance(scope, _FUNCTIONS):
                names.append("<locals>")
        return [(node.args.args[0].arg, ".".join(names))]

    def _note(self, path: list[str], *, is_new: bool) -> None:
        """is_new: a bare name gets another value; what it stood for stays what it was."""
        head, attribute = path[0], path[1] if len(path) > 1 else ""
        for name, owner in self._objects:
            if name == head and attribute:
                self._file.attributes.setdefault(owner, set()).add(attribute)
        for depth, (node, own, declared) in enumerate(reversed(self._scopes)):
            if head in declared:
                break
            if head not in own:
                continue
            if not depth and not is_new:
                self._file.parameters.setdefault(node, set()).add(head)
            elif depth:
                self._file.cells.setdefault(head, set()).add(attribute)
            return
        self._file.names.setdefault(head, set()).add(attribute)


def _bound(node: Any) -> tuple[set[str], set[str]]:
    """A function's own names, and those that it declares to be the module's; none for a class."""
    if not isinstance(node, _FUNCTIONS):
        return set(), set()
    args = {one.arg for _, named in _arguments(node.args) for one in named}
    declared: set[str] = set()
    outer: set[str] = set()
    pending: list[ast.AST] = list(node.body) if isinstance(node.body, list) else [node.body]
    while pending:
        one = pending.pop()
        if isinstance(one, ast.Global):
            declared.update(one.names)
        elif isinstance(one, ast.Nonlocal):
            outer.update(one.names)
        elif isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
            args.add(one.id)
        elif isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            args.add(one.name)
            continue
        if not isinstance(one, ast.Lambda):
            pending.extend(ast.iter_child_nodes(one))
    return args - declared - outer, declared


def _written(node: ast.AST) -> Iterator[ast.AST]:
    """What a node writes to: `cache[key]` of `cache[key] = 1`, `self.seen` of `self.seen.add(1)`."""
    targets: list[ast.AST] = []
    if isinstance(node, (ast.Assign, ast.Delete)):
        targets = list(node.targets)
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign, ast.For, ast.AsyncFor)):
        targets = [node.target]
    elif isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in _WRITING:
            targets = [called.value]
        elif isinstance(called, ast.Name) and called.id == "next":
            targets = [*node.args[:1]]
    while targets:
        target = targets.pop()
        if isinstance(target, (ast.Tuple, ast.List)):
            targets.extend(target.elts)
        elif isinstance(target, ast.Starred):
            targets.append(target.value)
        else:
            yield target


def _path(node: ast.AST) -> list[str]:
    """The name that it begins with, and the attributes up to what is written to; nothing for what has no name."""
    names: list[str] = []
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Attribute):
            names.append(node.attr)
        else:
            names.clear()
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []
