"""Small runs under the preloaded library: their writes are logged, for power loss, or one of them fails."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from tests.soak import power, shim
from tests.soak.kills import read_store
from tests.soak.nursery import Nursery
from tests.soak.work import output_of, prompts_of, texts

from flowpool.simulator.ledger import digest_of

FLOWS = 4


def job(store: Path, count: int, steps: int, **told: Any) -> dict[str, Any]:
    shared = {"store": str(store), "prefix": "w", "count": count, "steps": steps, "flows": FLOWS}
    return shared | told


def run(nursery: Nursery, told: dict[str, Any]) -> list[dict[str, Any]]:
    """What a child said that ran to its end, whichever it was."""
    child = nursery.spawn("tests.soak.work", "work_in_memory", told)
    child.finish()
    said: list[dict[str, Any]] = [msgspec.json.decode(line) for line in child.lines]
    crash = next((line["crash"] for line in said if "crash" in line), None)
    assert crash is None, crash
    return said


def acknowledged(said: list[dict[str, Any]]) -> list[str]:
    return [line["output"] for line in said if line.get("status") == 2]


# Power loss.


def lose_power(
    nursery: Nursery, folder: Path, seed: int, *, steps: int, most: int, syncs: bool = True
) -> int:
    """Cuts the power at many moments of one run; gives how many disks were looked at.

    syncs: False plays a disk that lies about them, which must be found out.
    """
    random = Random(seed)
    log = folder / "log"
    store = folder / "run.db"
    told = {"prefix": str(store), "log": str(log)}
    # The store's file itself is written often, not only its log: that is the harder part.
    said = run(nursery, job(store, 12, steps, shim=told, checkpoint=2))
    assert {"end": True} in said, said[-1]
    events = [event for event in shim.read_log(log) if syncs or event.kind != "S"]
    looked_at = 0
    disk = power.Disk()
    printed: list[str] = []
    chosen = set(power.cuts(events, most, random))
    for position, event in enumerate([*events, None]):
        if position in chosen:
            for number, files in enumerate(disk.after_power_loss(random)):
                image = folder / f"image-{position}-{number}"
                image.mkdir()
                power.put(files, image)
                outputs, _ = read_store(image / store.name)
                lost = set(printed) - set(outputs)
                assert not lost, f"seed {seed}, cut at {position}, disk {number}: lost {lost}"
                looked_at += 1
                for path in image.iterdir():
                    path.unlink()
                image.rmdir()
        if event is not None:
            disk.play(event)
            if event.kind == "A":
                lines = [msgspec.json.decode(line) for line in event.data.splitlines()]
                printed += acknowledged(lines)
    return looked_at


# Failing writes.


def count_operations(nursery: Nursery, folder: Path, *, count: int, steps: int) -> int:
    """How many writes, truncations and syncs a run makes."""
    store = folder / "counted.db"
    told = {"prefix": str(store), "log": str(folder / "counted.log")}
    run(nursery, job(store, count, steps, shim=told, checkpoint=2))
    kinds = [event.kind for event in shim.read_log(folder / "counted.log")]
    return sum(kind in "WTS" for kind in kinds)


def fail_write(
    nursery: Nursery, folder: Path, number: int, *, count: int, steps: int, persists: bool
) -> str:
    """Has one write of a run fail, and goes on after it; gives how the run ended.

    persists: the disk is full from then on; else one operation gives an I/O error.
    """
    store = folder / f"failing-{number}-{steps}-{persists}.db"
    code = errno.ENOSPC if persists else errno.EIO
    told = {"prefix": str(store), "fail_at": number, "error": code, "persists": int(persists)}
    said = run(nursery, job(store, count, steps, shim=told, checkpoint=2))
    how = next((line["failed"] for line in said if "failed" in line), "done")
    outputs, held = read_store(store)
    lost = set(acknowledged(said)) - set(outputs)
    assert not lost, f"write {number} failed: acknowledged and lost: {lost}"
    again = run(nursery, job(store, count, steps))
    assert {"end": True} in again, f"write {number} failed: it can't go on: {again[-1]}"
    expected = sorted(output_of(text, steps) for text in texts("w", count))
    assert sorted(acknowledged(again)) == expected, f"write {number} failed: items lost"
    finished = {output.partition(" ")[2] for output in outputs}
    kept = {
        digest_of(prompt)
        for text in texts("w", count)
        for step, prompt in enumerate(prompts_of(text, steps))
        if text in finished or (text, step) in held
    }
    repeated = kept & again[-1]["asked"].keys()
    assert not repeated, f"write {number} failed: calls that were saved were made again"
    for path in folder.glob(store.name + "*"):
        path.unlink()
    return how


def fail_each_write(
    nursery: Nursery, folder: Path, *, count: int, steps: int, in_turn: bool = False
) -> list[str]:
    """Fails every write of a run, in both ways, or `in_turn` in either; gives how the runs ended."""
    most = count_operations(nursery, folder, count=count, steps=steps)

    def one(which: tuple[int, bool]) -> str:
        number, persists = which
        return fail_write(nursery, folder, number, count=count, steps=steps, persists=persists)

    each = [
        (number, persists)
        for number in range(1, most + 1)
        for persists in (False, True)
        if not in_turn or number % 2 == persists
    ]
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(one, each))
