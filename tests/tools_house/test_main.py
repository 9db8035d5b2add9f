from __future__ import annotations

import tomllib

from tools.house.__main__ import Figure, figures, lowered, table, worse


def test_what_slid_back_or_has_no_floor_is_reported() -> None:
    found = [
        Figure("same", 3, 0),
        Figure("better", 2, 0),
        Figure("worse", 4, 9),
        Figure("new", 0, 0),
    ]
    floor = {"same": 3, "better": 3, "worse": 3}
    assert worse(found, floor) == ["worse: 4, and was 3", "new: 0, and was not recorded"]


def test_recording_lowers_the_floor_and_never_raises_it() -> None:
    found = [Figure("better", 2, 0), Figure("worse", 4, 0), Figure("new", 5, 0)]
    text = lowered(found, {"better": 3, "worse": 3, "gone": 1})
    assert tomllib.loads(text) == {"better": 2, "worse": 3, "new": 5}


def test_the_table_says_which_bars_hold() -> None:
    page = table([Figure("circles", 1, 1), Figure("words", 41, 40, ("one: 41",))], parts=True)
    assert page.splitlines()[1:] == [
        "circles     1     1  ok",
        "words      41    40  over",
        "    one: 41",
    ]


def test_a_planted_package_is_measured(plant) -> None:
    tree = plant(
        {
            "one.py": "import pack.two\nclass Twice: ...\n",
            "two.py": "import pack.one\nclass Twice: ...\ntold = 1\n",
            "room/__init__.py": "x = 1\n" * 5,
        }
    )
    found = {figure.name: figure.now for figure in figures(tree, trace=False)}
    assert found == {
        "functions over 45 lines": 0,
        "functions of complexity over 14": 0,
        "import circles": 1,
        "class names in two modules": 1,
        "`told` and `place`": 1,
        "biggest folder, %": 50,
    }
