"""The page on trust names what holds each line: modules and tests that there are."""

from __future__ import annotations

import re

from tests.docs.pages import PROJECT

PAGE = (PROJECT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_module_and_test_that_it_names_is_there() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", PAGE))
    assert len(named) > 30
    there = PROJECT / "src" / "flowpool"
    assert not {
        name for name in named if not ((there / name).is_file() or (PROJECT / name).is_file())
    }


def test_every_line_has_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\|.*\.py", line)]
    assert rows
    assert all("`tests/" in row.split("|")[3] for row in rows)
