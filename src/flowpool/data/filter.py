"""Conditions in words, `stars >= 4 and lang in ["de", "fr"]`: parsed, never evaluated as Python."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
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
    ast.In: lambda value, many: _is_in(value, many),
    ast.NotIn: lambda value, many: not _is_in(value, many),
}
# Texts in quotes, which are passed over, and what stands in braces.
_BRACES = re.compile(r""""(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|\{([^{}]*+)\}""")
_WORD = "__column_{}__"


class _NoColumn(LookupError):
    """The row lacks a column that the condition names."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def condition(text: str) -> Condition:
    """The test that `text` describes, for a row.

    Columns stand for themselves, in braces where they are no plain word: `{Review Text}`; numbers, quoted text,
    True, False, None and lists for their values; they are joined by == != < <= > >= in, not in, is None, is not
    None, and, or, not. A cell of text is read as a number where it is compared with one; whole numbers of any size
    are compared exactly. What can't be compared doesn't match.

    Raises `InvalidInput` for anything else.

    >>> condition("stars >= 4 and lang == 'de'")({"stars": "5", "lang": "de"})
    True
    """
    try:
        if len(text) > _LONGEST:
            raise SyntaxError("it is too long")
        words, columns = _without_braces(text.strip())
        test = _Tests(columns).of(ast.parse(words, mode="eval").body)
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


def _without_braces(text: str) -> tuple[str, dict[str, str]]:
    """The condition with a word for each column in braces, and the columns by these words."""
    columns: dict[str, str] = {}

    def word(found: re.Match[str]) -> str:
        name = found[1]
        if name is None or not name.strip() or _is_set(found[0]):
            return found[0]
        made = _WORD.format(len(columns))
        columns[made] = name.strip()
        return f" {made} "

    return _BRACES.sub(word, text).strip(), columns


def _is_set(text: str) -> bool:
    """Whether it is a set of values rather than a column: `{"de", "fr"}`."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return True


class _Tests:
    """The tests of a condition. columns: those in braces, by the words that stand for them."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = columns

    def of(self, node: ast.expr) -> Condition:
        """The test that a part of the condition is."""
        if isinstance(node, ast.BoolOp):
            parts = [self.of(value) for value in node.values]
            return _all_of(parts) if isinstance(node.op, ast.And) else _any_of(parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            negated = self.of(node.operand)
            return lambda row: not negated(row)
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        return self._value(node)

    def _comparison(self, node: ast.Compare) -> Condition:
        values = [self._value(value) for value in (node.left, *node.comparators)]
        links = [
            _link(op, left, right)
            for op, left, right in zip(node.ops, values, values[1:], strict=False)
        ]
        return links[0] if len(links) == 1 else _all_of(links)

    def _value(self, node: ast.expr) -> Condition:
        if isinstance(node, ast.Name):
            return _column(self._columns.get(node.id, node.id))
        try:
            constant = ast.literal_eval(node)
        except ValueError:
            part = ast.unparse(node)
            raise ValueError(
                f"{part!r} is neither a column nor a value (a column of that name is {{{part}}})"
            ) from None
        if isinstance(constant, (tuple, set)):
            constant = list(constant)
        return lambda row: constant


def _all_of(parts: list[Condition]) -> Condition:
    return lambda row: all(part(row) for part in parts)


def _any_of(parts: list[Condition]) -> Condition:
    return lambda row: any(part(row) for part in parts)


def _link(op: ast.cmpop, left: Condition, right: Condition) -> Condition:
    if isinstance(op, ast.Is):
        return lambda row: left(row) is right(row)
    if isinstance(op, ast.IsNot):
        return lambda row: left(row) is not right(row)
    compare = _COMPARE[type(op)]

    def holds(row: Mapping[str, Any]) -> Any:
        a, b = _comparable(left(row), right(row))
        try:
            return compare(a, b)
        except TypeError:
            return False

    return holds


def _comparable(a: Any, b: Any) -> tuple[Any, Any]:
    """Two values as numbers where one of them is one and the other reads as one."""
    if isinstance(a, str) and _is_number(b):
        a = _number(a)
    elif isinstance(b, str) and _is_number(a):
        b = _number(b)
    if isinstance(a, Decimal) and isinstance(b, float):  # 1.1 is no float's value
        a = float(a)
    elif isinstance(b, Decimal) and isinstance(a, float):
        b = float(b)
    return a, b


def _is_in(value: Any, many: Any) -> bool:
    """Whether the value is one of many, or a part of a text."""
    if isinstance(many, (str, bytes)):
        return value in many
    return any(one is value or operator.eq(*_comparable(value, one)) for one in many)


def _column(name: str) -> Condition:
    def cell(row: Mapping[str, Any]) -> Any:
        try:
            return row[name]
        except KeyError:
            raise _NoColumn(name) from None

    return cell


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _number(text: str) -> float | str:
    """A text as the number that it reads as; a whole one exactly."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
