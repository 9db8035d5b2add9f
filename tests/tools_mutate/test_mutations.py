from __future__ import annotations

import ast

import pytest

from tools.house.tree import SOURCE
from tools.mutate.mutations import mutations


def mutated(text: str) -> list[str]:
    source = text.encode()
    return [mutation.applied(source).decode() for mutation in mutations(source)]


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("a < b", ["a <= b"]),
        ("a >= b", ["a > b"]),
        ("a is not b", ["a is b"]),
        ("a not in b", ["a in b"]),
        ("a == b <= c", ["a != b <= c", "a == b < c"]),
        ("(a) < (b)", ["(a) <= (b)"]),
        ("f(a)\t<b", ["f(a)\t<=b"]),
        ("a + b", ["a - b"]),
        ("(a + b) * c", ["(a - b) * c", "(a + b) / c"]),
        ("a // b", ["a * b"]),
        ("a and b or c", ["a or b or c", "a and b and c"]),
        ("not (a and b)", ["(a and b)", "not (a or b)"]),
        ("-a", ["a"]),
        ("b if a else c", ["b if not a else c"]),
        ("7", ["8"]),
        ("0.5", ["1.5"]),
        ("0.0", ["1.0"]),
        ("True", ["False"]),
        ("min(a, max(b))", ["max(a, max(b))", "min(a, min(b))"]),
        ("é + b", ["é - b"]),
    ],
)
def test_an_expression_becomes_each_of_its_small_mistakes(text: str, mistakes: list[str]) -> None:
    found = mutated(f"x({text})")
    assert sorted(found) == sorted(["pass", *(f"x({mistake})" for mistake in mistakes)])


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("a += b", ["a -= b", "pass"]),
        ("a.b = c", ["pass"]),
        ("raise a", ["pass"]),
        ("while a: break", ["while not a: break", "while a: pass"]),
        ("if a: pass", ["if not a: pass"]),
        ("def f(): return a", ["def f(): return None"]),
        ("def f(): return True", ["def f(): return False"]),
        ("def f(): return 0", ["def f(): return 1", "def f(): return None"]),
        ("def f(): return None", []),
        ("def f(a=1, *, b=2): pass", ["def f(a=2, *, b=2): pass", "def f(a=1, *, b=3): pass"]),
        ("class A(B):\n    x: int = 1", ["class A(B):\n    x: int = 2"]),
    ],
)
def test_a_statement_becomes_each_of_its_small_mistakes(text: str, mistakes: list[str]) -> None:
    assert sorted(mutated(text)) == sorted(mistakes)


@pytest.mark.parametrize(
    "text",
    [
        '"""One of 2."""',
        "import a",
        "assert a < 1",
        "x: Literal[1] | int",
        "def f(a: L[1]) -> L[2]: pass",
        "@cache(1)\ndef f(): pass",
        "class A(B, frozen=True): pass",
        "class A:\n    __slots__ = ('a' * 2,)",
        "class A:\n    def __repr__(self): return 1 + 2",
        "if TYPE_CHECKING:\n    x = 1",
        'T = TypeVar("T", bound=1)',
        "Wait = Callable[[int], None]",
        "Next = Send[R] | GiveUp",
        "x: str",
    ],
)
def test_what_no_test_of_behaviour_holds_is_left_alone(text: str) -> None:
    assert mutated(text) == []


def test_texts_are_left_alone_and_what_decides_about_them_is_not() -> None:
    assert mutated('f(f"{a + 1:>9}", "1")') == ["pass"]


def test_every_mutant_of_a_real_module_can_be_read() -> None:
    source = (SOURCE / "calls" / "budget.py").read_bytes()
    found = mutations(source)
    assert len(found) > 20
    for mutation in found:
        ast.parse(mutation.applied(source))
        assert mutation.line == source[: mutation.start].count(b"\n") + 1
