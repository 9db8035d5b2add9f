"""Which files may be named by what isn't trusted: those beneath given folders, once every link is followed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePath

from flowpool.errors import InvalidInput

Folders = tuple[Path, ...]
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_url(path: object) -> bool:
    """Whether it is a URL, `s3://bucket/rows.csv`, rather than a path of this machine."""
    return isinstance(path, str) and _URL.match(path) is not None


def folders(*names: str | PurePath) -> Folders:
    """The folders of these names, as they are now: links followed, from the root on."""
    return tuple(dict.fromkeys(Path(name).resolve() for name in names))


def is_beneath(path: str | PurePath, allowed: Iterable[Path]) -> bool:
    """Whether the path, wherever its links lead, is one of the folders or in one of them."""
    if is_url(path):
        return False
    try:
        real = Path(path).resolve()
    except (OSError, ValueError, RuntimeError):  # a loop of links, a null character
        return False
    return any(real.is_relative_to(folder) for folder in allowed)


def check_beneath(
    path: str | PurePath, allowed: Iterable[Path] | None, *, is_trusted: bool = False
) -> None:
    """Raises `InvalidInput` for a path that leads out of the folders; None allows every path.

    is_trusted: they are what somebody set as a `root`, not what a file is kept to that isn't trusted.
    """
    if allowed is None or is_beneath(path, allowed):
        return
    where = " and ".join(map(str, allowed))
    if is_trusted:
        raise InvalidInput(f"{path} is outside of its root, {where}: name a file beneath it.")
    raise InvalidInput(
        f"{path} is outside of {where}, and a file or store that isn't trusted reaches nothing there: "
        "load it with trusted=True (--trusted)."
    )


def named_folder(path: str) -> Path:
    """The folder that is meant by who names these rows: a folder itself, a file's, or a glob's first plain part."""
    found = Path(path)
    if found.is_dir():
        return found
    plain = []
    for part in found.parent.parts:
        if set(part) & set("*?["):
            break
        plain.append(part)
    return Path(*plain)
