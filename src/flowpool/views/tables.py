"""Results, records, lanes and snapshots as a notebook shows them: tables of the first rows, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any

from flowpool.attachments import brief
from flowpool.errors import message_of
from flowpool.pool import LaneView, Snapshot
from flowpool.printable import printable
from flowpool.record import SHOWN_CHARACTERS, SHOWN_ITEMS, CallCost, short
from flowpool.results import Record, Results
from flowpool.structured import fields_of
from flowpool.values import Status
from flowpool.views.notebook import BOX, RED, as_html
from flowpool.views.words import about, duration, end_text, lane_words, progress_text

# Columns of an item's variables, and of an answer's fields: more don't fit beside each other.
MOST_COLUMNS = 6
_CELL = "text-align:left;vertical-align:top;padding:.15em .8em .15em 0;max-width:30em;overflow-wrap:anywhere"
# Cells of so few characters aren't broken, however narrow the table.
SHORT = 16
Row = Mapping[str, Any]


def as_table(shown: Sequence[Any]) -> str:
    """A list of outputs, records or lanes."""
    first = list(islice(shown, SHOWN_ITEMS))
    if isinstance(shown, Results):
        records = shown.records[:SHOWN_ITEMS]
        # What was put into the list, or taken out, is no longer what its records say.
        rows = [_output_row(*pair) for pair in zip(first, records, strict=False)]
        return _table(f"{len(shown):,} outputs{_missing(shown)}", rows, len(shown))
    if isinstance(next(iter(first), None), LaneView):
        return _table(f"{len(shown):,} lanes", [_lane_row(lane) for lane in first], len(shown))
    return _table(f"{len(shown):,} records", [_record_row(one) for one in first], len(shown))


def of_snapshot(now: Snapshot) -> str:
    """A run as its progress is shown."""
    return as_html(progress_text("", now, now.lanes))


def of_pool(name: str, now: Snapshot) -> str:
    """The same with the pool's name; as its end is shown, where it is over."""
    if now.ended and not now.running and (now.stopped or not now.left):
        return as_html(end_text(name, now))
    return as_html(progress_text(name, now, now.lanes))


def of_record(record: Record) -> str:
    """A record: what went in and came out, its steps where they were kept, and its calls where it has several."""
    variables = brief(record.variables)
    given = list(variables.items()) if isinstance(variables, Mapping) else [("item", variables)]
    became = [pair for pair in _record_row(record).items() if pair[0] and not _is_nothing(pair[1])]
    if (cost := record.cost) is not None:
        became.append(("cost", about(cost)))
    rows = [{"": name, " ": value} for name, value in (*given[:SHOWN_ITEMS], *became)]
    parts = [_table(f"items[{record.index}]", rows, len(given) + len(became))]
    if steps := record.steps:
        shown = [_step_row(step) for step in steps[:SHOWN_ITEMS]]
        parts.append(_table(f"{len(steps):,} steps", shown, len(steps)))
    if len(calls := record.calls) > 1:
        shown = [_call_row(call) for call in calls[:SHOWN_ITEMS]]
        parts.append(_table(f"{len(calls):,} calls", shown, len(calls)))
    return f"<div>{''.join(parts)}</div>"


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value)


def _step_row(step: Mapping[str, Any]) -> dict[str, Any]:
    names = {"": "step", "step": "name", "kind": "kind", "output": "output", "error": "error"}
    return {shown: step[name] for shown, name in names.items() if name in step}


def _call_row(call: CallCost) -> dict[str, Any]:
    return {
        "model": call.model,
        "tokens in": call.usage.input_tokens,
        "out": call.usage.output_tokens,
        "cost": "" if call.cost is None else about(call.cost),
    }


def _missing(results: Results) -> str:
    missing = len(results.failed)
    words = f", {missing:,} of them missing" if missing else ""
    return f"{words} ({results.stopped})" if results.stopped else words


def _output_row(output: Any, record: Record) -> Row:
    row: dict[str, Any] = {"": record.index}
    variables = brief(record.variables)
    if isinstance(variables, Mapping):
        row |= dict(islice(((str(name), value) for name, value in variables.items()), MOST_COLUMNS))
    if record.error is not None:
        return row | {"error": record.error}
    fields = dict(islice(fields_of(output).items(), MOST_COLUMNS)) or {"output": output}
    return row | {
        f"{name}_output" if name in row else str(name): value for name, value in fields.items()
    }


def _record_row(record: Record) -> Row:
    return {
        "": record.index,
        "status": record.status.name,
        "output": record.output if record.error is None else record.error,
        "attempts": record.attempts,
        "took": duration(record.duration) if record.status in (Status.DONE, Status.FAILED) else "",
        "model": record.model,
        "tokens": record.usage.input_tokens + record.usage.output_tokens,
    }


def _lane_row(lane: LaneView) -> Row:
    return {
        "lane": lane.name,
        "state": lane_words(lane),
        "in flight": f"{lane.in_flight:,} of {lane.window:,}",
        "waiting": lane.queued,
        "limits": lane.belief,
        "last error": lane.error,
    }


def _table(title: str, rows: Sequence[Row], count: int) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f'<th style="{_CELL}{_whole(name)}">{_escaped(name)}</th>' for name in names)
    body = "".join(f"<tr>{''.join(_cells(row, names))}</tr>" for row in rows)
    more = f"<div>and {count - len(rows):,} more</div>" if count > len(rows) else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if rows else ""
    return f'<div style="{BOX}"><div>{_escaped(title)}</div>{table}{more}</div>'


def _cells(row: Row, names: Iterable[str]) -> Iterable[str]:
    for name in names:
        value = row.get(name, "")
        words = _words(value)
        style = f";color:{RED}" if isinstance(value, Exception) else ""
        yield f'<td style="{_CELL}{style}{_whole(words)}">{_escaped(words)}</td>'


def _whole(words: str) -> str:
    return ";white-space:nowrap" if len(words) <= SHORT else ""


def _words(value: Any) -> str:
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {message_of(value)}"
    if value is None:
        return ""
    return str(value) if type(value) in (str, int) else short(value)


def _escaped(text: str) -> str:
    """Safe to stand in a page: whatever it says, it is words."""
    start = text[: SHOWN_CHARACTERS + 1]
    words = start if len(text) == len(start) else f"{start[:-1]}…"
    return escape(printable(words))
