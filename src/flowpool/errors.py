"""Every way a run or an item can fail, as types. Each says what to do about it.

`InvalidInput` is raised before anything is paid. A `CallError` is one attempt's failure: `retryable` says
whether trying again can help, `verdict` what it teaches the lane that it came from. Items keep their errors;
only bugs raise.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from pathlib import Path
from typing import Any

from flowpool.usage import NO_USAGE, Usage


class Verdict(Enum):
    """What a failed attempt says about the provider."""

    NONE = "none"  # this call's own fault
    THROTTLE = "throttle"  # too fast: a limit was reached
    OUTAGE = "outage"  # the provider or the way to it is ill; says nothing of limits
    HOPELESS = "hopeless"  # no call through this lane can succeed


class FlowpoolError(Exception):
    """The base of everything flowpool raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # With the parts that it carries, whatever its constructor takes.
        return _rebuild, (type(self), self.__dict__ | {"args": self.args})


def _rebuild(kind: type[FlowpoolError], state: dict[str, Any]) -> FlowpoolError:
    error = kind.__new__(kind, *state["args"])
    error.args = state.pop("args")
    error.__dict__.update(state)
    return error


def message_of(error: BaseException) -> str:
    """What an error says, also where saying it fails."""
    try:
        return str(error)
    except BaseException as another:
        return f"its message can't be read: {type(another).__name__}"


class InvalidInput(FlowpoolError, ValueError):
    """Something the caller wrote can't work. Raised before the first call, with the fix in one line."""


def wrong_separator(columns: Collection[str]) -> str:
    """What to do where the only column is a whole header, as the file is separated otherwise; else empty."""
    only = next(iter(columns)) if len(columns) == 1 else ""
    sign = max(";\t|,", key=only.count)
    if sign not in only:
        return ""
    return f"the file seems to be separated by {sign!r}: say delimiter={sign!r}"


class MissingColumn(InvalidInput):
    """Rows, or an item, have nothing for a variable that a runner needs.

    problem: what is wrong, without what to do about it. column: the variable. columns: what there is. meant: the
    column that is nearly called so, else empty. fix: what to do where the file is read wrongly, else empty.
    """

    problem = column = meant = fix = ""
    columns: tuple[str, ...] = ()

    def __init__(
        self, problem: str, column: str, columns: tuple[str, ...], meant: str, otherwise: str
    ) -> None:
        self.problem = problem
        self.column = column
        self.columns = columns
        self.meant = meant
        self.fix = wrong_separator(columns)
        near = meant and f"if {meant!r} is it, say columns={{{column!r}: {meant!r}}}"
        super().__init__(f"{problem}: {self.fix or near or otherwise}.")


class ConstantPrompt(InvalidInput):
    """A prompt that is the same for every item, each of which would be paid for. problem: that, without the fix."""

    problem = ""

    def __init__(self, source: str, runner: str, variables: tuple[str, ...]) -> None:
        there = ", ".join(f"{{{name}}}" for name in variables)
        self.problem = (
            f"{source}: nothing in the prompt of {runner!r} varies: write a variable into it "
            f"(there are: {there})"
        )
        super().__init__(f"{self.problem}, or say constant_prompt=True to ask all items the same.")


class OutputExists(InvalidInput):
    """A file that is to be written holds something. path: the file. problem: that, without what to do about it."""

    path: Path | str = ""
    problem = ""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self.problem = f"{path} exists"
        super().__init__(
            f"{self.problem}: name another file, or say overwrite=True or append=True."
        )


class CallError(FlowpoolError):
    """One attempt that gave no answer.

    `status` is the HTTP status or None, `retry_after` the seconds the provider asked to wait or None,
    `usage` what the failed call is known to have used, `partial` the text that did arrive, `dimension` the limit
    that refused it, where it says so: "requests", "tokens", "input", "output" or "concurrent". `of_setup` if it
    is what a wrong address, proxy or server gives to all calls: no way to it, or no answer in the API's form.
    """

    retryable = False
    of_setup = False
    dimension: str | None = None
    verdict = Verdict.NONE
    fix = ""

    def __init__(
        self,
        message: str,
        *,
        fix: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str = "",
        usage: Usage = NO_USAGE,
        partial: str = "",
    ) -> None:
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id
        self.usage = usage
        self.partial = partial
        if fix:
            self.fix = fix
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message} ({self.fix})" if self.fix else self.message


# What the provider answered.


class RateLimited(CallError):
    """Too many requests or tokens for now (429)."""

    retryable = True
    verdict = Verdict.THROTTLE


class QuotaExhausted(CallError):
    """The account has no credit, or its quota of a day or longer is used up: asking on is no use.

    `retry_after` is then the seconds until it comes back, None where nobody says.
    """

    verdict = Verdict.HOPELESS
    fix = "raise the quota or add credit at the provider, then retry()"


class AuthFailed(CallError):
    """The key is wrong, or may not use this model (401, 403)."""

    verdict = Verdict.HOPELESS
    fix = "check the API key and what it may use"


class BadRequest(CallError):
    """The provider won't take this request as it is (400, 404, 413, 422)."""


class Overloaded(CallError):
    """The provider is out of capacity (503, 529)."""

    retryable = True
    verdict = Verdict.OUTAGE


class ServerError(CallError):
    """The provider failed (5xx)."""

    retryable = True
    verdict = Verdict.OUTAGE


class Refused(CallError):
    """The model declined to answer."""

    fix = "reword the prompt, or add a fallback model"


