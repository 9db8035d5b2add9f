"""Makes connections: name to addresses, addresses to a socket, through a proxy if there is one, then TLS.

Must not know requests or pools. Its errors name host and port and say what to do.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from flowpool.errors import AddressRefused, ConnectFailed, ConnectTimeout, TooManyFiles
from flowpool.http.proxies import Proxy
from flowpool.http.request import Origin, bracketed
from flowpool.http.tls import tls_failure
from flowpool.logs import log

if TYPE_CHECKING:
    import ssl

_P = TypeVar("_P", bound=asyncio.BaseProtocol)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# Seconds: an address that hasn't answered by then gets a rival. RFC 8305 recommends 250 ms.
_NEXT_ADDRESS_AFTER = 0.25
# Seconds a name's addresses are remembered: a burst of connections asks once, and a host that moves is followed.
_NAMES_KEPT = 10.0
# Names whose addresses are remembered: only a run over pages of many hosts has more, and it asks for each once.
_MOST_NAMES = 1024
# Open files that the process asks for: more connections than any lane's window, and what servers usually allow.
_MOST_FILES = 65_536
# The part of the files it may open that connections leave to the rest of the process, and the most of them: its
# store, its output, its worker processes.
_SPARED_PART, _MOST_SPARED = 8, 16
# What the system's resolver says of a name that nobody knows, and not of one that can't be looked up just now.
_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_PROXY_FIXES = {
    "407": "put user:password@ into HTTPS_PROXY",
    "403": "ask who runs the proxy to allow the host, or list it in NO_PROXY to go there directly",
}
_FULL = (errno.EMFILE, errno.ENFILE)
# Seconds for idle connections to close where no file is left, each time they are asked to.
_ROOM_AFTER = (0.005, 0.02, 0.05)
# Bytes of a proxy's answer to CONNECT: more is no such answer.
_PROXY_HEAD = 64 * 1024


class Way(NamedTuple):
    """Where to connect: an origin, directly or through a proxy."""

    origin: Origin
    proxy: Proxy | None


class Dialer:
    """Connects to origins on one event loop.

    `allow_address(ip)` decides about the address of the origin itself; `resolve(host, port)` gives the
    addresses of a name (default: the system's resolver); `context()` the TLS context; `make_room()` closes
    what can be spared when the process runs out of sockets.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Callable[[], ssl.SSLContext],
        make_room: Callable[[], None],
        allow_address: Callable[[str], bool] | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._loop = loop
        self._context = context
        self._make_room = make_room
        self._allow_address = allow_address
        self._resolve = resolve or self._ask_system
        self._names: dict[tuple[str, int], tuple[float, asyncio.Task[list[str]]]] = {}
        self._has_said_full = False

    async def dial(self, way: Way, make_protocol: Callable[[], _P]) -> _P:
        """A connected protocol. Raises `ConnectFailed`, `AddressRefused` or `ConnectTimeout`."""
        origin, proxy = way
        if origin.is_local:
            return await self._dial_socket(origin, make_protocol)
        addresses = await self._addresses(origin.host, origin.port, way)
        name = f"proxy {proxy.name}" if proxy else origin.name
        if proxy:
            addresses = await self._lookup(proxy.host, proxy.port)
        sock = await self._connect(addresses, proxy.port if proxy else origin.port, name)
        return await self._speak(sock, origin, proxy, make_protocol)

    async def _dial_socket(self, origin: Origin, make_protocol: Callable[[], _P]) -> _P:
        """A protocol connected to a Unix socket of this machine."""
        if self._allow_address is not None:
            raise AddressRefused(f"{origin.name} is a socket of this machine")
        if not hasattr(socket, "AF_UNIX"):
            raise ConnectFailed(
                f"could not connect to {origin.name}: there are no Unix sockets here"
            )
        sock = await self._connect_one(socket.AF_UNIX, origin.host, origin.name)
        return await self._speak(sock, origin, None, make_protocol)

    async def _speak(
        self,
        sock: socket.socket,
        origin: Origin,
        proxy: Proxy | None,
        make_protocol: Callable[[], _P],
    ) -> _P:
        """A protocol on a connected socket, which is closed where that fails."""
        try:
            if proxy and origin.scheme == "https":
                await self._tunnel(sock, origin, proxy)
            return await self._wrap(sock, origin, make_protocol)
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError):
                raise _connect_error(origin.name, error) from None
            raise

    def close(self) -> None:
        for _, task in self._names.values():
            task.cancel()
        self._names.clear()

    async def _wrap(
        self, sock: socket.socket, origin: Origin, make_protocol: Callable[[], _P]
    ) -> _P:
        if origin.scheme == "https":
            _, protocol = await self._loop.create_connection(
                make_protocol, sock=sock, ssl=self._context(), server_hostname=origin.host
            )
        else:
            _, protocol = await self._loop.create_connection(make_protocol, sock=sock)
        return protocol

    # Names and addresses.

    async def _addresses(self, host: str, port: int, way: Way) -> list[str]:
        """The addresses of the origin that may be used; none are needed when a proxy looks them up."""
        allow = self._allow_address
        if allow is None:
            return [] if way.proxy else await self._lookup(host, port)
        # A proxy could reach what may not be reached from here, so its targets are checked all the same.
        addresses = await self._lookup(host, port)
        allowed = [address for address in addresses if allow(address.partition("%")[0])]
        if not allowed or (way.proxy and len(allowed) < len(addresses)):
            raise AddressRefused(
                f"{way.origin.name} is at {addresses[0]}, which is not a public address",
                fix="allow private hosts if you trust this URL",
            )
        return allowed

    async def _lookup(self, host: str, port: int) -> list[str]:
        if _is_address(host):
            return [host]
        now = self._loop.time()
        expires, task = self._names.get((host, port), (0.0, None))
        if task is None or now >= expires:
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            task = self._loop.create_task(self._resolved(host, port))
            task.add_done_callback(_look_at)
            self._names[host, port] = (now + _NAMES_KEPT, task)
        try:
            return list(await asyncio.shield(task))
        except OSError as error:
            if task.done():
                self._names.pop((host, port), None)
            reason = error.strerror or str(error) or "no such name"
            failure = ConnectFailed(
                f"could not find the address of {bracketed(host)}: {reason.lower()}",
                fix="check the host's name and the network",
            )
            failure.of_setup = error.errno in _NO_SUCH_NAME
            raise failure from None

    async def _resolved(self, host: str, port: int) -> list[str]:
        addresses = _interleaved(await self._resolve(host, port))
        if not addresses:
            raise OSError("no such name")
        return addresses

    async def _ask_system(self, host: str, port: int) -> list[str]:
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [_with_scope(entry[4]) for entry in found]

    # Sockets.

    async def _connect(self, addresses: Sequence[str], port: int, name: str) -> socket.socket:
        """The first of `addresses` to connect wins; each gets a head start on the next."""
        if len(addresses) == 1:
            return await self._connect_to(addresses[0], port, name)
        queue = iter(addresses)
        tasks: list[asyncio.Task[socket.socket]] = []
        failure: BaseException | None = None
        winner: asyncio.Task[socket.socket] | None = None
        try:
            pending: set[asyncio.Task[socket.socket]] = set()
            while winner is None:
                address = next(queue, None)
                if address is not None:
                    tasks.append(self._loop.create_task(self._connect_to(address, port, name)))
                    pending.add(tasks[-1])
                elif not pending:
                    assert failure is not None
                    raise failure
                head_start = None if address is None else _NEXT_ADDRESS_AFTER
                done, pending = await asyncio.wait(
                    pending, timeout=head_start, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    if task.exception() is None:
                        winner = winner or task
                    else:
                        failure = failure or task.exception()
            return winner.result()
        finally:
            for task in tasks:
                if task is not winner:
                    task.add_done_callback(_close_result)
                    task.cancel()

    async def _connect_to(self, address: str, port: int, name: str) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return await self._connect_one(family, _sockaddr(address, port), name)

    async def _connect_one(self, family: int, address: Any, name: str) -> socket.socket:
        try:
            sock = await self._new_socket(family)
        except OSError as error:
            raise _connect_error(name, error) from None
        try:
            await self._loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            raise _connect_error(name, error) from None
        except BaseException:
            sock.close()
            raise
        return sock

    async def _new_socket(self, family: int) -> socket.socket:
        sock = _socket_if_room(family) or await self._socket_after_room(family)
        sock.setblocking(False)
        if family not in (socket.AF_INET, socket.AF_INET6):
            return sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):  # answers may take minutes, and routers forget sooner
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        return sock

    async def _socket_after_room(self, family: int) -> socket.socket:
        """A socket once idle connections were closed, or more files were allowed."""
        _raise_file_limit()
        for seconds in _ROOM_AFTER:
            # Anew each time: a connection that was being made meanwhile is idle only now.
            self._make_room()
            await asyncio.sleep(seconds)  # the loop closes in its next turn what was asked to close
            if (sock := _socket_if_room(family)) is not None:
                return sock
        self._say_full()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def _say_full(self) -> None:
        if not self._has_said_full:
            self._has_said_full = True
            log.warning(
                "too many open files: the run goes on with fewer calls at once; "
                "raise the limit for more, as with `ulimit -n 20000`"
            )

    # Proxies.

    async def _tunnel(self, sock: socket.socket, origin: Origin, proxy: Proxy) -> None:
        request = f"CONNECT {origin.name} HTTP/1.1\r\nhost: {origin.name}\r\n"
        if proxy.authorization:
            request += f"proxy-authorization: {proxy.authorization}\r\n"
        await self._loop.sock_sendall(sock, f"{request}\r\n".encode("latin-1"))
        del request  # holds the proxy's password, and tracebacks can show locals
        answer = b""
        while b"\r\n\r\n" not in answer and len(answer) < _PROXY_HEAD:
            data = await self._loop.sock_recv(sock, 4096)
            if not data:
                break
            answer += data
        status = answer.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)[1:]
        if status[:1] and status[0].startswith("2") and b"\r\n\r\n" in answer:
            return
        said = " ".join(status) or "it closed the connection"
        failure = ConnectFailed(
            f"proxy {proxy.name} gave no way to {origin.name}: {said}",
            fix=_PROXY_FIXES.get(status[0] if status else "", ""),
        )
        failure.of_setup = bool(status) and status[0].startswith("4")
        raise failure


