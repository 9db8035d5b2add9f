"""Files as streams of bytes, plain or packed by gzip or Zstandard as their ending says."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from flowpool.errors import InvalidInput

if TYPE_CHECKING:
    from flowpool.data.urls import Url

GZIP, ZSTD = ".gz", ".zst"
PACKED = (GZIP, ZSTD)


def unpacked_name(path: Path | Url) -> str:
    """The file's name in lower case, without .gz or .zst."""
    name = path.name.lower()
    for ending in PACKED:
        name = name.removesuffix(ending)
    return name


def open_to_read(path: Path | Url) -> BinaryIO:
    """The file's content. Raises `InvalidInput` if it can't be opened."""
    ending = path.suffix.lower()
    try:
        source = path if isinstance(path, Path) else path.open()
        if ending == GZIP:
            return cast(BinaryIO, io.BufferedReader(gzip.open(source)))
        if ending == ZSTD:
            return cast(BinaryIO, io.BufferedReader(zstd().open(source)))
        return path.open("rb") if isinstance(path, Path) else cast(BinaryIO, source)
    except OSError as error:
        raise InvalidInput(f"{path}: can't be read: {error.strerror}.") from None


def unpacking_errors() -> tuple[type[Exception], ...]:
    """What reading a damaged packed file raises."""
    return (gzip.BadGzipFile, zlib.error, EOFError, zstd().ZstdError)


def zstd() -> Any:
    """The module for Zstandard, which is in the standard library from Python 3.14 on."""
    try:
        from compression import zstd as module  # type: ignore[import-not-found]
    except ImportError:
        from backports import zstd as module
    return module
