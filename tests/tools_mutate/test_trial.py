from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tools.house.tree import SOURCE
from tools.mutate import trial
from tools.mutate.__main__ import try_module
from tools.mutate.mutations import mutations

SOURCE_OF_A = b"def is_small(n):\n    return n < 3\n"


@pytest.fixture
def repository(tmp_path: Path) -> Callable[[str], Path]:
    """A repository of one module and one test of it."""

    def make(test: str) -> Path:
        module = tmp_path / "src" / "flowpool" / "room" / "a.py"
        tests = tmp_path / "tests" / "room" / "test_a.py"
        for path in (module, tests):
            path.parent.mkdir(parents=True)
        module.write_bytes(SOURCE_OF_A)
        (module.parents[1] / "__init__.py").write_text("")
        (module.parent / "__init__.py").write_text("")
        tests.write_text(f"from flowpool.room.a import is_small\ndef test_it():\n    {test}\n")
        (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
        return tmp_path

    return make


def test_a_mistake_that_the_tests_notice_is_killed_and_the_others_survive(repository) -> None:
    root = repository("assert is_small(2) and not is_small(4)")
    shown: list[str] = []
    score = try_module("room/a", ["tests/room/test_a.py"], 0, Random(1), shown.append, root)
    assert (score.tried, score.killed) == (3, 1)  # return None
    assert score.survivors == shown
    assert shown[0].splitlines()[-2:] == ["-    return n < 3", "+    return n <= 3"]


def test_a_sample_is_drawn_by_its_seed(repository) -> None:
    root = repository("assert is_small(2) and not is_small(3)")
    score = try_module("room/a", ["tests/room/test_a.py"], 1, Random(1), print, root)
    assert (score.tried, score.killed, score.share) == (1, 1, 1.0)


def test_tests_that_fail_as_it_is_say_nothing(repository) -> None:
    root = repository("assert is_small(4)")
    with pytest.raises(SystemExit, match="fail as it is"):
        try_module("room/a", ["tests/room/test_a.py"], 0, Random(1), print, root)


def test_a_mutant_that_never_ends_is_killed(repository) -> None:
    with trial.bench("room/a", ["tests/room/test_a.py"], repository("is_small(1)")) as bench:
        assert not bench.passes(b"def is_small(n):\n    while True: pass\n", 3.0)


def test_a_module_is_tested_by_the_file_that_mirrors_it_and_those_named(tmp_path: Path) -> None:
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / "tests").mkdir(exist_ok=True)
        (tmp_path / "tests" / name).write_text("")
    more = ("tests/test_b.py", "tests/gone.py")
    assert trial.own_tests("a", more, tmp_path) == ["tests/test_a.py", "tests/test_b.py"]
    with pytest.raises(FileNotFoundError, match="write it"):
        trial.own_tests("c", (), tmp_path)


def test_the_lines_of_a_mutant_are_whole_and_without_their_indent() -> None:
    lines = [trial.lines_changed(SOURCE_OF_A, mutation) for mutation in mutations(SOURCE_OF_A)]
    assert lines[-1] == ("return n < 3", "return n < 4")


def test_mutants_that_nobody_could_notice_are_not_tried() -> None:
    same = trial.Equivalent("room/a", "return n < 3", "return n <= 3", "it is never 3")
    of_another = trial.Equivalent("room/b", "return n < 3", "return n < 4", "")
    table = trial.Policies(0.9, {}, (same, of_another))
    assert len(trial.mutants("room/a", SOURCE_OF_A, table)) == 2


def test_every_policy_and_every_file_of_tests_of_the_table_exist() -> None:
    for module, extra in trial.load().policies.items():
        assert (SOURCE / f"{module}.py").exists()
        assert [file for file in extra if not (SOURCE.parents[1] / file).exists()] == []
        assert trial.own_tests(module, extra)


def test_every_equivalent_mutant_of_the_table_is_still_a_mutant() -> None:
    for one in trial.load().equivalent:
        source = (SOURCE / f"{one.module}.py").read_bytes()
        lines = {trial.lines_changed(source, mutation) for mutation in mutations(source)}
        assert (one.was, one.becomes) in lines, f"{one.module}: take it out of policies.toml"
