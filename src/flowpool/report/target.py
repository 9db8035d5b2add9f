"""Where a page or a trace may be written: never over a store, or over what a run reads and writes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flowpool.checkpoint.checkpoint import pick_run
from flowpool.data.writers import check_target
from flowpool.errors import InvalidInput
from flowpool.folders import is_url, local_path
from flowpool.run.session import Session
from flowpool.store.rows import RunInfo

_SQLITE = b"SQLite format 3\x00"
_PAGE = b"<!doctype html>\n"


def checked_target(
    path: str | Path, kept: Iterable[Path], endings: tuple[str, ...], *, overwrite: bool
) -> Path:
    """The file that is meant. kept: files that it may not be. endings: of what may be overwritten.

    Raises `InvalidInput` for one that can't be written, exists without `overwrite`, or holds anything else than
    what is written here.
    """
    file = local_path(path)
    check_target(file, may_exist=True)
    if any(_is_same(file, other) for other in kept):
        raise InvalidInput(f"{path} is the run's store, input, output or log: name another file.")
    if file.exists():
        if not file.is_file():
            raise InvalidInput(f"{path} is no file: name another one.")
        begin = _begins(file)
        if begin == _SQLITE:
            raise InvalidInput(f"{path} is a store or another database: name another file.")
        is_ours = file.name.lower().endswith(endings) or begin == _PAGE
        if overwrite and begin and not is_ours:
            raise InvalidInput(
                f"{path} holds something else: name another file, as with {endings[0]} at its end."
            )
    check_target(file, may_exist=overwrite)
    return file


def files_in_store(path: str | Path, run: str | None) -> list[Path]:
    """The files of a run of a store, which is named as for `run_in_store`."""
    return files_of_run(local_path(path), pick_run(path, run))


def files_of_run(store: Path, run: RunInfo) -> list[Path]:
    """A run's store, and what it was read from and written to."""
    read = (run.source or {}).get("path")
    named = [read, *run.outputs]
    others = [one for one in named if isinstance(one, str) and not is_url(one)]
    return [store, *(store.parent / local_path(one) for one in others)]


def files_of_session(session: Session) -> list[Path]:
    """A pool's store, input and log."""
    store = None if session.checkpoint is None else session.checkpoint.path
    read = None if session.rows is None else session.rows.path
    log = None if session.log is None or str(session.log) == "-" else local_path(session.log)
    return [one for one in (store, read, log) if one is not None]


def _is_same(file: Path, other: Path) -> bool:
    try:
        return file.resolve() == other.resolve() or (file.exists() and file.samefile(other))
    except (
        OSError,
        ValueError,
        RuntimeError,
    ):  # there is no such file, or no file can be called so
        return False


def _begins(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(len(_SQLITE))
    except OSError:
        return b""
