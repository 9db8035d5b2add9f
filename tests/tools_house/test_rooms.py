from __future__ import annotations

from pathlib import Path

import pytest

from tools.house import rooms
from tools.house.tree import Tree

PAGE = """# How it is built

| another | table |
|---|---|
| not | read |

| room | modules | must not know |
|---|---|---|
| ground | `.` `values` | **the world**, packages but `msgspec` |
| outside | `http/` | |
| decide | `calls/{retry,budget}` | **the world** |
| calls | `calls/` | `json` `http/body` |

**The world** is what changes by itself: `time` `os.path`
and the room `outside`. More prose on `select`.

Further `prose`.
"""


@pytest.fixture
def table(tmp_path: Path) -> rooms.Rooms:
    page = tmp_path / "design.md"
    page.write_text(PAGE)
    return rooms.load(page)


HOUSE = {
    "values.py": "import msgspec",
    "http/__init__.py": "",
    "http/body.py": "",
    "calls/__init__.py": "",
    "calls/retry.py": "from pack.values import x",
    "calls/budget.py": "",
    "calls/flow.py": "import time\nfrom pack.calls import retry\nimport pack.http",
}


def faults(tree: Tree, table: rooms.Rooms) -> list[str]:
    checks = (rooms.misplaced, rooms.empty_patterns, rooms.upward, rooms.forbidden)
    return [fault for check in checks for fault in check(tree, table)]


def test_a_house_that_is_as_its_table_says_has_no_faults(plant, table) -> None:
    assert faults(plant(HOUSE), table) == []


def test_the_world_is_its_whole_sentence(table) -> None:
    assert table.world == ("time", "os.path", "outside", "select")


def test_a_file_named_by_itself_is_in_that_room_and_its_folders_others_are_not(
    plant, table
) -> None:
    tree = plant(HOUSE)
    assert [table.of(name)[0].name for name in tree.modules if "calls" in name] == [
        *("calls", "decide", "calls", "decide")
    ]


def test_an_import_from_a_higher_room_is_found_inside_a_function_too(plant, table) -> None:
    tree = plant(HOUSE | {"calls/retry.py": "def later():\n    import pack.calls.flow"})
    assert rooms.upward(tree, table) == ["calls.retry imports calls.flow, which is in calls"]


def test_a_module_without_a_room_is_found(plant, table) -> None:
    tree = plant(HOUSE | {"stray.py": ""})
    assert rooms.misplaced(tree, table) == ["stray is in no room"]


def test_a_module_in_two_rooms_is_found(plant, table) -> None:
    twice = rooms.Rooms((*table.rooms, rooms.Room("attic", ("values",))))
    assert rooms.misplaced(plant(HOUSE), twice) == ["values is in ground and attic"]


def test_a_name_of_the_table_that_no_module_has_is_found(plant, table) -> None:
    tree = plant({name: text for name, text in HOUSE.items() if name != "calls/budget.py"})
    assert rooms.empty_patterns(tree, table) == ["decide: there is no calls/budget"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import time", "calls.retry knows time"),
        ("def later():\n    from time import monotonic", "calls.retry knows time"),
        ("import os.path", "calls.retry knows os.path"),
        ("from pack.http import body", "calls.retry knows http.body through http.body"),
        ("from pack.calls import budget", "calls.retry knows time through calls.budget"),
    ],
)
def test_a_room_that_must_not_know_the_world_does_not_reach_it(
    plant, table, text: str, fault: str
) -> None:
    tree = plant(HOUSE | {"calls/retry.py": text, "calls/budget.py": "import time"})
    assert fault in rooms.forbidden(tree, table)


def test_a_module_or_package_named_in_the_cell_is_forbidden_too(plant, table) -> None:
    tree = plant(
        HOUSE
        | {"values.py": "import rich.text", "calls/flow.py": "import json\nimport pack.http.body"}
    )
    assert rooms.forbidden(tree, table) == [
        "calls.flow imports http.body",
        "calls.flow imports json",
        "values imports rich",
    ]


def test_a_page_without_the_table_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "design.md"
    page.write_text("# Nothing\n")
    with pytest.raises(ValueError, match="no table"):
        rooms.load(page)
