"""A pool's store: which of its runs is the pool's, opened for each run, and looked into in between."""

from __future__ import annotations

import os
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from msgspec import structs

from flowpool.calls.budget import Spend
from flowpool.checkpoint.identity import Identity
from flowpool.checkpoint.journal import Journal, JournalOptions, spent_in
from flowpool.checkpoint.keys import Key, identity_of
from flowpool.checkpoint.output_codec import restored_or_plain
from flowpool.data.rows import Rows, read_again
from flowpool.encoding import decode, encode
from flowpool.errors import InvalidInput, StoreRefused
from flowpool.folders import Folders, local_path
from flowpool.logs import log
from flowpool.pipeline import build
from flowpool.plan import Plan
from flowpool.results import CallCost, Record
from flowpool.settings import Settings
from flowpool.store.claims import ItemMatcher
from flowpool.store.damage import refuses_damage
from flowpool.store.file import Store, open_store
from flowpool.store.reading import Reader
from flowpool.store.rows import RunInfo
from flowpool.values import Status


class StoredItems:
    """The items that a run of a store has, in their order: read anew each time they are asked for."""

    def __init__(self, path: Path, run: int) -> None:
        self.path = path
        self.run = run

    def __iter__(self) -> Iterator[Any]:
        with Reader(self.path) as reader:
            yield from reader.variables(self.run)


