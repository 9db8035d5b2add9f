"""Small mistakes that could be made in a module: each one changes a few characters, found by the syntax tree.

Left alone is what no test of behaviour should hold: docstrings, annotations, `__repr__`, `__slots__`,
assertions, texts, what only type checkers read, and a class's own options.
"""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from io import BytesIO
from itertools import accumulate, pairwise

from msgspec import Struct

# What each comparison becomes. The strict and the loose one differ at one value, where mistakes are made.
_COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
}
_SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}
_DELETABLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.Continue, ast.Break, ast.Raise, ast.Delete)


class Mutation(Struct, frozen=True, order=True):
    """One mistake: the bytes from `start` to `end` of the source become `put`. line: where, from 1."""

    line: int
    start: int
    end: int
    put: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.put.encode() + source[self.end :]


def mutations(source: bytes) -> list[Mutation]:
    """Every mistake that this module knows to make of a source, in the order of the lines."""
    return sorted(set(_Finder(source).found()))


class _Finder:
    def __init__(self, source: bytes) -> None:
        self._source = source
        lines = source.splitlines(keepends=True)
        self._starts = [0, *accumulate(len(line) for line in lines)]

    def found(self) -> Iterator[Mutation]:
        for node in _mutable(ast.parse(self._source)):
            yield from self._of(node)

    def _of(self, node: ast.AST) -> Iterator[Mutation]:  # noqa: C901 (a table of shapes)
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                for op, (before, after) in zip(ops, pairwise([left, *others]), strict=True):
                    yield from self._between(before, after, *_COMPARISONS[type(op)])
            case ast.BinOp(left=left, right=right, op=op) if type(op) in _ARITHMETIC:
                yield from self._between(left, right, *_ARITHMETIC[type(op)])
            case ast.AugAssign(target=target, value=value, op=op) if type(op) in _ARITHMETIC:
                was, put = _ARITHMETIC[type(op)]
                yield from self._between(target, value, f"{was}=", f"{put}=")
            case ast.BoolOp(values=values, op=op):
                was, put = ("and", "or") if isinstance(op, ast.And) else ("or", "and")
                for before, after in pairwise(values):
                    yield from self._between(before, after, was, put)
            case ast.UnaryOp(op=ast.Not()):
                yield self._change(self._start(node), self._start(node) + len("not "), "")
            case ast.UnaryOp(op=ast.USub()):
                yield self._change(self._start(node), self._start(node) + len("-"), "")
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
                    yield self._change(self._start(test), self._start(test), "not ")
            case ast.Constant(value=value):
                if (beside := _next(value)) is not None:
                    yield self._replace(node, beside)
            case ast.Call(func=ast.Name(id=name) as function) if name in _SWAPPED:
                yield self._replace(function, _SWAPPED[name])
            case ast.Return(value=ast.expr() as value) if not _is_truth_value(value):
                yield self._replace(value, "None")
        if isinstance(node, _DELETABLE):
            yield self._replace(node, "pass")

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def _replace(self, node: ast.AST, put: str) -> Mutation:
        assert isinstance(node, ast.expr | ast.stmt)
        return self._change(self._start(node), self._end(node), put)

    def _change(self, start: int, end: int, put: str) -> Mutation:
        return Mutation(self._source.count(b"\n", 0, start) + 1, start, end, put)

    def _between(self, before: ast.expr, after: ast.expr, was: str, put: str) -> Iterator[Mutation]:
        """The operator between two operands, whatever brackets and comments stand there with it."""
        start, end = self._end(before), self._start(after)
        # Opening brackets are put before, so that what is between reads as one expression.
        text = b"(" * 9 + self._source[start:end]
        offset = start - 9
        words = was.split()
        tokens = [t for t in _tokens(text) if t[0]]
        for at in range(len(tokens) - len(words) + 1):
            if [word for word, *_ in tokens[at : at + len(words)]] == words:
                _, first, _ = tokens[at]
                _, _, last = tokens[at + len(words) - 1]
                yield self._change(offset + first, offset + last, put)
                return


def _tokens(text: bytes) -> Iterator[tuple[str, int, int]]:
    """The operators and words of a text, each with where it begins and ends. Stops where the text isn't whole."""
    lines = text.splitlines(keepends=True)
    starts = [0, *accumulate(len(line) for line in lines)]
    try:
        for token in tokenize.tokenize(BytesIO(text).readline):
            if token.type in (tokenize.OP, tokenize.NAME):
                (row, column), (end_row, end_column) = token.start, token.end
                # Columns count characters: between operands only comments could hold others than ASCII.
                yield token.string, starts[row - 1] + column, starts[end_row - 1] + end_column
    except tokenize.TokenError:
        return


def _next(value: object) -> str | None:
    """The constant beside a constant, as source; None for those that are left alone."""
    if isinstance(value, bool):
        return str(not value)
    if isinstance(value, int):
        return str(value + 1)
    if isinstance(value, float):
        return repr(value + 1.0) if value else "1.0"
    return None


def _is_truth_value(value: ast.expr) -> bool:
    """Whether it is True, False or None: the first two are flipped, and None in their place is seldom another."""
    return isinstance(value, ast.Constant) and isinstance(value.value, bool | None)


def _mutable(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes inside that are to be mutated."""
    for name, value in ast.iter_fields(node):
        if name in _skipped_fields(node):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_left_alone(child):
                yield child
                yield from _mutable(child)


def _skipped_fields(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.ClassDef():
            return ("bases", "keywords", "decorator_list")
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return ("returns", "decorator_list")
        case ast.arg() | ast.AnnAssign():
            return ("annotation",)
        case ast.Subscript(value=ast.Name(id="Literal")):
            return ("slice",)
        case _:
            return ()


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.JoinedStr():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.FunctionDef(name="__repr__"):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in ("__slots__", "__all__") or _is_type(node.value)
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case _:
            return False


def _is_type(value: ast.expr) -> bool:
    """Whether an assignment's value makes a name for a type: `T = TypeVar("T")`, `Wait = Callable[[int], None]`."""
    match value:
        case ast.Call(func=ast.Name(id=name)):
            return name in ("TypeVar", "TypeVarTuple", "ParamSpec", "NewType")
        case ast.Subscript(value=ast.Name(id=name)) | ast.Name(id=name):
            return name[:1].isupper() and not name.isupper()
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _is_type(left) and _is_type(right)
        case _:
            return False
