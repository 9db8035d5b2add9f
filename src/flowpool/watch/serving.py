"""`pool.watch()` and `Pool(..., watch=True)`: a pool's runs on a page that its own process serves."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from html import escape
from typing import Any
from weakref import WeakKeyDictionary, finalize

from flowpool.control.messages import Request
from flowpool.control.server import carry_out
from flowpool.printable import printable
from flowpool.run.session import Session
from flowpool.watch.pool_source import PoolSource
from flowpool.watch.server import PageServer


class PageAddress(str):
    """Where a page is. In a notebook it is a link."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        address = escape(self, quote=True)
        return f'<a href="{address}" target="_blank" rel="noopener noreferrer">{address}</a>'


_served: WeakKeyDictionary[Session, PageServer] = WeakKeyDictionary()


def serve(session: Session, opens: bool = False) -> PageAddress:
    """The page's address; the same one each time. It is served as long as the session is held by anybody."""
    server = _served.get(session)
    if server is None:
        server = _served[session] = PageServer(PoolSource(session, obey))
        finalize(session, _close, server).atexit = False
    address = PageAddress(server.address)
    if opens:
        with suppress(OSError):  # no room for a file that leads there: the address is said
            server.open()
    return address


def _close(server: PageServer) -> None:
    """Closes it without waiting for that: the collector calls this in whatever thread it is in."""
    threading.Thread(target=server.close, name="flowpool-watch-end", daemon=True).start()


def announce(session: Session) -> None:
    """Serves the page and says where, once. A run that can't be watched goes on."""
    if session in _served:
        return
    try:
        words = f"Watch it at {serve(session)}"
    except OSError as error:
        words = f"It can't be watched: {error.strerror}."
    with suppress(OSError, ValueError):  # nobody reads it
        print(f"{printable(session.name)}: {words}", file=sys.stderr, flush=True)


def obey(session: Session, what: Any, values: dict[str, Any]) -> str:
    """Has a run of this process do what an order says; what was done, in words. Raises `InvalidInput`."""
    return carry_out(Request("", what, None, values), session)


def _forget_all() -> None:
    for server in _served.values():
        server.forget()
    _served.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
