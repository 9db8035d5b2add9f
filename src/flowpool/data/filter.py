"""Conditions in words, `stars >= 4 and lang in ["de", "fr"]`: parsed, never evaluated as Python."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from flowpool.errors import InvalidInput, UnknownColumn

Condition = Callable[[Mapping[str, Any]], Any]
# Characters: Python parses a condition, and its parser can be made to run out of memory.
_LONGEST = 10_000
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, many: value in many,
    ast.NotIn: lambda value, many: value not in many,
}


class _NoColumn(LookupError):
    """The row lacks a column that the condition names."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def condition(text: str) -> Condition:
    """The test that `text` describes, for a row.

    Columns stand for themselves; numbers, quoted text, True, False, None and lists for their values; they are
    joined by == != < <= > >= in, not in, is None, is not None, and, or, not. A cell of text is read as a number
    where it is compared with one, and what can't be compared doesn't match.

    Raises `InvalidInput` for anything else.

    >>> condition("stars >= 4 and lang == 'de'")({"stars": "5", "lang": "de"})
    True
    """
    try:
        if len(text) > _LONGEST:
            raise SyntaxError("it is too long")
        test = _test(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, ValueError) as error:
        words = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidInput(
            f"where={text!r}: {words}: write such as \"stars >= 4 and lang == 'de'\"."
        ) from None

    def holds(row: Mapping[str, Any]) -> bool:
        try:
            return bool(test(row))
        except _NoColumn as error:
            raise UnknownColumn(text, error.name, tuple(map(str, row))) from None

    return holds


def _test(node: ast.expr) -> Condition:
    if isinstance(node, ast.BoolOp):
        parts = [_test(value) for value in node.values]
        return _all_of(parts) if isinstance(node.op, ast.And) else _any_of(parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        negated = _test(node.operand)
        return lambda row: not negated(row)
    if isinstance(node, ast.Compare):
        return _comparison(node)
    return _value(node)


def _all_of(parts: list[Condition]) -> Condition:
    return lambda row: all(part(row) for part in parts)


def _any_of(parts: list[Condition]) -> Condition:
    return lambda row: any(part(row) for part in parts)


def _comparison(node: ast.Compare) -> Condition:
    values = [_value(value) for value in (node.left, *node.comparators)]
    links = [
        _link(op, left, right)
        for op, left, right in zip(node.ops, values, values[1:], strict=False)
    ]
    return links[0] if len(links) == 1 else _all_of(links)


def _link(op: ast.cmpop, left: Condition, right: Condition) -> Condition:
    if isinstance(op, ast.Is):
        return lambda row: left(row) is right(row)
    if isinstance(op, ast.IsNot):
        return lambda row: left(row) is not right(row)
    compare = _COMPARE[type(op)]

    def holds(row: Mapping[str, Any]) -> Any:
        a, b = left(row), right(row)
        if isinstance(a, str) and _is_number(b):
            a = _number(a)
        elif isinstance(b, str) and _is_number(a):
            b = _number(b)
        elif isinstance(a, str) and isinstance(b, list) and any(map(_is_number, b)):
            b = [*b, *(str(one) for one in b)]
        try:
            return compare(a, b)
        except TypeError:
            return False

    return holds


def _value(node: ast.expr) -> Condition:
    if isinstance(node, ast.Name):
        return _column(node.id)
    try:
        constant = ast.literal_eval(node)
    except ValueError:
        part = ast.unparse(node)
        raise ValueError(f"{part!r} is neither a column nor a value") from None
    if isinstance(constant, (tuple, set)):
        constant = list(constant)
    return lambda row: constant


def _column(name: str) -> Condition:
    def cell(row: Mapping[str, Any]) -> Any:
        try:
            return row[name]
        except KeyError:
            raise _NoColumn(name) from None

    return cell


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