def _look_at(task: asyncio.Task[list[str]]) -> None:
    """Marks a failure as seen, for when every call that waited for it has gone."""
    if not task.cancelled():
        task.exception()


def _close_result(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _with_scope(sockaddr: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> str:
    address = str(sockaddr[0])
    if len(sockaddr) == 4 and sockaddr[3] and "%" not in address:
        address += f"%{sockaddr[3]}"
    return address


def _sockaddr(address: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    if ":" not in address:
        return address, port
    address, _, scope = address.partition("%")
    index = int(scope) if scope.isdecimal() else socket.if_nametoindex(scope) if scope else 0
    return address, port, 0, index


def _interleaved(addresses: Sequence[str]) -> list[str]:
    """One of each family in turn, the resolver's first choice first, none twice."""
    unique = list(dict.fromkeys(addresses))
    first = [each for each in unique if (":" in each) == (":" in unique[0])]
    second = [each for each in unique if each not in first]
    paired = [each for pair in zip(first, second, strict=False) for each in pair]
    return paired + first[len(second) :] + second[len(first) :]


def _socket_if_room(family: int) -> socket.socket | None:
    """A socket; None where it would take one of the last files that the process may open."""
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno in _FULL:
            return None
        raise
    most = _most_files()
    if sock.fileno() >= most - min(most // _SPARED_PART, _MOST_SPARED):
        sock.close()
        return None
    return sock


def _most_files() -> float:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return math.inf
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if soft == resource.RLIM_INFINITY else soft


def _raise_file_limit() -> None:
    """Lets the process open as many files as it may without asking anyone."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _connect_error(name: str, error: OSError) -> ConnectFailed | ConnectTimeout:
    refused = tls_failure(name, error)
    if refused is not None:
        return refused
    reason = (error.strerror or str(error) or "the connection was closed").lower()
    fix = ""
    if isinstance(error, ConnectionRefusedError):
        reason, fix = "connection refused", "is the server running?"
    elif isinstance(error, FileNotFoundError):
        reason, fix = "there is no such socket", "is the server running?"
    elif error.errno in _FULL:
        return TooManyFiles(f"could not connect to {name}: too many open files")
    elif error.errno == errno.ETIMEDOUT:
        return ConnectTimeout(f"could not connect to {name}: no reply")
    elif error.errno == errno.EADDRNOTAVAIL:
        fix = "the machine has no free port for it: lower max_flows, or wait a minute"
    return ConnectFailed(f"could not connect to {name}: {reason}", fix=fix)
