"""The pages of the documentation as data: their blocks of code, and what stands around them.

A page may hold, besides what a reader sees:

- `<!-- setup` ... `-->`: Python that the test runs before the page's blocks, to make the files that it names.
- a title on a block, as in ```` ```csv title="rows.csv" ````: the block is that file.
- ```` ```text title="Output" ````: what the block before it prints; `...` stands for anything.
- a paragraph that begins with `*Not run here:` before a block that can't be run, with the reason.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

PROJECT = Path(__file__).parent.parent.parent
PAGES = sorted([PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md")])
NOT_RUN = "*Not run here:"
# Packages that only the environment of `make test-frameworks` has.
FRAMEWORKS = ("any_llm", "dspy", "langchain_core", "langchain_openai", "llama_index", "pydantic_ai")
_FRAMEWORKS = re.compile(rf"^(?:from|import) (?:{'|'.join(FRAMEWORKS)})\b", re.MULTILINE)
_FENCE = re.compile(r"^( *)(```+)(\w*)\s*(.*)$")
_TITLE = re.compile(r'title="([^"]*)"')
_SETUP = re.compile(r"<!-- setup\n(.*?)\n-->", re.DOTALL)


class Block(Struct, frozen=True):
    """A fenced block. `line` is the number of its first line; `reason` why it isn't run, if it isn't."""

    language: str
    title: str
    line: int
    text: str
    reason: str = ""


def name_of(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix() if page.is_relative_to(PROJECT) else page.name


def blocks_of(text: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order; raises `ValueError` for one that isn't closed."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        number += 1
        if fence is None:
            continue
        first = number
        while number < len(lines) and lines[number].strip() != fence[2]:
            number += 1
        if number == len(lines):
            raise ValueError(f"the block at line {first} isn't closed")
        title = _TITLE.search(fence[4])
        yield Block(
            fence[3],
            title[1] if title else "",
            first + 1,
            textwrap.dedent("\n".join(lines[first:number])),
            _reason(lines[: first - 1]),
        )
        number += 1


def needs_frameworks(page: Path) -> bool:
    """Whether a block that is run imports another framework."""
    blocks = blocks_of(page.read_text(encoding="utf-8"))
    return any(
        block.language == "python" and not block.reason and _FRAMEWORKS.search(block.text)
        for block in blocks
    )


def setups_of(text: str) -> list[str]:
    """The Python that a page has in comments, for its test."""
    return _SETUP.findall(text)


def _reason(before: list[str]) -> str:
    """What the paragraph above a block says of why it isn't run."""
    paragraph: list[str] = []
    for line in reversed(before):
        if line.strip():
            paragraph.insert(0, line.strip())
        elif paragraph:
            break
    words = " ".join(paragraph)
    return words.removeprefix(NOT_RUN).strip(" *") if words.startswith(NOT_RUN) else ""
