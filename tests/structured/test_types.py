"""Types as the form of an answer."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import dataclass

import pytest
from tests.structured.kinds import (
    READ,
)

from flowpool.errors import InvalidInput
from flowpool.structured import answer_of


def test_a_type_whose_names_cannot_be_found_is_refused_with_the_fix() -> None:
    @dataclass
    class Inner:
        a: int

    @dataclass
    class Outer:
        inner: Inner

    with pytest.raises(InvalidInput, match=r"'Inner'.*: define the types"):
        answer_of(Outer)


def test_pydantic_is_not_imported_for_other_types() -> None:
    code = (
        "import sys; from dataclasses import dataclass; from flowpool.structured import answer_of\n"
        "@dataclass\nclass P:\n    name: str\n"
        "assert answer_of(list[P]).read('[{\"name\": \"x\"}]') == [P('x')]\n"
        "assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_answer_goes_to_other_processes_with_its_type() -> None:
    for output, text, expected in READ:
        if isinstance(output, (type, dict)) or output is None:
            assert pickle.loads(pickle.dumps(answer_of(output))).read(text) == expected
