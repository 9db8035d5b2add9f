from __future__ import annotations

import sys
from pathlib import Path

from tools.house.path import Trace, Way, usual, way_of


def test_a_move_is_a_call_in_another_module_than_the_call_before() -> None:
    assert way_of(["a", "a", "b", "a", "c"]) == Way(modules=3, moves=3, calls=5)


def test_the_usual_way_is_the_longest_that_is_not_rare() -> None:
    late = Way(9, 9, 99)
    without_a_write = Way(1, 1, 5)
    assert usual([Way(2, 3, 10)] * 4 + [without_a_write] * 12 + [late]) == Way(2, 3, 10)
    assert usual([Way(2, 3, 10)]) == Way(2, 3, 10)


def test_calls_of_the_package_alone_are_noted_from_mark_to_mark(tmp_path: Path) -> None:
    code = compile("def begin(): inner()\ndef inner(): len('')\n", str(tmp_path / "a.py"), "exec")
    names: dict[str, object] = {}
    exec(code, names)
    begin = names["begin"]
    trace = Trace(tmp_path, begin.__code__)  # type: ignore[attr-defined]
    with trace.noting():
        sys.intern("outside")
        begin()  # type: ignore[operator]
        begin()  # type: ignore[operator]
        begin()  # type: ignore[operator]
    assert trace.ways() == [Way(1, 0, 2), Way(1, 0, 2)]
