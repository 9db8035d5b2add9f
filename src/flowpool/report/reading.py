"""A run's data out of a store, or out of a pool that has none."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import msgspec

from flowpool import errors, prices
from flowpool.attachments import brief
from flowpool.checkpoint.checkpoint import pick_run
from flowpool.encoding import decode, encode
from flowpool.errors import CallError, InvalidInput, message_of
from flowpool.pipeline import build
from flowpool.record import Record
from flowpool.report.data import AttemptData, ErrorGroup, ItemData, RunData, SpendData
from flowpool.run.bottleneck import add_to
from flowpool.run.sample import Bottleneck, Sample
from flowpool.run.session import Session
from flowpool.store.damage import refuses_damage
from flowpool.store.reading import Event, Known, Reader, shape_of
from flowpool.store.rows import RunInfo
from flowpool.structured import plain
from flowpool.usage import NO_USAGE, Usage
from flowpool.values import Status, Timing
from flowpool.views.runners import in_a_line, runner_words

# Characters of a step's output that are read: it may be a whole page of the web.
_MOST_OF_STEP = 20_000
_COUNTED = (Status.DONE, Status.FAILED)


def run_in_store(path: str | Path, run: str | None = None) -> RunData:
    """A run of a store, by its name or number where there are several.

    Raises `InvalidInput` for a store that can't be used, or a run that it doesn't have.
    """
    info = pick_run(path, run)
    with refuses_damage(path), Reader(path) as reader:
        return read_run(reader, info)


def read_run(reader: Reader, info: RunInfo) -> RunData:
    """A run as it stands in the store, whether or not it goes on."""
    samples, bottlenecks, others = _sorted_events(
        sorted(reader.events(info.id), key=lambda event: event.at)
    )
    last_begin = max((event.at for event in others if event.kind == "begin"), default=0.0)
    names = function_names(info)
    attempts = [_attempt(row, names) for row in reader.attempts(info.id)]
    attempts.sort(key=lambda one: one.started)
    items = _stored_items(reader, info.id, last_begin)
    course = reader.course(info.id)
    return RunData(
        name=info.name,
        runner=_runner_words(info, attempts),
        settings={name: value for name, value in info.settings.items() if name != "outputs"},
        began=course.began if course.began is not None else (last_begin or None),
        ended=course.ended if course.ended is not None else (info.updated or None),
        reason=info.reason,
        counts=reader.counts(info.id),
        usage=_usage(attempts, items),
        spend=_stored_spend(reader, info.id, items),
        recalled=sum(item.from_earlier for item in items),
        items=items,
        attempts=attempts,
        errors=error_groups(items),
        samples=samples,
        bottlenecks=bottlenecks,
        events=others,
        source=reader.path.name,
    )


def _runner_words(info: RunInfo, attempts: Iterable[AttemptData]) -> str:
    if info.definition is not None:
        return runner_words(info)
    steps = dict.fromkeys(attempt.step for attempt in sorted(attempts, key=lambda one: one.step))
    return f"its script's own: {' -> '.join(steps)}" if steps else "its script's own"


def _stored_items(reader: Reader, run: int, last_begin: float) -> list[ItemData]:
    steps: dict[int, dict[str, Any]] = defaultdict(dict)
    for item, step, output in reader.step_outputs(run):
        steps[item][step] = output[:_MOST_OF_STEP] if isinstance(output, str) else output
    return [
        _stored_item(index, known, variables, last_begin, steps)
        for index, (known, variables) in enumerate(reader.items(run))
    ]


def _stored_spend(reader: Reader, run: int, items: Iterable[ItemData]) -> SpendData:
    spent, cached = reader.spent(run), _saved_by_cache(items)
    paid = spent.cost if spent.cost or not spent.unpriced else None
    return SpendData(
        paid,
        None if paid is None else paid + cached,
        cached,
        sum(item.cost or 0.0 for item in items if item.from_earlier),
        spent.unpriced,
        spent.unknown_cost,
    )


def run_of_session(session: Session, runner: Any) -> RunData:
    """A run of a pool without a store: its items, and what its process saw of it. It knows no single attempts."""
    now, records = session.snapshot, session.records()
    # Seconds since 1970 at the loop clock's 0.
    epoch = time.time() - time.monotonic()
    if session.samples:
        epoch = session.samples[0].at - session.samples[0].elapsed - session.began
    items = [_item_of(record, epoch) for record in records]
    at_work = [item for item in items if item.started]
    spent, cached = session.spent, _saved_by_cache(items)
    usage = reduce(add, (item.usage for item in items), NO_USAGE)
    unpriced = sum(item.cost is None for item in items if item.usage != NO_USAGE)
    paid = spent.cost if spent.cost or not unpriced else None
    return RunData(
        name=session.name,
        runner=_words_of(runner),
        settings=session.settings.stored(),
        began=min((item.started for item in at_work), default=None),
        ended=max((item.started + item.seconds for item in at_work), default=None),
        reason=now.stopped,
        counts=session.status,
        usage=usage,
        spend=SpendData(paid, None if paid is None else paid + cached, cached, 0.0, unpriced),
        recalled=now.recalled,
        items=items,
        attempts=(),
        errors=error_groups(items),
        samples=tuple(session.samples),
        bottlenecks=tuple(session.bottlenecks),
        has_attempts=False,
    )


def error_groups(items: Iterable[ItemData]) -> list[ErrorGroup]:
    """Why items failed; the most frequent reason first. The last item of a group is its example."""
    groups: dict[tuple[str, str], list[ItemData]] = defaultdict(list)
    for item in items:
        if item.status is Status.FAILED:
            groups[item.error, shape_of(item.message)].append(item)
    found = [
        ErrorGroup(
            alike[-1].error,
            alike[-1].message,
            fix_of(alike[-1].error),
            tuple(item.index for item in alike),
        )
        for alike in groups.values()
    ]
    return sorted(found, key=lambda group: (-group.count, group.error))


# What to do where the error's own type doesn't say it.
_FIXES = {
    "RateLimited": "set limits=Limits(rpm=..., tpm=...) to what the key allows, or raise retries=; then retry()",
    "BadRequest": "the provider refuses what is sent: mend the prompt or the options as it says, then retry()",
    "Overloaded": "the provider had no capacity: retry() later, or add a fallback model",
    "ServerError": "the provider failed: retry() later, or add a fallback model",
    "EmptyReply": "retry(), raise max_tokens, or add a fallback model",
    "InvalidReply": "check base_url: what answered doesn't speak the API that was expected",
    "ConnectFailed": "check base_url, the network and the proxy; then retry()",
    "ConnectTimeout": "check base_url, the network and the proxy; then retry()",
    "ReadTimeout": "raise timeout=, or ask for shorter answers; then retry()",
    "AttemptTimeout": "raise timeout=, or ask for shorter answers; then retry()",
    "ConnectionReset": "the connection was lost: retry()",
    "BodyCut": "the connection was lost: retry()",
    "AddressRefused": "the address is private: allow it in the tool's options if it is meant",
    "StepFailed": "the function raised: mend it, or say retry_on= where trying again may help; then retry()",
    "StepTimeout": "raise the step's timeout, or make the function faster; then retry()",
    "WorkerDied": "the process ended: give it less to do at once, or less memory to need",
    "WorkTooLarge": "raise caps=, or give the function less at once",
    "InvalidItem": "mend the item: it lacks a variable, or is no dict",
    "BudgetSpent": "retry(max_cost=...) or retry(max_tokens_total=...) with more",
    "NotFinished": "resume() or retry() goes on",
}


def fix_of(error: str) -> str:
    """What to do about an error of this type; empty where nobody knows."""
    kind = getattr(errors, error, None)
    own = kind.fix if isinstance(kind, type) and issubclass(kind, CallError) else ""
    return own or _FIXES.get(error, "")


def _sorted_events(
    events: Iterable[Event],
) -> tuple[list[Sample], list[Bottleneck], list[Event]]:
    samples: list[Sample] = []
    bottlenecks: list[Bottleneck] = []
    others: list[Event] = []
    for event in events:
        # Another version's may have other fields: what can't be read is left out of the pictures.
        with suppress(msgspec.ValidationError):
            if event.kind == "sample":
                samples.append(msgspec.convert(event.data, Sample))
            elif event.kind == "bottleneck":
                add_to(bottlenecks, msgspec.convert(event.data, Bottleneck))
            else:
                others.append(event)
    return samples, bottlenecks, others


def _attempt(row: Mapping[str, Any], names: Mapping[str, str]) -> AttemptData:
    step, model = str(row["step"]), str(row["model"])
    return AttemptData(
        row["item"],
        step,
        model or names.get(step, step),
        model,
        float(row["started"]),
        float(row["seconds"]),
        row["status"],
        row["error"] or "",
        row["input_tokens"],
        row["output_tokens"],
        row["cost"],
        row["request_id"],
        Timing(*(row[name] for name in Timing.__struct_fields__)),
    )


def _stored_item(
    index: int,
    known: Known,
    variables: Any,
    last_begin: float,
    steps: Mapping[int, dict[str, Any]],
) -> ItemData:
    if known.ended is None:
        return ItemData(
            index, variables, Status.PENDING, hash=known.hash, steps=steps.get(index, {})
        )
    record = known.record(index, variables)
    kind, message = _error_of(record)
    return ItemData(
        index,
        variables,
        record.status,
        record.output,
        kind,
        message,
        record.started,
        record.duration,
        record.attempts,
        record.model,
        record.usage,
        record.cost,
        steps.get(index, {}),
        known.hash,
        0.0 < record.started + record.duration < last_begin,
    )


def _item_of(record: Record, epoch: float) -> ItemData:
    kind, message = _error_of(record)
    steps = {str(number): plain(step, repr) for number, step in enumerate(record.steps or (), 1)}
    return ItemData(
        record.index,
        brief(record.variables),
        record.status,
        plain(record.output, repr),
        kind,
        message,
        record.started + epoch if record.started else 0.0,
        record.duration,
        record.attempts,
        record.model,
        record.usage,
        record.cost,
        steps,
    )


def _error_of(record: Record) -> tuple[str, str]:
    if record.error is None or record.status not in (*_COUNTED, Status.CANCELLED):
        return "", ""
    kind, message = type(record.error).__name__, message_of(record.error)
    if kind == "StoredError":  # of a type that isn't flowpool's, which its words begin with
        kind, _, message = message.partition(": ")
    return kind, message


def _usage(attempts: Iterable[AttemptData], items: Iterable[ItemData]) -> Usage:
    sent = made = 0
    for attempt in attempts:
        sent += attempt.input_tokens
        made += attempt.output_tokens
    return Usage(sent, made, sum(item.usage.cached_input_tokens for item in items))


def _saved_by_cache(items: Iterable[ItemData]) -> float:
    """Dollars that cached input would have cost more at the price of other input, by the price list."""
    used: dict[str, Usage] = defaultdict(Usage)
    calls: dict[str, int] = defaultdict(int)
    for item in items:
        if item.usage.cached_input_tokens and item.cost is not None:
            used[item.model] += item.usage
            calls[item.model] += 1
    saved = 0.0
    for model, usage in used.items():
        paid = prices.cost(model, usage, None, calls[model])
        whole = prices.cost(
            model, Usage(usage.input_tokens, usage.output_tokens), None, calls[model]
        )
        if paid is not None and whole is not None:
            saved += max(0.0, whole - paid)
    return saved


def function_names(info: RunInfo) -> dict[str, str]:
    """What the functions of a run are called, by their steps' paths."""
    return dict(_named_steps(decode(info.definition.encode()))) if info.definition else {}


def _named_steps(definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    steps = definition.get("steps")
    if not isinstance(steps, list):
        if name := definition.get("tool") or definition.get("function"):
            yield "1.result", str(name)
        return
    for number, stage in enumerate(steps, 1):
        for step in stage if isinstance(stage, list) else [stage]:
            if isinstance(step, Mapping) and (name := step.get("tool") or step.get("function")):
                yield f"{number}.{step.get('key', 'result')}", str(name)


def _words_of(runner: Any) -> str:
    try:
        return in_a_line(decode(encode(build.describe(runner))))
    except InvalidInput:
        return str(runner.name)
