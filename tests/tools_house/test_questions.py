from __future__ import annotations

from pathlib import Path

import pytest

from tools.house.questions import FILE, Question, load, read
from tools.house.tree import Tree


def test_every_name_of_every_answer_is_where_it_says() -> None:
    tree, questions = Tree(), load(FILE)
    missing = [read(tree, question).missing for question in questions.question]
    assert not [entry for entries in missing for entry in entries]


def test_an_answers_files_are_counted_once_each(plant) -> None:
    tree = plant({"one.py": "def f(): ...\nclass C:\n    x: int = 1\n    def g(self): ..."})
    question = Question("?", answer=("one.py: f", "one.py: C.g", "one.py: C.x"))
    assert read(tree, question).files == ("one.py",)


@pytest.mark.parametrize("entry", ["one.py: gone", "gone.py: f", "one.py: C.f"])
def test_a_name_that_is_not_there_is_reported(plant, entry: str) -> None:
    tree = plant({"one.py": "def f(): ...\nclass C: ..."})
    assert read(tree, Question("?", answer=(entry,))).missing == (entry,)


@pytest.mark.parametrize(
    "text",
    [
        "if sign is THROTTLE: pass",
        "x = 1 if status == 429 else 2",
        "while THROTTLE in signs: pass",
        "x = [y for y in z if y.THROTTLE]",
        "x = a or b.THROTTLE",
        "match x:\n    case Signal.THROTTLE: pass",
        "try: pass\nexcept THROTTLE: pass",
    ],
)
def test_a_file_that_decides_elsewhere_is_one_more_to_read(plant, text: str) -> None:
    tree = plant({"one.py": "def f(): ...", "two.py": text, "views/__init__.py": text})
    question = Question("?", answer=("one.py: f",), decides=("THROTTLE", "429"))
    assert read(tree, question, onlookers=("views", "views.*")).files == ("one.py", "two.py")


def test_a_file_that_passes_the_word_on_is_not_read(plant) -> None:
    tree = plant({"one.py": "def f(): ...", "two.py": "THROTTLE = 1\nf(THROTTLE)  # if THROTTLE"})
    question = Question("?", answer=("one.py: f",), decides=("THROTTLE",))
    assert read(tree, question).files == ("one.py",)


def test_a_change_touches_each_file_that_says_the_probe_in_code(plant) -> None:
    tree = plant(
        {
            "a.py": "def f(dedupe): ...",
            "b.py": "x.dedupe = 1",
            "c.py": "f(dedupe=1)",
            "d.py": "('dedupe',)",
            "e.py": "option('--dedupe')",
            "f.py": '"""How dedupe works."""  # dedupe',
        }
    )
    question = Question("?", named=("other", "dedupe"))
    assert read(tree, question).files == ("a.py", "b.py", "c.py", "d.py", "e.py")


def test_a_misspelt_key_of_the_questions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "questions.toml"
    path.write_text('[[question]]\nask = "?"\nanswers = []\n')
    with pytest.raises(ValueError, match="answers"):
        load(path)
