"""What a path means that somebody wrote, and which files may be named by what isn't trusted.

Those are the ones beneath given folders, once every link is followed.
"""

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


def local_path(path: str | PurePath) -> Path:
    """The path of this machine that is meant by who wrote it: `~` at its start is their home, `~name` another's.

    Whatever takes a path from outside takes it through here, and before it is checked. Where nobody has such a
    home, as with Word's `~$letter.docx`, it is the name of a file.
    """
    found = Path(path)
    try:
        return found.expanduser()
    except RuntimeError:
        return found


def folders(*names: str | PurePath) -> Folders:
    """The folders of these names, as they are now: links followed, from the root on."""
    return tuple(dict.fromkeys(local_path(name).resolve() for name in names))


def is_beneath(path: str | PurePath, allowed: Iterable[Path]) -> bool:
    """Whether the path, wherever its links lead, is one of the folders or in one of them."""
    if is_url(path):
        return False
    try:
        real = local_path(path).resolve()
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
    found = local_path(path)
    if found.is_dir():
        return found
    plain = []
    for part in found.parent.parts:
        if set(part) & set("*?["):
            break
        plain.append(part)
    return Path(*plain)
