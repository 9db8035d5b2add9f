from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from tools.house import shape


def function(text: str) -> shape.Function:
    found = ast.parse(dedent(text)).body[0]
    assert isinstance(found, shape.Function)
    return found


def test_a_functions_lines_are_its_body_without_signature_and_docstring() -> None:
    text = '''
        def f(
            a,
            b,
        ):
            """One.

            Two.
            """
            c = a
            # a comment is a line
            return c
    '''
    assert shape.lines_of(function(text)) == 3


def test_a_function_of_a_docstring_alone_has_no_lines() -> None:
    assert shape.lines_of(function('def f():\n    """Nothing."""')) == 0


@pytest.mark.parametrize(
    ("body", "branches"),
    [
        ("pass", 1),
        ("if a:\n        pass\n    elif b:\n        pass\n    else:\n        pass", 3),
        ("for x in a:\n        while x:\n            pass", 3),
        ("try:\n        pass\n    except A:\n        pass\n    except B:\n        pass", 3),
        ("return a and b and c or d", 4),
        ("return [x if x else y for x in a for y in x]", 4),
        ("match a:\n        case 1:\n            pass\n        case _:\n            pass", 3),
    ],
)
def test_branches_are_counted_as_radon_does(body: str, branches: int) -> None:
    assert shape.branches_of(function(f"def f():\n    {body}")) == branches


def test_only_functions_over_the_line_are_listed_the_longest_first(plant) -> None:
    def lines(name: str, count: int) -> str:
        return f"def {name}():\n" + "    x = 1\n" * count

    tree = plant({"one.py": lines("fits", 45) + lines("long", 46) + lines("longer", 50)})
    assert shape.long_functions(tree) == ["one: longer (50)", "one: long (46)"]


def test_only_functions_over_the_complexity_are_listed(plant) -> None:
    def ors(name: str, count: int) -> str:
        return f"def {name}():\n    return {' or '.join('a' * (count))}\n"

    tree = plant({"one.py": ors("simple", 14) + ors("complex", 15)})
    assert shape.complex_functions(tree) == ["one: complex (15)"]


def test_a_planted_circle_is_found_through_lazy_imports_too(plant) -> None:
    tree = plant(
        {
            "one.py": "import pack.two",
            "two.py": "def later():\n    from pack import three",
            "three.py": "from pack.one import x",
            "apart.py": "import pack.one",
        }
    )
    assert shape.circles(tree.graph()) == [["one", "three", "two"]]


def test_two_circles_that_touch_only_one_way_are_two(plant) -> None:
    tree = plant(
        {
            "a.py": "import pack.b\nimport pack.c",
            "b.py": "import pack.a",
            "c.py": "import pack.d",
            "d.py": "import pack.c",
        }
    )
    assert shape.circles(tree.graph()) == [["a", "b"], ["c", "d"]]


def test_a_planted_class_of_the_same_name_is_found(plant) -> None:
    tree = plant(
        {
            "one.py": "class Twice: ...\nclass _Private: ...\nclass Once: ...",
            "two.py": "class Twice: ...\nclass _Private: ...",
        }
    )
    assert shape.shared_class_names(tree) == ["Twice: one, two"]


def test_words_are_counted_in_prose_and_in_parts_of_names(plant) -> None:
    text = '"""Told in one place."""\nfirst_told = _places  # told\nreplaced = placed = untold\n'
    tree = plant({"one.py": text})
    assert dict(shape.words(tree)) == {"one": 4}
    assert shape.words_of_code(tree) == 2


def test_a_folder_is_measured_against_the_whole_package(plant) -> None:
    tree = plant({"one.py": "a = 1\n" * 2, "room/__init__.py": "", "room/x.py": "a = 1\n" * 6})
    assert shape.folders(tree) == {"room": 0.75}
