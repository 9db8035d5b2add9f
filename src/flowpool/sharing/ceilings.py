"""Told ceilings belong to the key: the runs, threads and processes of one user on one machine keep them together.

In one process through an object, between processes through a small file, read and written under a lock at each
call. Where no file can be written the process alone keeps them. Must not know lanes or loops.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import count
from pathlib import Path
from threading import Lock, Timer
from weakref import WeakKeyDictionary

import msgspec

from flowpool.limits.ceilings import ASK_AGAIN, POLL, Ceilings, KeyState, Seat
from flowpool.limits.demand import Demand
from flowpool.sharing.directory import boot_name, cache_directory, fingerprint_of, read_salt
from flowpool.sharing.locked_file import LockedFile, SignOfLife
from flowpool.values import Endpoint, Limits

_FORMAT = 1
# Seconds between two looks for dead processes while a run waits at a ceiling.
_LOOK_EVERY = 0.5
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeyState).decode
_numbers = count(1)


class SharedKey:
    """What the runs of this process know of one key's ceilings. From any thread.

    file: where the other processes' runs are met, or None for this process alone.
    """

    def __init__(self, file: LockedFile | None = None, sign: SignOfLife | None = None) -> None:
        self.state = KeyState()
        self.lock = Lock()
        self.seats: dict[str, Seat] = {}  # of this process's runs
        self.waiting: dict[str, Callable[[], object]] = {}
        self._file = file
        self._sign = sign
        self._looked = 0.0

    @contextmanager
    def turn(self) -> Iterator[KeyState | None]:
        """The state, for as long as nobody else has it; None where another process stands still with it."""
        with self.lock:
            if not self._begin():
                yield None
                return
            try:
                yield self.state
            finally:
                self._end()

    def drop_dead(self, now: float) -> bool:
        """Takes back what dead processes left in flight, if there are any. Within a `turn`."""
        if self._sign is None or 0.0 <= now - self._looked < _LOOK_EVERY:
            return False
        self._looked = now
        owners = {name.partition("-")[0] for name in self.state.seats}
        try:
            dead = {owner for owner in owners if self._sign.is_dead(owner)}
        except OSError:
            return False
        for name in [name for name in self.state.seats if name.partition("-")[0] in dead]:
            del self.state.seats[name]
        return bool(dead)

    def close(self) -> None:
        """Leaves the other processes: what comes after is kept by this one alone."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _begin(self) -> bool:
        if self._file is None:
            return True
        try:
            if not self._file.lock():
                return False
            data = self._file.read()
        except (OSError, ValueError):  # ValueError: it was closed by now
            self._go_alone()
            return True
        with suppress(msgspec.MsgspecError):  # else it goes on from what it knew
            if data:
                self.state = _decode(data)
        # What others know of this process's runs is older than what they know themselves.
        prefix = f"{self._sign.name}-" if self._sign is not None else ""
        for name in [name for name in self.state.seats if name.startswith(prefix)]:
            del self.state.seats[name]
        self.state.seats |= self.seats
        return True

    def _end(self) -> None:
        if self._file is None:
            return
        try:
            self._file.write(_encode(self.state))
            self._file.unlock()
        except (OSError, ValueError):
            self._go_alone()

    def _go_alone(self) -> None:
        self.close()
        self._sign = None
        self.state.seats = dict(self.seats)


