"""The system's Chromium, for the browser tests. `python tools/chromium.py` installs Debian's if there is none.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """Its path, None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def main() -> None:
    if executable():
        return
    apt = shutil.which("apt-get")
    if apt is None:
        sys.exit("There is no Chromium: install one, as your system does it, and run this again.")
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    variables = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    print("Installing chromium ...", flush=True)
    for words in (
        ["update", "-qq"],
        ["install", "-y", "-qq", "--no-install-recommends", "chromium"],
    ):
        subprocess.run([*as_root, apt, *words], env=variables, stdout=subprocess.DEVNULL)
    if not executable():
        sys.exit("apt-get couldn't install chromium: install it by hand, and run this again.")


if __name__ == "__main__":
    main()
