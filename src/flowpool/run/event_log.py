"""A run's events as lines of JSON, for CI and log collectors: appended to a file by a thread of its own.

No prompt and no answer is in it, and nothing that errors may repeat of them. It is no store: what can't be
written costs the run nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import msgspec

from flowpool import __version__
from flowpool.calls.decide import AskPlainer, Attempts, GiveUp, Next, Send, Wait
from flowpool.calls.flow import Witness
from flowpool.data.writers import check_target
from flowpool.errors import InvalidInput, InvalidOutput
from flowpool.folders import is_url, local_path
from flowpool.logs import log
from flowpool.printable import printable
from flowpool.record import Record
from flowpool.run.own_words import error_fields, event_fields
from flowpool.run.progress import Snapshot
from flowpool.settings import Settings
from flowpool.threads import DaemonThreads

STDERR = "-"
Fields = Mapping[str, Any]


class EventLog:
    """Where the events of one run go.

    path: a file that is appended to, or "-" for standard error. run: its name, which stands in every line. now: the
    clock of the run; epoch: seconds since 1970 at its 0.
    """

    # Seconds in which events gather for one write: nobody who follows the file notices.
    LINGER = 0.1
    # Events that may wait for a slow disk; those beyond are counted, and the count is written.
    MOST = 20_000
    # Seconds that the end of a run waits for the last lines.
    LAST = 5.0

    def __init__(self, path: str, run: str, now: Callable[[], float], epoch: float) -> None:
        self.path = path
        self._run = run
        self._now, self._epoch = now, epoch
        self._waiting: deque[tuple[float, str, Fields | Callable[[], Fields]]] = deque()
        self._left_out = 0
        self._threads = DaemonThreads("flowpool-log", 1)
        self._is_due = False
        self._is_ending = Event()
        self._has_failed = False
        self._file: int | None = None

    def tell(self, kind: str, data: Fields | Callable[[], Fields]) -> None:
        """Something happened. From any thread; waits for nothing.

        kind: begin, item, attempt, bottleneck, lane, change, end. data: plain data, or what gives it, which the
        log's own thread calls. Texts of others in it are made safe to show.
        """
        if len(self._waiting) >= self.MOST:
            self._left_out += 1
            return
        self._waiting.append((self._now(), kind, data))
        if not self._is_due:
            self._is_due = True
            with suppress(RuntimeError):  # the run is over
                self._threads.submit(self._write)

    def witness(self, index: int) -> Witness:
        """Who tells of the failed attempts of an item."""
        return _ItemWitness(self, index)

    def ended(self, record: Record) -> None:
        """An item has ended."""
        self.tell(
            "item", _of_record(record)
        )  # its figures alone: an answer may be large, and the disk slow

    def happened(self, kind: str, said: bytes) -> None:
        """Something happened beside the items; `said` is JSON."""
        self.tell(kind, partial(_of_event, kind, said))

    def at(self, moment: float) -> str:
        """A moment of the run's clock as ISO 8601 has it."""
        return datetime.fromtimestamp(self._epoch + moment, UTC).isoformat(timespec="milliseconds")

    async def close(self) -> None:
        """Everything is written, or can't be."""
        self._is_ending.set()
        last = asyncio.get_running_loop().run_in_executor(self._threads, self._end)
        self._threads.shutdown(wait=False)
        _, late = await asyncio.wait([last], timeout=self.LAST)
        if late:
            self._warn("it takes too long to be written")

    # In its thread

    def _write(self) -> None:
        self._is_ending.wait(self.LINGER)
        self._is_due = False
        try:
            lines = b"".join(self._lines())
            if lines and not self._has_failed:
                self._append(lines)
        except OSError as error:
            self._warn(error.strerror or str(error))
        except Exception as error:  # a log is no reason to lose a run
            self._warn(f"{type(error).__name__}: {error}")

    def _lines(self) -> list[bytes]:
        # Those that come meanwhile are the next write's.
        lines = [self._line(*self._waiting.popleft()) for _ in range(len(self._waiting))]
        if self._left_out:
            count, self._left_out = self._left_out, 0
            lines.append(self._line(self._now(), "left_out", {"count": count}))
        return lines

    def _line(self, at: float, kind: str, data: Fields | Callable[[], Fields]) -> bytes:
        event = {"at": self.at(at), "run": self._run, "event": kind}
        try:
            fields = data() if callable(data) else data
            return encoded({**event, **fields}) + b"\n"
        except Exception as error:  # the others' lines are to be there
            return encoded({**event, "unreadable": type(error).__name__}) + b"\n"

    def _append(self, lines: bytes) -> None:
        if self.path == STDERR:
            if sys.stderr is not None:
                sys.stderr.write(lines.decode())
                sys.stderr.flush()
            return
        if self._file is None:
            self._file, is_whole = _opened(local_path(self.path))
            lines = lines if is_whole else b"\n" + lines
        while lines:
            lines = lines[os.write(self._file, lines) :]

    def _end(self) -> None:
        self._write()
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)

    def _warn(self, why: str) -> None:
        """Says once that the log ends here."""
        if self._has_failed:
            return
        self._has_failed = True
        words = f"the log {self.path} can't be written ({why}): it ends here, and the run goes on"
        log.warning("%s", words)
        with suppress(Warning):  # where warnings are errors
            warnings.warn(words, RuntimeWarning, stacklevel=2)


