"""Where a user's shared files are, and names for keys that give no key away. Must not know what the files hold."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import BinaryIO

from flowpool.values import Endpoint

_SALT_BYTES = 32
# Of new files: for the user alone, or for whom the user's umask lets.
PRIVATE, PUBLIC = 0o600, 0o666
# Without a folder for the user's own salt, fingerprints hold within this process.
_PROCESS_SALT = os.urandom(_SALT_BYTES)


def cache_directory(environ: Mapping[str, str], platform: str = sys.platform) -> Path | None:
    """The user's flowpool directory: one folder however a process was started, so that all of them meet.

    None when the environment names no home.
    """
    base = environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):
        return Path(base, "flowpool")
    if platform == "win32":
        local = environ.get("LOCALAPPDATA", "")
        return Path(local, "flowpool", "cache") if local else None
    home = environ.get("HOME", "")
    if not os.path.isabs(home):
        return None
    return Path(home, "Library/Caches" if platform == "darwin" else ".cache", "flowpool")


def make_private(directory: Path) -> None:
    """Makes `directory`, for this user's eyes only. Raises `OSError` where that can't be."""
    if not directory.exists():
        if not directory.parent.exists():
            make_private(directory.parent)
        # Else a program run by root with a user's HOME would leave a directory that the user can't use.
        _refuse_others(directory.parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o700)
    _refuse_others(directory)
    if stat.S_IMODE(directory.stat().st_mode) & 0o077 and hasattr(os, "geteuid"):
        directory.chmod(0o700)


def _refuse_others(directory: Path) -> None:
    if not directory.is_dir():
        raise NotADirectoryError(f"{directory} is no directory")
    if hasattr(os, "geteuid") and directory.stat().st_uid != os.geteuid():
        raise PermissionError(f"{directory} is another user's")


def write_whole(path: Path, data: bytes, *, over: bool = True, mode: int = PRIVATE) -> None:
    """Puts a file with `data` in place in one step; with `over=False` one that is there already stays."""
    with draft_of(path, mode) as (draft, file):
        file.write(data)
        file.close()
        if over or not _link(draft, path):
            os.replace(draft, path)


@contextlib.contextmanager
def draft_of(path: Path, mode: int = PRIVATE) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside `path`, of a name that nobody can guess; it is gone at the end where it wasn't moved."""
    draft = path.with_name(f".{path.name[:40]}.{os.urandom(6).hex()}")
    try:
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield draft, file
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)


def _link(draft: Path, path: Path) -> bool:
    """Whether a file now stands at `path`; not where the file system has no links."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return True
    except OSError:
        return False
    return True


def read_salt(directory: Path | None) -> bytes:
    """The user's random salt, made at the first use; this process's own where it can't be kept."""
    if directory is None:
        return _PROCESS_SALT
    path = directory / "salt"
    try:
        make_private(directory)
        if not path.exists():
            write_whole(path, os.urandom(_SALT_BYTES), over=False)
        salt = path.read_bytes()
        if len(salt) != _SALT_BYTES:
            write_whole(path, os.urandom(_SALT_BYTES))
            salt = path.read_bytes()
    except OSError:
        return _PROCESS_SALT
    return salt


def fingerprint_of(salt: bytes, endpoint: Endpoint, model: str) -> str:
    """16 hex digits that stand for one limit: the same for the same address, key, headers and model.

    Headers count because a gateway's may hold its own key or the account that is charged.
    """
    from hashlib import sha256

    parts = [endpoint.base_url, endpoint.key.reveal(), model]
    parts += [part for header in sorted(endpoint.headers) for part in header]
    digest = sha256(salt)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


@cache
def boot_name() -> str:
    """8 hex digits for this machine since it started: clocks of different ones can't be compared.

    Homes may be shared by machines. Where the system doesn't number its starts, the host's name has to do.
    """
    from hashlib import sha256

    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        from platform import node

        boot = node().encode()
    return sha256(boot).hexdigest()[:8]
