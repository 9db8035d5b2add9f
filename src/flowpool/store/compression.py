"""How a value's JSON stands in two columns: as text while short, for any reader, else as a zstd frame."""

from __future__ import annotations

import sys
from functools import partial

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Bytes: below it a frame saves little, and text can be read in any SQLite browser.
SHORT = 256
# The fastest: answers are packed as they come, on the CPU that the run needs.
LEVEL = 1

# Bytes: no value is meant to be so large, and a few hundred of a hostile frame may ask for any number.
LARGEST = 1 << 30

Columns = tuple[str | None, bytes | None]


class Packer:
    """Packs values for one thread: a compressor is reused between them."""

    def __init__(self) -> None:
        compressor = zstd.ZstdCompressor(level=LEVEL)
        self._compress = partial(compressor.compress, mode=compressor.FLUSH_FRAME)

    def pack(self, json: bytes | None) -> Columns:
        """The two columns for a value's JSON, of which one is None; both for no value."""
        if json is None:
            return None, None
        return (json.decode(), None) if len(json) < SHORT else (None, self._compress(json))


def unpack(text: str | None, frame: bytes | None) -> bytes:
    """The JSON that was packed.

    >>> unpack(*Packer().pack(b"[" + b"1," * 500 + b"1]")) == b"[" + b"1," * 500 + b"1]"
    True
    """
    if frame is not None:
        return _whole(frame)
    return b"null" if text is None else text.encode()


def _whole(frame: bytes) -> bytes:
    """A frame's content; raises `ValueError` for one that is none, or of which nobody knows the end."""
    reading = zstd.ZstdDecompressor()
    try:
        content = reading.decompress(frame, max_length=LARGEST)
    except (zstd.ZstdError, MemoryError, TypeError) as error:
        raise ValueError(f"no zstd frame: {error}") from None
    if not reading.eof:
        raise ValueError(f"a zstd frame that is cut, or holds more than {LARGEST:,} bytes")
    return content