class Checkpoint:
    """Where a pool's run is kept.

    loaded: the store's run, where the pool was loaded from there; else its name and definition tell which it is.
    is_named: the pool was given its name. Else it has its runner's, and a runner's new name is the same run.
    """

    def __init__(
        self,
        path: str | Path,
        runner: Any,
        name: str,
        key: Key | None = None,
        loaded: RunInfo | None = None,
        *,
        is_named: bool = True,
    ) -> None:
        if not isinstance(path, (str, Path)) or not str(path):
            raise InvalidInput(f"store={path!r}: name a file, such as 'run.db'.")
        if str(path) == ":memory:" or "://" in str(path) or str(path).startswith("file:"):
            raise InvalidInput(
                f"store={str(path)!r} is no file's path: name one, such as 'run.db'; without a store a run is in "
                "memory alone."
            )
        if key is not None and not isinstance(key, str) and not callable(key):
            raise InvalidInput(f"key={key!r}: use a variable's name, or a function of the item.")
        self.path = local_path(path)
        self._runner = runner
        self._name = name
        self._key = key
        self._is_named = is_named
        self._is_loaded = loaded is not None
        self._run = None if loaded is None else loaded.id
        self._output = ""  # the file that the run is written to, as the store names it
        self.variables: Mapping[str, Any] = {}  # shared values that a loaded run has
        if loaded is not None:
            self.variables = loaded.settings.get("variables") or {}

    @property
    def run(self) -> int | None:
        """The number of its run in the store; None before its first."""
        return self._run

    def written_to(self, path: str | Path) -> None:
        """Keeps with the run which file its rows go to."""
        self._output = output_name(path, self.path)

    @contextmanager
    def open(
        self,
        plan: Plan,
        items: Any,
        shared: Mapping[str, Any],
        settings: Settings,
        identity: Identity,
        *,
        retry_failed: bool,
    ) -> Iterator[Journal]:
        """The journal of a run that begins. Raises `StoreRefused` when the store can't be used."""
        in_memory = isinstance(items, Sequence) and not isinstance(items, str)
        options = JournalOptions(
            self._runner,
            identity,
            items=items if in_memory else None,
            key=self._key,
            in_order=isinstance(items, StoredItems),
            retry_failed=retry_failed,
            is_whole=not (isinstance(items, Rows) and items.is_sample),
            keeps_steps=settings.remembers_steps(is_single=plan.is_single),
        )
        with open_store(self.path) as store, Reader(self.path) as reader:
            _bring_up_to_date(store, reader.runs(), identity)
            if not self._is_loaded:
                self._begin(store, reader.runs(), items, shared, settings, identity)
            assert self._run is not None
            with store.at_work(self._run):
                runs = reader.runs()
                info = next(run for run in runs if run.id == self._run)
                identity.knows(pair for run in runs for pair in run.same_definitions)
                yield Journal(store, reader, info, _priors(info, runs), options)

    def _begin(
        self,
        store: Store,
        runs: Sequence[RunInfo],
        items: Any,
        shared: Mapping[str, Any],
        settings: Settings,
        identity: Identity,
    ) -> None:
        """The run, known or new, is the pool's from here on."""
        known = find_run(runs, self._name, identity, is_named=self._is_named)
        if known is not None and known.name != self._name:
            store.change_run(known.id, self._name, known.fingerprint, known.steps)
        outputs = set() if known is None else set(map(str, known.outputs))
        kept = {
            "variables": dict(shared),
            "outputs": sorted(outputs | ({self._output} - {""})),
            "named": self._is_named,
            **settings.stored(),
        }
        columns = self._columns(items, kept, _definitions(identity, known))
        log.info("%s: kept in the store %s", self._name, self.path)
        self._run = store.begin_run(self._name, identity.plan, columns, time.time()).id

    def records(self) -> list[Record]:
        """What the store has of the run; nothing before its first. Warns of answers that their types refuse now."""
        if self._run is None or not self.path.exists():
            return []
        refused: Counter[str] = Counter()
        with Reader(self.path) as reader:
            records = [
                structs.replace(
                    record, output=restored_or_plain(self._runner, record.output, refused)
                )
                if record.status is Status.DONE
                else record
                for record in reader.records(self._run, typed=True)
            ]
        for kind, count in refused.items():
            words = "answer of type {} does" if count == 1 else "answers of type {} do"
            warnings.warn(
                f"{self.path}: {count} kept {words.format(kind)} not fit it any more: plain data stands for them; "
                "run the pool to ask again.",
                RuntimeWarning,
                stacklevel=2,
            )
        return records

    def counts(self) -> list[int]:
        """How many of the run's items the store has by status."""
        if self._run is None:
            return [0] * len(Status)
        with Reader(self.path) as reader:
            return list(reader.counts(self._run).values())

    def spent(self) -> tuple[Spend, list[CallCost]]:
        """What the store's run has spent, and what of it for items that it has to do."""
        if self._run is None:
            return Spend(), []
        with Reader(self.path) as reader:
            return spent_in(reader, self._run), reader.unfinished(self._run, retry_failed=False)

    def known(self, identity: Identity, rows: Rows, *, retry_failed: bool = False) -> int:
        """How many of the rows have ended in the store, and wouldn't be asked again."""
        if not self.path.exists() or not self.path.stat().st_size:
            return 0
        with Reader(self.path) as reader:
            run = self._run
            if run is None and (
                found := find_run(reader.runs(), self._name, identity, is_named=self._is_named)
            ):
                run = found.id
            if run is None:
                return 0
            over = (Status.DONE,) if retry_failed else (Status.DONE, Status.FAILED)
            matcher, count = ItemMatcher(run, reader.last_item(run)), 0
            for item in rows:
                if isinstance(item, Mapping):
                    files = identity.read_files_of(item) if self._key is None else ()
                    known = matcher.claim(identity_of(item, self._key, files), reader)
                    count += (
                        known is not None and known.ended is not None and known.ended[0] in over
                    )
            return count

    def _columns(self, items: Any, kept: dict[str, Any], steps: list[str]) -> dict[str, Any]:
        """What is written down of the run itself, so that the store alone can go on with it."""
        text, obstacle = None, None
        try:
            text = encode(build.describe(self._runner)).decode()
        except InvalidInput as error:
            obstacle = str(error)
        source = None
        if isinstance(items, Rows) and items.description is not None:
            source = encode(items.description).decode()
        return {
            "definition": text,
            "obstacle": obstacle,
            "source": source,
            "settings": encode(kept).decode(),
            "steps": " ".join(steps),
        }


