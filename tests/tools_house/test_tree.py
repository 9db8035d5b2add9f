from __future__ import annotations

import pytest


def test_modules_are_named_without_the_package(plant) -> None:
    tree = plant({"one.py": "", "room/__init__.py": "", "room/two.py": ""})
    assert list(tree.modules) == [".", "one", "room", "room.two"]
    assert [module.room for module in tree] == [".", ".", "room", "room"]


def test_imports_inside_functions_count_and_those_for_type_checkers_do_not(plant) -> None:
    text = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import socket\nelse:\n    import json\n"
        "def later():\n    from pack import one, Thing\n    import os.path\n"
    )
    tree = plant({"one.py": "", "two.py": text})
    found = list(tree.imports(tree.modules["two"]))
    assert found == ["typing", "json", "pack.one", "pack", "os.path"]
    assert tree.graph()["two"] == {"one", "."}


def test_a_name_out_of_a_module_is_an_import_of_the_module(plant) -> None:
    tree = plant({"one.py": "THING = 1", "two.py": "from pack.one import THING"})
    assert tree.graph()["two"] == {"one"}


def test_relative_imports_are_refused(plant) -> None:
    tree = plant({"one.py": "from . import two", "two.py": ""})
    with pytest.raises(ValueError, match="absolute"):
        tree.graph()