class SharedCeilings(Ceilings):
    """One run's ceilings at a key that others may use.

    wake: called from any thread when the run should ask again.
    """

    __slots__ = ("_due", "_is_stuck", "_late", "_shared", "_wake")

    def __init__(
        self, shared: SharedKey, limits: Limits, wake: Callable[[], object], process: str
    ) -> None:
        super().__init__(limits, shared.state, f"{process}-{next(_numbers)}")
        self._shared = shared
        self._wake = wake
        self._due = 0.0  # when to ask again what was refused
        self._is_stuck = False  # another process stood still with the file when it was last asked
        self._late: list[tuple[Demand, Demand]] = []  # calls whose end couldn't be written yet

    def wait(self, cost: Demand, now: float) -> float:
        """Seconds until a call of this cost may go, as far as is known here; `claim` has the last word."""
        if now >= self._due:
            return 0.0
        if self._is_stuck:
            return self._due - now
        return min(self.look(cost, now), self._due - now)

    def look(self, cost: Demand, now: float) -> float:
        with self._shared.lock:
            self.state = self._shared.state
            return super().wait(cost, now)

    def claim(self, cost: Demand, now: float) -> bool:
        shared = self._shared
        with shared.turn() as state:
            wait = POLL
            if state is not None:
                self._tell_late(state)
                wait = self._claim_at(state, cost, now)
                if wait > 0.0 and shared.drop_dead(now):
                    wait = self._claim_at(state, cost, now)
            self._is_stuck = state is None
            if wait > 0.0:
                self._due = now + min(wait, ASK_AGAIN)
                shared.waiting[self.name] = self.wake
            else:
                self._due = 0.0
                shared.waiting.pop(self.name, None)
        return wait <= 0.0

    def ended(self, cost: Demand, used: Demand) -> None:
        shared = self._shared
        with shared.turn() as state:
            self._late.append((cost, used))
            if state is not None:
                self._tell_late(state)
            self._due = 0.0
            waiting = [wake for name, wake in shared.waiting.items() if name != self.name]
        if state is None:
            self._tell_soon()
        for wake in waiting:
            wake()

    def close(self) -> None:
        """The run is over: what it had in flight is nobody's."""
        shared = self._shared
        with shared.turn() as state:
            shared.waiting.pop(self.name, None)
            shared.seats.pop(self.name, None)
            if state is not None:
                self._tell_late(state)
                state.seats.pop(self.name, None)

    def wake(self) -> None:
        """Another run's call has ended."""
        self._due = 0.0
        with suppress(RuntimeError):  # its loop has ended
            self._wake()

    def _claim_at(self, state: KeyState, cost: Demand, now: float) -> float:
        self._shared.seats[self.name] = self.seat
        return self.claim_from(state, cost, now)

    def _tell_late(self, state: KeyState) -> None:
        for cost, used in self._late:
            self.end_in(state, cost, used)
        self._late.clear()
        if self.seat.is_idle:
            self._shared.seats.pop(self.name, None)

    def _tell_soon(self) -> None:
        """The slot must come back though no call of this run follows."""

        def tell() -> None:
            with self._shared.turn() as state:
                if state is not None:
                    self._tell_late(state)
            if state is None:
                self._tell_soon()

        timer = Timer(POLL, tell)
        timer.daemon = True
        timer.start()


class KeyCeilings:
    """What is shared of all keys, for one user.

    directory: where the files are, made when needed; None for this process alone.

        key_ceilings = KeyCeilings(tmp_path / "flowpool")
        ceilings = key_ceilings.join((endpoint, "gpt-5-mini"), Limits(concurrent=5), wake)
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._by_key: dict[str, SharedKey] = {}
        self._of_objects: WeakKeyDictionary[object, SharedKey] = WeakKeyDictionary()
        self._lock = Lock()
        self._sign: SignOfLife | None = None

    def __repr__(self) -> str:
        return f"KeyCeilings({self._directory})"

    def join(self, key: object, limits: Limits, wake: Callable[[], object]) -> SharedCeilings:
        """A run's ceilings at `key`: a model's endpoint and name, or an object that this process alone knows."""
        with self._lock:
            match key:
                case (Endpoint() as endpoint, str() as model):
                    fingerprint = fingerprint_of(self._salt, endpoint, model)
                    shared = self._by_key.get(fingerprint) or self._open(fingerprint)
                    self._by_key[fingerprint] = shared
                case _:
                    shared = self._of_objects.setdefault(key, SharedKey())
            process = self._sign.name if self._sign is not None else "own"
            return SharedCeilings(shared, limits, wake, process)

    def _open(self, fingerprint: str) -> SharedKey:
        if self._directory is None:
            return SharedKey()
        directory = self._directory / "ceilings"
        try:
            if self._sign is None:
                self._sign = SignOfLife(directory)
                self._sign.sweep()
            file = LockedFile(directory, f"{boot_name()}-{fingerprint}.{_FORMAT}")
        except OSError:
            return SharedKey()
        return SharedKey(file, self._sign)

    def close(self) -> None:
        """At the process's end."""
        self.forget()
        if self._sign is not None:
            self._sign.end()

    def forget(self) -> None:
        """In a forked child: what is open is its parent's."""
        for shared in self._by_key.values():
            shared.close()
        if self._sign is not None:
            self._sign.forget()

    @cached_property
    def _salt(self) -> bytes:
        return read_salt(self._directory)


_opened: dict[Path | None, KeyCeilings] = {}
_opening = Lock()


def open_ceilings(environ: Mapping[str, str]) -> KeyCeilings:
    """This process's ceilings for the user that `environ` describes; with FLOWPOOL_SHARE "off" no file is used."""
    is_off = environ.get("FLOWPOOL_SHARE", "").strip().lower() in ("off", "0", "no", "false")
    directory = None if is_off else cache_directory(environ)
    with _opening:
        return _opened.setdefault(directory, KeyCeilings(directory))


def _start_anew() -> None:
    """In a forked child: its runs are runs of another process."""
    global _opening
    _opening = Lock()
    for key_ceilings in _opened.values():
        key_ceilings.forget()
    _opened.clear()


def _close_all() -> None:
    for key_ceilings in _opened.values():
        key_ceilings.close()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