def output_name(output: str | Path, store: Path) -> str:
    """An output's path from its store's folder, so that both may be moved together."""
    whole = local_path(output).resolve()
    try:
        return os.path.relpath(whole, store.parent.resolve())
    except ValueError:  # on another drive
        return str(whole)


def pick_run(path: str | Path, name: str | None) -> RunInfo:
    """The run of this name in a store, or its only one; raises `InvalidInput` that lists them otherwise."""
    with Reader(path) as reader:
        runs = reader.runs()
    if not runs:
        raise StoreRefused(f"{path}: no runs in it.")
    chosen = [run for run in runs if name in (None, run.name, str(run.id))]
    if len(chosen) == 1:
        return chosen[0]
    listed = ", ".join(f"{run.id} ({run.name})" for run in runs)
    if not chosen:
        raise InvalidInput(f"{path}: no run {name!r}: it has {listed}.")
    raise InvalidInput(f"{path} holds several runs: name one of {listed} by its number.")


def restored_runner(path: str | Path, run: RunInfo, allowed: Folders | None) -> Any:
    """A run's runner by its definition in the store; raises `InvalidInput` where it has none.

    allowed: the folders that what isn't trusted is kept to; None trusts the store.
    """
    if run.definition is None:
        raise InvalidInput(f"{path}: {run.obstacle} Pass it: Pool.load({str(path)!r}, runner).")
    try:
        with refuses_damage(path) if allowed is not None else nullcontext():
            return build.build(decode(run.definition.encode()), allowed)
    except StoreRefused:
        raise
    except InvalidInput as error:
        raise InvalidInput(f"{path}, run {run.name!r}: {error}") from None


def restored_items(path: str | Path, run: RunInfo, allowed: Folders | None) -> Any:
    """A run's items: what they were read from, or what the store has of them. allowed: as in `restored_runner`."""
    if run.source is not None and not run.complete:
        try:
            with refuses_damage(path) if allowed is not None else nullcontext():
                return read_again(run.source, allowed)
        except StoreRefused:
            raise
        except InvalidInput as error:
            raise InvalidInput(f"{path}, run {run.name!r}: {error}") from None
    return StoredItems(local_path(path), run.id)


def find_run(
    runs: Iterable[RunInfo], name: str, identity: Identity, *, is_named: bool
) -> RunInfo | None:
    """The run of this name and definition; where nobody named it, also one of another name that nobody gave."""
    same = [run for run in runs if run.fingerprint in identity.plans]
    found = next((run for run in same if run.name == name), None)
    if found is None and not is_named:
        found = next((run for run in same if not run.is_named), None)
    return found


def _bring_up_to_date(store: Store, runs: Sequence[RunInfo], identity: Identity) -> None:
    """Has runs that an earlier version wrote know this plan and its steps as they are now: from here on, changes
    that it didn't see are seen."""
    if identity.is_versioned:
        return
    now = {identity.earlier_steps[step].hex(): own.hex() for step, own in identity.steps.items()}
    taken = {run.name for run in runs if run.fingerprint == identity.plan}
    for run in runs:
        is_whole = run.fingerprint in identity.plans and run.name not in taken
        steps = [f"{now[one]}:{one}" if now.get(one, one) != one else one for one in run.steps]
        plan = identity.plan if is_whole else run.fingerprint
        if (plan, tuple(steps)) != (run.fingerprint, run.steps):
            store.change_run(run.id, run.name, plan, steps)


def _definitions(identity: Identity, known: RunInfo | None) -> list[str]:
    """The steps' definitions, with what an earlier version wrote of them where the run is one of its own."""
    before = {} if known is None else known.definitions
    steps = (own.hex() for own in identity.steps.values())
    return [f"{step}:{before[step]}" if before.get(step) else step for step in steps]


def _priors(run: RunInfo, runs: list[RunInfo]) -> list[RunInfo]:
    """The runs whose steps may be of use: those with steps in common, the run's namesakes and the latest first."""
    steps = run.definitions.keys()
    others = [one for one in runs if one.id != run.id and steps & one.definitions.keys()]
    return sorted(others, key=lambda one: one.name != run.name)
