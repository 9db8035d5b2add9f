"""Two runs beside each other: which items are the same, where their answers agree, and what each run took."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from flowpool.printable import printable
from flowpool.report.content import without_content
from flowpool.report.data import ItemData, RunData
from flowpool.report.texts import Texts, cut, fitted, text_of, value_texts
from flowpool.run.timings import nearest_rank
from flowpool.structured.equal import are_equal
from flowpool.values import Status

# Items that differ and are shown: nobody reads more.
MOST_ROWS = 5_000
# How two items stand to each other, as the page knows it.
KINDS = (
    "equal",
    "different",
    "only the first is done",
    "only the second is done",
    "neither is done",
)
_EQUAL, _DIFFERENT, _ONE, _OTHER, _NEITHER = range(len(KINDS))


class Pair(Struct, frozen=True):
    """An item of both runs; None where one doesn't have it."""

    one: ItemData | None
    other: ItemData | None

    @property
    def kind(self) -> int:
        """How they stand to each other, by its position in `KINDS`."""
        done = [item is not None and item.status is Status.DONE for item in (self.one, self.other)]
        if not all(done):
            return _ONE if done[0] else _OTHER if done[1] else _NEITHER
        assert self.one is not None
        assert self.other is not None
        return _EQUAL if are_equal(self.one.output, self.other.output) else _DIFFERENT


def matched(one: Sequence[ItemData], other: Sequence[ItemData]) -> list[Pair]:
    """The items of two runs in pairs: of the same hash, else of the same variables; then those of one run alone.

    Items that are alike are matched in their order.
    """
    pairs: dict[int, ItemData] = {}
    left = list(other)
    for key in (lambda item: item.hash, lambda item: text_of(item.variables)):
        waiting: dict[Any, list[ItemData]] = defaultdict(list)
        for item in reversed(left):
            if key(item):
                waiting[key(item)].append(item)
        for item in one:
            if item.index not in pairs and waiting.get(key(item)):
                pairs[item.index] = waiting[key(item)].pop()
        taken = {item.index for item in pairs.values()}
        left = [item for item in left if item.index not in taken]
    found = [Pair(item, pairs.get(item.index)) for item in one]
    return [*found, *(Pair(None, item) for item in left)]


def comparison(
    one: RunData, other: RunData, room: int, *, content: bool
) -> tuple[dict[str, Any], Texts]:
    """What the page shows of two runs, and the texts of the items that differ in at most about `room` bytes."""
    pairs = matched(one.items, other.items)
    both = [pair for pair in pairs if pair.one is not None and pair.other is not None]
    counts = Counter(pair.kind for pair in pairs)  # as the rows: those of one run alone too
    differing = [pair for pair in pairs if pair.kind not in (_EQUAL, _NEITHER)]
    shown = differing[:MOST_ROWS]
    texts = _texts(shown, room) if content else Texts([])
    payload = {
        "runs": [_summary(run if content else without_content(run)) for run in (one, other)],
        "content": content,
        "matched": len(both),
        "alone": [sum(p.other is None for p in pairs), sum(p.one is None for p in pairs)],
        "kinds": [(words, counts[kind]) for kind, words in enumerate(KINDS)],
        "fields": _fields(both) if content else [],
        "rows": [_row(pair) for pair in shown],
        "moreRows": len(differing) - len(shown),
        "errors": _errors(one, other),
        "cut": texts.cut,
    }
    return payload, texts


def _texts(pairs: Sequence[Pair], room: int) -> Texts:
    """What was asked and answered in these pairs."""
    chunks, most, _ = fitted(pairs, [True] * len(pairs), _texts_of, room)
    items = [item for pair in pairs for item in (pair.one, pair.other) if item is not None]
    is_cut = any(len(text_of(item.output)) > most for item in items)
    words = f"To keep this file small, texts are cut to {most:,} characters." if is_cut else ""
    return Texts(chunks, words)


def _summary(run: RunData) -> dict[str, Any]:
    spread = sorted(
        item.seconds for item in run.items if item.seconds and item.status is Status.DONE
    )
    at_work = run.ended - run.began if run.ended is not None and run.began is not None else 0.0
    return {
        "name": printable(run.name),
        "source": printable(run.source),
        "runner": printable(run.runner),
        "began": run.began,
        "seconds": at_work,
        "counts": {status.name.lower(): number for status, number in run.counts.items()},
        "paid": run.spend.paid,
        "tokens": [run.usage.input_tokens, run.usage.output_tokens],
        "attempts": sum(item.attempts for item in run.items),
        "p50": spread[nearest_rank(0.5, len(spread)) - 1] if spread else None,
        "p95": spread[nearest_rank(0.95, len(spread)) - 1] if spread else None,
    }


def _errors(one: RunData, other: RunData) -> list[tuple[str, int, int]]:
    """How many items failed in each run, by the error's type."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for at, run in enumerate((one, other)):
        for group in run.errors:
            counts[group.error][at] += group.count
    found = [(printable(error), first, second) for error, (first, second) in counts.items()]
    return sorted(found, key=lambda row: -row[1] - row[2])


def _fields(pairs: Sequence[Pair]) -> list[tuple[str, int, int]]:
    """Of answers that have fields: how many are equal and how many different, by the field."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, is_equal in (found for pair in pairs for found in _compared(pair)):
        counts[name][0 if is_equal else 1] += 1
    return [(printable(name), *found) for name, found in list(counts.items())[:200]]  # type: ignore[misc]


def _compared(pair: Pair) -> Iterator[tuple[str, bool]]:
    one, other = (item.output if item is not None else None for item in (pair.one, pair.other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in {**one, **other}:
            has_both = name in one and name in other
            yield str(name), has_both and are_equal(one[name], other[name])


def _row(pair: Pair) -> list[Any]:
    """An item that differs: how, its indexes, and what each of both took (seconds, dollars)."""
    figures = [
        (item.index, round(item.seconds, 3), item.cost, item.error) if item is not None else None
        for item in (pair.one, pair.other)
    ]
    return [pair.kind, *figures]


def _texts_of(pair: Pair, most: int) -> list[Any]:
    """What was asked, both answers, and the fields in which they differ."""
    asked = pair.one or pair.other
    answers = [_answer_of(item, most) for item in (pair.one, pair.other)]
    differing = [printable(name) for name, is_equal in _compared(pair) if not is_equal]
    return [value_texts(asked.variables, most) if asked else None, *answers, differing]


def _answer_of(item: ItemData | None, most: int) -> Any:
    if item is None:
        return None
    return value_texts(item.output, most) if item.status is Status.DONE else cut(item.message, most)
