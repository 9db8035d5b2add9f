"""Files that are added to, plain or packed: what is written to them is whole or not there."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from flowpool.data.compression import GZIP, PACKED, zstd
from flowpool.errors import InvalidInput

# Seconds that a packed file may keep its rows to itself: a kill loses no more, and flushing each row would undo the
# compression.
_FLUSH_EVERY = 1.0


class ByteSink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes) -> None:
        """All of it, or `OSError` and none of it."""
        ...

    def close(self) -> None: ...


def open_to_append(path: Path) -> ByteSink:
    """The file, packed as its ending says. Raises `InvalidInput` if it can't be written."""
    ending = path.suffix.lower()
    plain = PlainSink(path)
    return PackedSink(plain, ending) if ending in PACKED else plain


class PlainSink:
    """A file that is written through to the system. What was written in part when it failed is taken back."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise InvalidInput(f"{path}: can't be written: {error.strerror}.") from None

    def write(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:] if written else data)
        except OSError:
            if written:
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class PackedSink:
    """A member of gzip or a frame of Zstandard, added to the file; what it holds back is written each second."""

    def __init__(
        self, sink: ByteSink, ending: str, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._sink = sink
        self._now = now
        self._flushed = now()
        if ending == GZIP:
            self._packer: Any = zlib.compressobj(wbits=31)
            self._flush_mode = zlib.Z_SYNC_FLUSH
        else:
            self._packer = zstd().ZstdCompressor()
            self._flush_mode = self._packer.FLUSH_BLOCK

    def write(self, data: bytes) -> None:
        packed: bytes = self._packer.compress(data)
        if (now := self._now()) - self._flushed >= _FLUSH_EVERY:
            self._flushed = now
            packed += self._packer.flush(self._flush_mode)
        if packed:
            self._sink.write(packed)

    def close(self) -> None:
        try:
            self._sink.write(self._packer.flush())
        finally:
            self._sink.close()


def replaced(path: Path, fill: Callable[[ByteSink], None]) -> None:
    """Has `fill` write the file anew, and replaces the old one by it once it is whole."""
    beside = path.with_name(f".{path.name}.new{path.suffix}")
    beside.unlink(missing_ok=True)
    sink = open_to_append(beside)
    try:
        fill(sink)
        sink.close()
        os.replace(beside, path)
    finally:
        sink_closed(sink)
        beside.unlink(missing_ok=True)


def sink_closed(sink: ByteSink) -> None:
    """Closes a sink that may have been closed."""
    inner = sink._sink if isinstance(sink, PackedSink) else sink
    inner.close()