class _ItemWitness(Witness):
    """Tells of the attempts of one item that failed."""

    __slots__ = ("_index", "_log")

    def __init__(self, log: EventLog, index: int) -> None:
        self._log = log
        self._index = index

    def failed(
        self,
        route: Any,
        began: float,
        now: float,
        error: Exception,
        follows: Next[Any],
        attempts: Attempts[Any] | None,
    ) -> None:
        """An attempt failed; see `Witness`."""
        then: dict[str, Any]
        asked = getattr(error, "retry_after", None)
        match follows:
            case Wait(seconds) if seconds > 0.0:
                then = {"next": "wait", "wait": seconds, "until": self._log.at(now + seconds)}
            case Wait():
                until = {} if asked is None else {"until": self._log.at(now + asked)}
                then = {"next": "queue", **until}
            case Send(routes):
                then = {"next": "another", "models": [one.lane.name for one in routes]}
            case AskPlainer():
                then = {"next": "plainer"}
            case GiveUp():
                then = {"next": "none", "why": _why(route, error, attempts)}
        if asked is not None:
            then["retry_after"] = asked
        self._tell(route, error, {"seconds": now - began, **then})

    def unfit(self, route: Any, error: InvalidOutput, left: int) -> None:
        """An answer doesn't fit; see `Witness`."""
        then = {"next": "ask_again"} if left else {"next": "none", "why": "retries used up"}
        self._tell(route, error, then)

    def _tell(self, route: Any, error: Exception, then: Fields) -> None:
        self._log.tell("attempt", _of_failure(self._index, route, error, then))


def begin_fields(total: int | None, settings: Settings) -> Fields:
    """What a log says of a run as it begins. total: how many items it has, where that is known."""
    about = {"total": total, "flowpool": __version__, "pid": os.getpid()}
    return {**about, "settings": _given(settings.stored())}


def end_fields(now: Snapshot, reason: str) -> Fields:
    """What a log says of a run at its end."""
    fields = {
        "done": now.done,
        "failed": now.failed,
        "cancelled": now.cancelled,
        "recalled": now.recalled,
        "seconds": now.elapsed,
        "input_tokens": now.usage.input_tokens,
        "output_tokens": now.usage.output_tokens,
        "cost": now.cost,
        "reason": reason,
    }
    return _rounded(fields)


def _given(fields: Fields) -> Fields:
    """Those that are set."""
    return {
        name: _given(value) if isinstance(value, Mapping) else value
        for name, value in fields.items()
        if value is not None
    }


def _of_failure(index: int, route: Any, error: Exception, then: Fields) -> Fields:
    status = getattr(error, "status", None)
    where = {"item": index, "step": route.step_path, "lane": route.lane.name}
    return {**where, "status": status, **error_fields(error), **_rounded(then)}


def _of_event(kind: str, said: bytes) -> Fields:
    return event_fields(kind, msgspec.json.decode(said))


def _why(route: Any, error: Exception, attempts: Attempts[Any] | None) -> str:
    """Why an attempt isn't followed by another one of its call."""
    if attempts is None or not getattr(error, "retryable", False):
        return "not retryable"
    if attempts.failures > route.policy.retries or not route.policy.retries:
        return "retries used up"
    return "another model is asked" if attempts.has_fallback else "out of patience"


def _of_record(record: Record) -> Fields:
    usage = record.usage
    fields = {
        "item": record.index,
        "status": record.status.name.lower(),
        "seconds": record.duration,
        "attempts": record.attempts,
        "model": record.model,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost": record.cost,
    }
    return _rounded(fields if record.error is None else {**fields, **error_fields(record.error)})


def _rounded(fields: Fields) -> Fields:
    """Seconds to the microsecond: the digits beyond say nothing. Costs stay whole, as they are summed up."""
    return {
        name: round(value, 6) if isinstance(value, float) and name != "cost" else value
        for name, value in fields.items()
    }


def as_json(data: Any) -> bytes:
    """What is to be kept of a run as JSON, also where a text of others has halves of characters."""
    try:
        return msgspec.json.encode(data)
    except UnicodeEncodeError:
        return encoded(msgspec.to_builtins(data))


def encoded(data: Any) -> bytes:
    """Plain data as JSON, with every text safe to show."""
    return msgspec.json.encode(_safe(data), enc_hook=str)


def _safe(value: Any) -> Any:
    """The same with every text safe to show, in a terminal too."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(name)): _safe(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_safe(one) for one in value]
    return value


def _opened(path: Path) -> tuple[int, bool]:
    """The file to append to, and whether its last line is whole: a run may have been killed in it."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    with suppress(OSError), path.open("rb") as there:
        if path.is_file() and there.seek(0, os.SEEK_END):
            there.seek(-1, os.SEEK_END)
            return file, there.read(1) == b"\n"
    return file, True


def check_log(path: Any, *others: Path | None) -> None:
    """Raises `InvalidInput` for a path that no log can be at. others: files that hold other things."""
    if not isinstance(path, (str, Path)) or not str(path) or is_url(path):
        raise InvalidInput(
            f"log={path!r}: name a file, such as 'run.jsonl', or '-' for standard error."
        )
    if str(path) == STDERR:
        return
    file = local_path(path)
    if any(other is not None and file.resolve() == other.resolve() for other in others):
        raise InvalidInput(
            f"log={str(path)!r} is the run's store, input or output: name another file."
        )
    check_target(file, may_exist=True)
