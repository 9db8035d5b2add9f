"""What became of a run, in a few lines: counts, pace, cost, where its time went, its failures, what was slow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from msgspec import Struct

from flowpool.errors import CallError, message_of
from flowpool.pool import Snapshot
from flowpool.printable import printable
from flowpool.record import Record
from flowpool.results import Results
from flowpool.run.sample import TIME_KINDS, TimeSpread
from flowpool.run.timings import nearest_rank
from flowpool.store.reading import shape_of
from flowpool.summary import Line, Summary
from flowpool.values import Status
from flowpool.views.notebook import BOX, RED
from flowpool.views.words import about, duration, ended_words, held_back, rate_words

# Kinds of failures, and items that took longest.
MOST_KINDS, MOST_SLOW = 5, 3
# Characters of a failure's message: a provider may answer with a page.
LONGEST = 300
# The part of all time from which on a kind of it is named.
LEAST_PART = 0.01
_CELL = "text-align:left;vertical-align:top;padding:.15em .8em .15em 0;overflow-wrap:anywhere"


def as_html(summary: Summary) -> str:
    """For a notebook, in its own colours."""
    rows = "".join(
        f'<tr><td style="{_CELL};opacity:.7;white-space:nowrap">{escape(line.label)}</td>'
        f'<td style="{_CELL}{f";color:{RED}" if line.is_bad else ""}">{escape(line.words)}</td></tr>'
        for line in summary.lines
    )
    table = f"<table><tbody>{rows}</tbody></table>"
    return f'<div style="{BOX}"><b>{escape(summary.counts)}</b>{table}</div>'


def summary_of(results: Results, now: Snapshot | None) -> Summary:
    """A run by its records, and by how it stood at its end, where that is known."""
    records = results.records
    counts = Counter(record.status for record in records)
    recalled = 0 if now is None else now.recalled
    words = ended_words(
        counts[Status.DONE], counts[Status.FAILED], counts[Status.CANCELLED], recalled
    )
    if left := counts[Status.PENDING] + counts[Status.RUNNING]:
        words += f", {left:,} to do"
    if now is not None:
        words += f" in {duration(now.elapsed)}"
    lines = [Line("stopped", results.stopped, is_bad=True)] if results.stopped else []
    lines += [*_pace(records, now), *_cost(results, now), *_course(now)]
    lines += [*_failures(records), *_slowest(records)]
    return Summary(words, tuple(Line(one.label, _safe(one.words), one.is_bad) for one in lines))


def _safe(words: str) -> str:
    return printable(" ".join(words.split()))


def _pace(records: Sequence[Record], now: Snapshot | None) -> list[Line]:
    """Items a second, attempts, and how long an item takes."""
    if now is not None and not now.carried:
        return []
    lines = []
    if now is not None and now.elapsed >= 1.0:
        lines.append(Line("pace", f"{rate_words(now.carried / now.elapsed)}"))
    took = sorted(record.duration for record in records if record.duration > 0.0)
    if took:
        half, most = (took[nearest_rank(share, len(took)) - 1] for share in (0.5, 0.95))
        words = f"half within {duration(half)}, 95% within {duration(most)}, the longest {duration(took[-1])}"
        lines.append(Line("an item", words))
    attempts = sum(record.attempts for record in records)
    ended = sum(record.status in (Status.DONE, Status.FAILED) for record in records)
    if attempts > ended > 0:
        words = f"{attempts:,} for {ended:,} items, {attempts / ended:.1f} each"
        lines.append(Line("attempts", words))
    return lines


def _cost(results: Results, now: Snapshot | None) -> list[Line]:
    usage = results.usage
    if not (usage.input_tokens or usage.output_tokens):
        return []
    words = f"{usage.input_tokens:,} tokens in"
    words += f" ({usage.cached_input_tokens:,} cached)" if usage.cached_input_tokens else ""
    words += f", {usage.output_tokens:,} out"
    lines = [Line("tokens", words)]
    cost = results.cost
    if cost is None:
        return [*lines, Line("cost", "of unknown price")]
    words = about(cost)
    if now is not None and now.spent_before:
        words += f", of them {about(now.spent_before)} in earlier runs"
    return [*lines, Line("cost", words)]


def _course(now: Snapshot | None) -> list[Line]:
    """Where the time went, and what held the run back."""
    if now is None:
        return []
    timings = now.timings
    lines = [Line("time went", words) for words in time_words(timings)]
    for words, fix in held_back(now):
        lines.append(Line("held back", words))
        lines += [Line("", f"what would change it: {fix}")] if fix else []
    return lines


def time_words(timings: Mapping[str, Mapping[str, TimeSpread]]) -> list[str]:
    """Where the time of all calls went: the parts of each kind, the largest first; nothing where none is known."""
    totals = dict.fromkeys(TIME_KINDS, 0.0)
    for kinds in timings.values():
        for kind, spread in kinds.items():
            totals[kind] = totals.get(kind, 0.0) + spread.total
    whole = sum(totals.values())
    if whole <= 0.0:
        return []
    parts = sorted(((seconds / whole, kind) for kind, seconds in totals.items()), reverse=True)
    said = [
        f"{TIME_KINDS.get(kind, kind)} {part:.0%}" for part, kind in parts if part >= LEAST_PART
    ]
    return [", ".join(said)]


class _Kind(Struct):
    """Items that failed alike: the first of them, and how many."""

    first: Record
    count: int = 0


def _failures(records: Iterable[Record]) -> list[Line]:
    """Failures by the error's type and what it says but for numbers and names, the most frequent first."""
    kinds: dict[tuple[str, str], _Kind] = {}
    for record in records:
        if record.status is Status.FAILED and record.error is not None:
            alike = type(record.error).__name__, shape_of(_problem(record.error))
            kinds.setdefault(alike, _Kind(record)).count += 1
    ordered = sorted(kinds.items(), key=lambda pair: -pair[1].count)
    lines = []
    for (name, _), kind in ordered[:MOST_KINDS]:
        error = kind.first.error
        assert error is not None
        words = " ".join(_problem(error).split())
        words = words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"
        lines.append(
            Line(
                "failed",
                f"{kind.count:,} x {name}: {words} (as items[{kind.first.index}])",
                is_bad=True,
            )
        )
        if isinstance(error, CallError) and error.fix:
            lines.append(Line("", f"what to do: {error.fix}"))
    if rest := ordered[MOST_KINDS:]:
        count = sum(kind.count for _, kind in rest)
        lines.append(Line("", f"{count:,} more, in {len(rest):,} other ways", is_bad=True))
    return lines


def _problem(error: Exception) -> str:
    """What an error says, without what to do about it where it says that apart."""
    return error.message if isinstance(error, CallError) else message_of(error)


def _slowest(records: Sequence[Record]) -> list[Line]:
    """The items that took longest, where they took longer than others."""
    longest = sorted((one for one in records if one.duration > 0.0), key=lambda one: -one.duration)
    if len(longest) <= MOST_SLOW:
        return []
    words = [
        f"items[{one.index}] {duration(one.duration)}{_tries(one)}" for one in longest[:MOST_SLOW]
    ]
    return [Line("slowest", ", ".join(words))]


def _tries(record: Record) -> str:
    return f" ({record.attempts:,} attempts)" if record.attempts > 1 else ""
