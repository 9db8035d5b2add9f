"""One key, several runs: the pools, threads and processes of one user on one machine share a limit fairly.

They meet in small files of the user's cache directory; nothing runs beside them, and where no file can be
written the runs of one process still share. Must not know the engine: it takes the time and gives fractions.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from threading import Lock

from flowpool.sharing.directory import boot_name, cache_directory, fingerprint_of, read_salt
from flowpool.sharing.fairness import fair_shares as fair_shares
from flowpool.sharing.member import Member as Member
from flowpool.sharing.member import Peer as Peer
from flowpool.sharing.memory import Memory
from flowpool.sharing.table import FileTable, MemberTable, MemoryTable
from flowpool.values import Endpoint

_FORMAT = 2


class Sharing:
    """Members at limits, and a memory of them, for one user.

    directory: where the files are, made when needed; None shares within this object only and remembers nothing.

        sharing = Sharing(tmp_path / "flowpool")
        member = sharing.join("0123456789abcdef", now=0.0)
        share = member.publish(0.2, demand=10.0)  # 1.0: nobody else is here
        member.leave()
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.memory = Memory(directory / "learned" if directory is not None else None)
        self._directory = directory
        self._in_process: dict[str, MemoryTable] = {}

    def __repr__(self) -> str:
        return f"Sharing({self._directory})"

    def fingerprint(self, endpoint: Endpoint, model: str) -> str:
        """16 hex digits for the limit of `model` at `endpoint`; without the user's salt they tell nothing."""
        return fingerprint_of(self._salt, endpoint, model)

    def join(self, fingerprint: str, now: float) -> Member:
        """A member at the limit, for one run. `member.learned(now)` has what the others know of it.

        now: monotonic seconds, as in `Member.publish`.
        """

        def in_process() -> MemberTable:
            return self._in_process.setdefault(fingerprint, MemoryTable())

        if self._directory is None:
            return Member(in_process(), in_process, now)
        try:
            table = FileTable(self._directory / "live", f"{boot_name()}-{fingerprint}.{_FORMAT}")
        except OSError:
            return Member(in_process(), in_process, now)
        with suppress(OSError):
            table.sweep()
        return Member(table, in_process, now)

    @cached_property
    def _salt(self) -> bytes:
        return read_salt(self._directory)


_opened: dict[Path | None, Sharing] = {}
_opening = Lock()


def open_sharing(environ: Mapping[str, str]) -> Sharing | None:
    """This process's `Sharing` for the user that `environ` describes; None when FLOWPOOL_SHARE is "off".

    sharing = open_sharing(os.environ)
    """
    if environ.get("FLOWPOOL_SHARE", "").strip().lower() in ("off", "0", "no", "false"):
        return None
    directory = cache_directory(environ)
    with _opening:
        return _opened.setdefault(directory, Sharing(directory))
