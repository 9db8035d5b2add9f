"""The keys of a pass over the items: each stands for one item only, or answers would be mixed up."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from flowpool.checkpoint import fingerprint
from flowpool.checkpoint.identity import Contents
from flowpool.encoding import CantEncode
from flowpool.errors import InvalidInput, InvalidItem

Key = str | Callable[[Any], Any]
# Characters of a key that a message shows.
_SHOWN = 60


def hash_of(key: Key, item: Mapping[str, Any]) -> bytes:
    """What tells the item from others; raises `InvalidItem` for one that lacks its key, or `CantEncode`."""
    return fingerprint.of_key(_value(key, item))


def identity_of(item: Mapping[str, Any], key: Key | None, files: Contents = ()) -> bytes:
    """What tells an item from others: its key or, without one, all of it. Raises `InvalidItem`.

    files: the contents of the files that it names.
    """
    try:
        return fingerprint.of_item(item, files) if key is None else hash_of(key, item)
    except CantEncode as error:
        raise InvalidItem(
            f"{error} can't be kept in a store: pass text, numbers, bytes, or a key= that tells items apart"
        ) from None


class Keys:
    """Which item had a key first. Takes the same memory for any number of items."""

    def __init__(self, key: Key) -> None:
        self._key = key
        # A temporary file, of which SQLite keeps 2 MB in memory; the thread that closes it may be another.
        self._seen = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._seen.close)
        self._seen.execute("pragma journal_mode = off")
        self._seen.execute("create table seen (hash blob primary key, item integer) without rowid")

    def add(self, hash: bytes, item: Mapping[str, Any], index: int) -> None:
        """An item has this hash. Raises `InvalidItem`, naming both, where an earlier one has it too."""
        if self._seen.execute("insert or ignore into seen values (?, ?)", (hash, index)).rowcount:
            return
        [(first,)] = self._seen.execute("select item from seen where hash = ?", (hash,))
        if first != index:
            shown = repr(_value(self._key, item))
            shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
            name = "key=" if callable(self._key) else f"key={self._key!r}:"
            raise InvalidItem(
                f"{name} items[{first}] and items[{index}] both have {shown}: use a key that no two items share"
            )

    def check(self, item: Any, index: int) -> None:
        """Raises `InvalidInput` for an item that is read ahead of the run and has no key of its own."""
        if not isinstance(item, Mapping):
            return
        try:
            self.add(hash_of(self._key, item), item, index)
        except (InvalidItem, CantEncode) as error:
            raise InvalidInput(f"{error}.") from None


def _value(key: Key, item: Mapping[str, Any]) -> Any:
    if callable(key):
        return key(item)
    if key not in item:
        raise InvalidItem(f"no {key!r}, which key={key!r} tells items apart by")
    return item[key]
