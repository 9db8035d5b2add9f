"""Writes the commands' own help into docs/cli.md, below its mark: `python docs/make_cli.py`. A test holds it."""

from __future__ import annotations

import re
from pathlib import Path

import click

from flowpool.cli.app import COMMANDS, load_command

PAGE = Path(__file__).parent / "cli.md"
MARK = "<!-- what follows is written by docs/make_cli.py -->\n"
WIDTH = 96


def written(page: str) -> str:
    """The page with every command's help below its mark."""
    head, mark, _ = page.partition(MARK)
    assert mark, f"no {MARK!r} in {PAGE}"
    return head + mark + "\n".join(_sections())


def _sections() -> list[str]:
    sections = []
    for name in COMMANDS:
        command = load_command(name)
        ctx = click.Context(
            command,
            info_name=f"flowpool {name}",
            terminal_width=WIDTH,
            max_content_width=WIDTH,
            help_option_names=["-h", "--help"],
        )
        text = re.sub(r"[ \t]+\n", "\n", command.get_help(ctx)).strip()
        sections.append(f"\n## flowpool {name}\n\n```text\n{text}\n```")
    return [*sections, ""]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
