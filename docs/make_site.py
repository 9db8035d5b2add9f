"""Builds the documentation site into build/site: `python docs/make_site.py`, which is `make docs`.

The pages are copied into a folder of their own, the reference is written beside them, and zensical makes HTML of
both. No built page asks anything of another host.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from reference import write_reference

DOCS = Path(__file__).parent
PROJECT = DOCS.parent
STAGE = PROJECT / "build" / "docs"
_SETUP = re.compile(r"<!-- setup\n.*?\n-->\n*", re.DOTALL)
_COPIED = (".md", ".css", ".svg", ".png", ".js")


def stage() -> None:
    """What zensical reads: the pages without what only their tests need, and the reference."""
    shutil.rmtree(STAGE, ignore_errors=True)
    for path in DOCS.rglob("*"):
        if path.suffix in _COPIED:
            target = STAGE / path.relative_to(DOCS)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".md":
                target.write_text(_SETUP.sub("", path.read_text(encoding="utf-8")), "utf-8")
            else:
                shutil.copy(path, target)
    write_reference(STAGE / "reference")


def main() -> int:
    """Stages the pages and has zensical make HTML of them; its exit code."""
    stage()
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    return subprocess.run(command, cwd=PROJECT).returncode


if __name__ == "__main__":
    sys.exit(main())
