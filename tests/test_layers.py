"""Holds the table of rooms in docs/design.md: a file imports only from its own room and lower ones."""

from __future__ import annotations

import pytest

from tools.house import rooms
from tools.house.tree import Tree


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree()


@pytest.fixture(scope="module")
def table() -> rooms.Rooms:
    return rooms.load()


def test_every_module_is_in_exactly_one_room(tree: Tree, table: rooms.Rooms) -> None:
    assert rooms.misplaced(tree, table) == []


def test_every_room_names_only_modules_that_exist(tree: Tree, table: rooms.Rooms) -> None:
    assert rooms.empty_patterns(tree, table) == []


def test_no_file_imports_upwards(tree: Tree, table: rooms.Rooms) -> None:
    assert rooms.upward(tree, table) == []


def test_no_room_knows_what_it_must_not(tree: Tree, table: rooms.Rooms) -> None:
    assert rooms.forbidden(tree, table) == []
