"""Where a command's run is kept: beside its output unless --store says where, so that the same words go on."""

from __future__ import annotations

import os
import shlex
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec import Struct

from flowpool.checkpoint.checkpoint import find_run, output_name
from flowpool.checkpoint.identity import Identity
from flowpool.errors import InvalidInput
from flowpool.folders import is_url, local_path
from flowpool.pipeline.spec import Pipeline
from flowpool.plan import Plan
from flowpool.store.lock import holder_of
from flowpool.store.reading import Reader
from flowpool.values import Status

BESIDE = ".flowpool.db"


class RunStore(Struct, frozen=True):
    """A run's store. path: None where it has none. is_beside: it goes once every answer in it is written.

    known: what it has of this very run, by status; None when that is new. had_output: an output that stands there
    is this run's, or that of one that is dropped. is_dropped: what stands at the path goes once the run begins.
    """

    path: Path | None = None
    is_beside: bool = False
    known: dict[Status, int] | None = None
    had_output: bool = False
    is_dropped: bool = False

    def begin(self) -> None:
        """Drops what is to be dropped, now that nothing refuses the run any more."""
        if self.is_dropped and self.path is not None:
            _begin_anew(self.path)

    def drop(self, written: int) -> int:
        """Takes a store beside an output away, unless it has more answers than were written: how many more."""
        if not self.is_beside or self.path is None or not self.path.exists():
            return 0
        with Reader(self.path) as reader:
            others = reader.answers() - written
        if others <= 0:
            remove(self.path)
        return max(0, others)

    def drop_unused(self) -> None:
        """Takes a store beside an output away if nothing was asked, and nobody is about to."""
        with suppress(InvalidInput):  # what is in use or can't be read isn't taken away
            if self.is_beside and self.path is not None and _is_unused(self.path):
                _begin_anew(self.path)

    @property
    def words(self) -> str:
        """What it has, for a person."""
        assert self.known is not None
        counts = [
            f"{count:,} {'to do' if status is Status.PENDING else status.name.lower()}"
            for status, count in self.known.items()
            if count
        ]
        return ", ".join(reversed(counts)) or "nothing yet"


def find_store(pipeline: Pipeline, plan: Plan, name: str, *, resume: bool, anew: bool) -> RunStore:
    """Where the run is kept; `resume` refuses to begin, `anew` drops what stands beside the output.

    Raises `InvalidInput` where the store beside the output keeps an unfinished run with other words.
    """
    path, is_beside = _path(pipeline)
    if path is None:
        _refuse_without(resume, "--resume")
        _refuse_without(pipeline.run.retry_failed, "--retry-errors")
        return RunStore()
    had_output = path.exists()
    if anew:
        if not is_beside:
            raise InvalidInput(f"--no-cache: {path} may hold other runs: name another --store.")
        _check_free(path)
        return RunStore(path, is_beside, None, had_output, is_dropped=True)
    if is_beside and _is_unused(path):
        _begin_anew(path)
    identity = Identity(plan, {}, pipeline.run.version)
    known, outputs = _known(path, identity, name)
    if known is None and path.exists() and is_beside:
        _drop_unanswered(path)
    if known is None and resume:
        raise InvalidInput(f"--resume: {path} has nothing of this run to go on with.")
    is_own = is_beside or output_name(pipeline.output.path, path) in outputs
    return RunStore(path, is_beside, known, had_output and is_own)


def _refuse_without(is_asked: bool, option: str) -> None:
    if is_asked:
        raise InvalidInput(f"{option}: no store is kept: say --store PATH, or -o FILE.")


def _drop_unanswered(path: Path) -> None:
    """Drops a run with other words that nobody was answered for, as after a wrong name, key or address.

    Raises `InvalidInput` for one that has answers.
    """
    with Reader(path) as reader:
        has_answers = reader.has_answers()
    if has_answers:
        raise InvalidInput(_of_other_words(path))
    _begin_anew(path)


def _of_other_words(path: Path) -> str:
    """What to do about a store that keeps an unfinished run with other words, whatever was changed in them."""
    store = shlex.quote(str(path))
    return (
        f"{path} keeps an unfinished run with another prompt, model, option or answer: say the same words to go on "
        f"with it. To ask only what failed with these words: `flowpool export {store} failed.jsonl --only failed`, "
        f"then -i failed.jsonl -o FILE; `flowpool export {store} FILE --only done` takes out the rest; --no-cache "
        "drops it and asks everything anew."
    )


def _is_unused(path: Path) -> bool:
    """Whether a store is there, and nothing was asked in it."""
    if not path.exists():
        return False
    if not path.stat().st_size:
        return True
    with Reader(path) as reader:
        return reader.is_unused()


def _begin_anew(path: Path) -> None:
    """Drops what the store beside the output keeps."""
    _check_free(path)
    remove(path)


def _check_free(path: Path) -> None:
    """Raises `InvalidInput` for a store that somebody works with."""
    if path.exists() and (holder := holder_of(path)):
        raise InvalidInput(f"{path} is in use by {holder}: wait for its end or stop it.")


def remove(path: Path) -> None:
    """Removes a store's files."""
    for ending in ("", "-wal", "-shm", ".control"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def store_path(pipeline: Pipeline) -> Path | None:
    """Where a pipeline's run is kept, if it is."""
    return _path(pipeline)[0]


def _path(pipeline: Pipeline) -> tuple[Path | None, bool]:
    """The store's path, and whether it is the one beside the output."""
    store, output = pipeline.run.store, pipeline.output
    if isinstance(store, str):
        if output.append:
            raise InvalidInput("--append can't tell which of a store's rows the file has: say one.")
        return local_path(store), False
    if store is False or output.append or output.path == "-":
        return None, False
    if is_url(output.path):  # there is no file beside it
        return Path(PurePosixPath(output.path.partition("?")[0]).name + BESIDE), True
    if not _is_plain(local_path(output.path)):
        return None, False
    return local_path(output.path + BESIDE), True


def _is_plain(path: Path) -> bool:
    """Whether it is, or may become, a file like any other: no device, no pipe."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return os.access(path.parent, os.W_OK)


def _known(path: Path, identity: Identity, name: str) -> tuple[dict[Status, int] | None, list[Any]]:
    """What the store has of this very run, by status, and the files that it was written to."""
    if not path.exists() or not path.stat().st_size:
        return None, []
    with Reader(path) as reader:
        run = find_run(reader.runs(), name, identity, is_named=False)
        return (None, []) if run is None else (reader.counts(run.id), run.outputs)
