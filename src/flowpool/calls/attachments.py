"""The images and files of a run's prompts: read in a few threads, and no more held at once than fits."""

from __future__ import annotations

import asyncio
import base64
import os
import stat
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import PurePath
from typing import TypeVar

from flowpool.attachments import MAX_BYTES, Attachment, check_type, shown, type_of
from flowpool.errors import InvalidInput, InvalidItem
from flowpool.folders import check_beneath, folders
from flowpool.skill import Skill
from flowpool.threads import DaemonThreads
from flowpool.values import Media, Text

# Threads that read files: disks answer a few at a time.
READERS = 4
# Bytes of files held at once: a request holds each about three times, so this is some 400 MB of memory.
MOST_HELD = 128_000_000

A = TypeVar("A")
T = TypeVar("T")
Parts = tuple[Text | Media | Attachment, ...]
ReadParts = tuple[Text | Media, ...]


class ByteBudget:
    """So many bytes; who finds too few free waits for them in turn."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> int:
        """Waits for the bytes; returns how many to give back. More than there are is all of them."""
        size = min(size, self.size)
        if self.free >= size and not self._waiting:
            self.free -= size
            return size
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(size)  # its turn came in the same moment
            else:
                self._waiting.remove((size, turn))
                self._serve()
            raise
        return size

    def give(self, size: int) -> None:
        self.free += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.free:
            size, turn = self._waiting.popleft()
            self.free -= size
            turn.set_result(None)


class AttachmentReader:
    """Reads attachments for the calls of a run. What is the same for every item is read once."""

    def __init__(self, room: ByteBudget | None = None) -> None:
        self._room = room or ByteBudget(MOST_HELD)
        self._threads: DaemonThreads | None = None
        self._loop = asyncio.get_running_loop()
        self._literal: set[Attachment] = set()
        self._kept: dict[Attachment, asyncio.Future[Media]] = {}

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    def prepare(self, skill: Skill) -> None:
        """Raises `InvalidInput` for a file of the prompt itself that isn't there or can't be sent."""
        for attachment in skill.attachments:
            if attachment.is_literal:
                try:
                    rendered = attachment.render({})
                    if isinstance(rendered, Attachment):
                        size_of(rendered)
                        self._literal.add(rendered)
                except InvalidItem as error:
                    raise InvalidInput(f"{skill.name!r}: {error}") from None

    @asynccontextmanager
    async def read(self, messages: Sequence[Parts]) -> AsyncIterator[list[ReadParts]]:
        """The messages' parts with their files' contents, which take up room until this is left.

        Raises `InvalidItem` for what can't be read or sent.
        """
        own = [part for part in _attachments(messages) if not self._is_literal(part)]
        held = 0
        try:
            if own:
                held = await self._room.take(await self._in_thread(_total, own))
            yield [await self._read_parts(parts) for parts in messages]
        finally:
            if held:
                self._room.give(held)

    def _is_literal(self, part: Attachment) -> bool:
        return bool(self._literal) and part in self._literal

    async def _read_parts(self, parts: Parts) -> ReadParts:
        read = [await self._read(p) if isinstance(p, Attachment) else p for p in parts]
        return tuple(read)

    async def _read(self, attachment: Attachment) -> Media:
        if not self._is_literal(attachment):
            return await self._in_thread(read_file, attachment)
        if attachment not in self._kept:
            self._kept[attachment] = self._in_thread(read_file, attachment)
        return await asyncio.shield(self._kept[attachment])

    def _in_thread(self, work: Callable[[A], T], argument: A) -> asyncio.Future[T]:
        if self._threads is None:
            self._threads = DaemonThreads("flowpool-files", READERS)
        return self._loop.run_in_executor(self._threads, work, argument)


def _attachments(messages: Iterable[Parts]) -> list[Attachment]:
    return [part for parts in messages for part in parts if isinstance(part, Attachment)]


def _total(attachments: list[Attachment]) -> int:
    return sum(map(size_of, attachments))


# From disk, each up to a size. Blocks: called in threads.


def size_of(attachment: Attachment) -> int:
    """How many bytes it has; raises `InvalidItem` for a file that isn't there, is none, or is too large."""
    source = attachment.source
    if isinstance(source, PurePath):
        _check_root(attachment, source)
        try:
            found = os.stat(source)
        except (OSError, ValueError) as error:
            raise _unreadable(attachment, error) from None
        if not stat.S_ISREG(found.st_mode):
            raise InvalidItem(f"{attachment.kind} {shown(source)}: is no file.")
        size = found.st_size
    else:
        size = len(source)
    if size > MAX_BYTES:
        raise InvalidItem(
            f"{attachment.kind} {shown(source)}: has {size:,} bytes; at most {MAX_BYTES:,} are sent."
        )
    if not size:
        raise InvalidItem(f"{attachment.kind} {shown(source)}: is empty.")
    return size


def read_file(attachment: Attachment) -> Media:
    """The image or file with its content; raises `InvalidItem` for what can't be read or sent."""
    source = attachment.source
    ending = name = ""
    size_of(attachment)
    if isinstance(source, PurePath):
        ending, name = source.suffix, source.name
        try:
            with open(source, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise _unreadable(attachment, error) from None
    else:
        data = source
    media_type = attachment.media_type or type_of(data, ending)
    check_type(attachment, media_type)
    name = attachment.name or ("" if attachment.kind == "image" else name)
    return Media(media_type, base64.b64encode(data).decode("ascii"), name=name)


def _check_root(attachment: Attachment, path: PurePath) -> None:
    root = attachment.root
    if root is None:
        return
    allowed = root if isinstance(root, tuple) else folders(root)
    try:
        check_beneath(path, allowed, is_trusted=not isinstance(root, tuple))
    except InvalidInput as error:
        raise InvalidItem(f"{attachment.kind} {error}") from None


def _unreadable(attachment: Attachment, error: Exception) -> InvalidItem:
    why = getattr(error, "strerror", None) or str(error)
    missing = isinstance(error, FileNotFoundError)
    return InvalidItem(
        f"{attachment.kind} {shown(attachment.source)}: {'no such file' if missing else why}."
    )
