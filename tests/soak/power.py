"""Power loss, simulated: what a disk may hold when the current goes, by the log of a child's writes and syncs.

A write is on the disk for sure once its file was synced after it, a new or removed file once its folder was. Of
what came later any part may be there, in any order, and of a write any of its sectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from tests.soak.shim import Event

SECTOR = 512
IGNORED = ("-shm", ".lock")  # made anew by whoever opens the store

Files = dict[str, bytearray]


class Disk:
    """The files as they are on the disk for sure, and what may or may not have come since."""

    def __init__(self) -> None:
        self.safe: Files = {}
        self.pending: list[Event] = []

    def play(self, event: Event) -> None:
        if event.name.endswith(IGNORED) or event.kind == "A":
            return
        if event.kind == "S":
            self._sync(event.name)
        else:
            self.pending.append(event)

    def _sync(self, name: str) -> None:
        """A file's sync saves its data, and with it its own creation; a folder's what came and went in it."""
        still = []
        for event in self.pending:
            saved = event.kind in "CU" if name == "/" else event.name == name and event.kind != "U"
            if saved:
                _apply(self.safe, event)
            else:
                still.append(event)
        self.pending = still

    def after_power_loss(self, random: Random) -> Iterator[Files]:
        """What may be there: nothing of what is pending, all of it, and parts."""
        yield self._with([])
        if not self.pending:
            return
        yield self._with(self.pending)
        yield self._with(self.pending[: random.randint(0, len(self.pending))])
        for odds in (0.2, 0.8):
            yield self._with([event for event in self.pending if random.random() < odds])
        yield self._with([part for event in self.pending for part in _torn(event, random)])

    def _with(self, events: Sequence[Event]) -> Files:
        files = {name: bytearray(data) for name, data in self.safe.items()}
        for event in events:
            _apply(files, event)
        return files


def _apply(files: Files, event: Event) -> None:
    if event.kind == "U":
        files.pop(event.name, None)
        return
    data = files.setdefault(event.name, bytearray())
    if event.kind == "T":
        del data[event.offset :]
        data.extend(bytes(event.offset - len(data)))
    elif event.kind == "W":
        data.extend(bytes(max(0, event.offset - len(data))))
        data[event.offset : event.offset + len(event.data)] = event.data


def _torn(event: Event, random: Random) -> Iterator[Event]:
    """Some of a write's sectors."""
    if event.kind != "W":
        yield event
        return
    for start in range(0, len(event.data), SECTOR):
        if random.random() < 0.5:
            data = event.data[start : start + SECTOR]
            yield event._replace(offset=event.offset + start, data=data)


def put(files: Files, folder: Path) -> None:
    """Writes the files into an empty folder."""
    for name, data in files.items():
        (folder / name).write_bytes(data)


def cuts(events: Sequence[Event], most: int, random: Random) -> list[int]:
    """Moments at which the power may go: around each sync and each line printed, and others; at most so many."""
    telling = {
        position + after
        for position, event in enumerate(events)
        if event.kind in "SAU"
        for after in (0, 1)
    }
    others = sorted(set(range(len(events) + 1)) - telling)
    random.shuffle(others)
    chosen = sorted(telling)
    if len(chosen) > most:
        chosen = sorted(random.sample(chosen, most))
    return sorted({*chosen, *others[: max(0, most - len(chosen))]})
