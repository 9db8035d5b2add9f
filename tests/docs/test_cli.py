"""docs/cli.md has every command and option, in the words of their own help."""

from __future__ import annotations

import runpy

from tests.docs.pages import PROJECT


def test_the_page_of_the_command_line_is_what_its_help_says() -> None:
    made = runpy.run_path(str(PROJECT / "docs" / "make_cli.py"))
    page = (PROJECT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert made["written"](page) == page, "run: python docs/make_cli.py"