class Blocked(CallError):
    """A content filter stopped the prompt or the answer."""

    fix = "reword the prompt, or add a fallback model"


class Truncated(CallError):
    """The answer ended at a token limit; what arrived is in `partial`."""

    fix = "raise max_tokens in the model's options, or shorten the input"


class EmptyReply(CallError):
    """The provider answered without any content."""

    retryable = True


class InvalidReply(CallError):
    """The provider's answer isn't what its API promises: not JSON, or without its fields."""

    retryable = True


class InvalidOutput(CallError):
    """The model's text isn't what `output` asks for, also after it was asked again; it is in `partial`."""

    fix = "say in the prompt what is wanted, raise output_retries, or use a stronger model"


# What happened on the way.


class TransportError(CallError):
    """No whole HTTP answer arrived.

    connect, first_byte: what of its seconds went where: for a connection, and then until the answer began, if it
    did; 0 where the transport can't tell.
    """

    retryable = True
    verdict = Verdict.OUTAGE
    connect = 0.0
    first_byte = 0.0


class ConnectFailed(TransportError):
    """No connection: refused, unreachable, unknown host, or TLS failed."""


class TooManyFiles(ConnectFailed):
    """The process may open no more files or sockets: nothing was sent. The run goes on with fewer calls at once."""

    verdict = Verdict.NONE
    fix = "raise the limit, as with `ulimit -n 20000`, or lower max_flows"


class CertificateRefused(ConnectFailed):
    """The server's certificate can't be trusted."""

    retryable = False
    verdict = Verdict.HOPELESS
    fix = "if your network has its own CA, set SSL_CERT_FILE to its PEM file"


class AddressRefused(TransportError):
    """The host's address may not be connected to: it is private, and nobody allowed that."""

    retryable = False
    verdict = Verdict.NONE


class ConnectTimeout(TransportError):
    """No connection within the connect timeout."""


class ReadTimeout(TransportError):
    """Nothing arrived for the length of the read timeout."""


class AttemptTimeout(TransportError):
    """The attempt took longer than its `timeout`."""


class ConnectionReset(TransportError):
    """The connection closed before the answer began."""


class BodyCut(TransportError):
    """The connection closed in the middle of the answer."""


class BodyTooLarge(TransportError):
    """The answer is longer than the cap."""

    retryable = False
    verdict = Verdict.NONE


class ProtocolError(TransportError):
    """What arrived isn't HTTP."""


# What became of a run's store.


class StoreRefused(InvalidInput):
    """The store can't be used: another process holds it, or it isn't a store of this version. Nothing was paid."""


class StoreFailed(FlowpoolError):
    """The store could not be written any more: the run was ended, and what is in the store is whole.

    items: the store's numbers of the items whose end could not be written, where others could; else None.
    """

    items: frozenset[int] | None = None

    def __init__(self, message: str, items: frozenset[int] | None = None) -> None:
        self.items = items
        super().__init__(message)


# What became of a step or an item.


class StepFailed(FlowpoolError):
    """A function or tool raised; the original exception is `__cause__`."""

    def __init__(self, step: str, cause: BaseException) -> None:
        self.step = step
        super().__init__(f"{step}: {type(cause).__name__}: {message_of(cause)}")
        self.__cause__ = cause

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.step, self.__cause__)


class StepTimeout(FlowpoolError):
    """A function or tool took longer than its step's `timeout`."""


class WorkerDied(FlowpoolError):
    """The process that ran a CPU-bound step ended on the way: out of memory, or a crash in native code."""


class WorkTooLarge(FlowpoolError):
    """A call in a worker process needed more memory, or gave a longer result, than its `caps` allow."""


class InvalidItem(FlowpoolError):
    """An item from a lazy source can't be run: it is no dict, or lacks a variable."""


class NotFinished(FlowpoolError):
    """The item was cancelled, or never started: by Ctrl-C, `cancel()`, a deadline or `on_error`."""


class BudgetSpent(NotFinished):
    """The item needs a call that the run's `max_cost` or `max_tokens_total` has no room for.

    setting: which of them. least: dollars or tokens, with which it would have had room.
    """

    setting = ""
    least = 0.0

    def __init__(self, message: str, setting: str = "", least: float = 0.0) -> None:
        self.setting = setting
        self.least = least
        super().__init__(message)


# What is wrong with data. Each has its parts, so that whoever shows it may word the fix; none has them where it
# was restored from a store, which keeps the message.


class BadRow(InvalidInput):
    """A row of a source that can't be read.

    position: the source and the row's line or number in it, `rows.csv, line 3`. problem: what is wrong with it.
    """

    position = ""
    problem = ""

    def __init__(self, position: str, problem: str) -> None:
        self.position = position
        self.problem = problem
        super().__init__(f"{position}: {problem}")


class UnknownColumn(InvalidInput):
    """A condition names a column that a row doesn't have.

    condition: the words of `where`. column: its name. columns: what there is.
    """

    condition = ""
    column = ""
    columns: tuple[str, ...] = ()

    def __init__(self, condition: str, column: str, columns: tuple[str, ...]) -> None:
        self.condition = condition
        self.column = column
        self.columns = columns
        there = ", ".join(columns) or "none"
        fix = wrong_separator(columns)
        super().__init__(
            f"where={condition!r}: there is no column {column!r} (there are: {there}){fix and ': ' + fix}."
        )


class UnreadableDocument(InvalidInput):
    """A file that no text can be had of. name: the file's. problem: what is wrong with it."""

    name = ""
    problem = ""

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        self.problem = problem
        super().__init__(f"{name}: {problem}")
