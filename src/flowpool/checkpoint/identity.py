"""What a run's plan, its steps, their calls and its items are, with the content of the files that they name.

Functions and a prompt's own files are looked at once a run, in a thread, as are the files that items name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Set
from functools import cached_property
from typing import Any, TypeVar

from flowpool.chain import Step
from flowpool.checkpoint import earlier, fingerprint
from flowpool.checkpoint.file_contents import FileContents
from flowpool.encoding import CantEncode, digest
from flowpool.errors import FlowpoolError, InvalidInput
from flowpool.plan import Plan
from flowpool.threads import DaemonThreads

# Threads that read files: disks answer a few at a time.
READERS = 4
Contents = tuple[bytes | None, ...]
T = TypeVar("T")


class Identity:
    """What a run is made of.

    shared: the variables of all items. version: what was said by hand, or None.

    steps: tell each step's definition from others; `earlier_steps` as flowpool 0.1.0 wrote it.
    """

    def __init__(
        self, plan: Plan, shared: Mapping[str, Any], version: str | int | None = None
    ) -> None:
        self._plan = plan
        self._shared = shared
        self._files = FileContents()
        self._threads: DaemonThreads | None = None
        versions = () if version is None else (version,)
        self.steps = fingerprint.of_steps(plan, self._files.of, versions)
        self.earlier_steps = {step: earlier.of_step(plan, step) for step in self.steps}
        # What is said by hand is another thing than whatever an earlier version wrote down.
        self.is_versioned = bool(versions) or fingerprint.has_versions(plan)
        self._readers = {step for step in self.steps if fingerprint.names_files(step)}
        self._same: dict[Step, list[bytes]] = {}  # a step's earlier definitions, of the same work

    @cached_property
    def plan(self) -> bytes:
        """Tells the run's definition from others. Raises `InvalidInput` for shared variables that can't be kept."""
        try:
            ordered = fingerprint.in_order(self._shared)
            return digest(fingerprint.of_plan(self._plan, self.steps), ordered)
        except CantEncode as error:
            raise InvalidInput(f"run(variables=...): {error} can't be kept in a store.") from None

    @cached_property
    def plans(self) -> frozenset[bytes]:
        """The same, and as flowpool 0.1.0 wrote it."""
        if self.is_versioned:
            return frozenset((self.plan,))
        return frozenset((self.plan, digest(earlier.of_plan(self._plan), dict(self._shared))))

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    def knows(self, same: Iterable[tuple[bytes, bytes]]) -> None:
        """Pairs of a definition, and of an earlier version's of what was the same then."""
        for definition, before in same:
            for step, own in self.steps.items():
                if own == definition and before not in self._same.setdefault(step, []):
                    self._same[step].append(before)

    @property
    def names_files(self) -> bool:
        """Whether items may name files."""
        return bool(self._readers)

    async def files_of(self, item: Any) -> Contents:
        """The contents of the files that an item names."""
        if not self._readers or not isinstance(item, Mapping):
            return ()
        return await self._in_thread(lambda: self.read_files_of(item))

    def read_files_of(self, item: Mapping[str, Any]) -> Contents:
        """The same, on the caller's thread."""
        if not self._readers:
            return ()
        variables = {**self._shared, **item}
        return self._files.of_all(fingerprint.files_of_item(self._plan, variables))

    async def calls(
        self, step: Step, variables: Mapping[str, Any], made: Set[str]
    ) -> tuple[bytes, ...]:
        """What tells a step's call from others: as it is written now, then as it may stand in a store; empty where
        nothing can tell. made: the variables that came out of a step."""
        contents: Contents = ()
        if step in self._readers:
            contents = await self._in_thread(lambda: self._read_call(step, variables, made))
        definition = self.steps[step]
        call = fingerprint.of_call(step, definition, variables, contents)
        if call is None:
            return ()
        before = self._same.get(step, [])
        if definition == self.earlier_steps[step]:
            before = [definition]
        found = (call, *self._earlier_calls(step, before, variables))
        return tuple(dict.fromkeys(found))

    def _earlier_calls(
        self, step: Step, definitions: Iterable[bytes], variables: Mapping[str, Any]
    ) -> list[bytes]:
        if not definitions:
            return []
        given = fingerprint.given(step, variables)
        return [earlier.of_call(definition, given) for definition in definitions]

    def _read_call(self, step: Step, variables: Mapping[str, Any], made: Set[str]) -> Contents:
        try:
            return self._files.of_all(fingerprint.files_of_call(step, variables, made))
        except FlowpoolError:  # the call itself will tell
            return ()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._threads is None:
            self._threads = DaemonThreads("flowpool-contents", READERS)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


async def identify(
    plan: Plan, shared: Mapping[str, Any], version: str | int | None = None
) -> Identity:
    """The identity of a run that begins, found in a thread: code is parsed for it, and files are read."""
    threads = DaemonThreads("flowpool-identity", 1)
    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, Identity, plan, shared, version)
    finally:
        threads.shutdown(wait=False)
