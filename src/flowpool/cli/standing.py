"""What `flowpool status` says of a store's runs. Reads the store; writes nothing but text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from flowpool.encoding import decode
from flowpool.errors import StoreRefused
from flowpool.store.lock import holder_of
from flowpool.store.reading import Reader
from flowpool.store.rows import RunInfo
from flowpool.values import Status
from flowpool.views.words import dollars, duration

MOST_TROUBLES = 5
_WIDEST = 150


def show(store: str, name: str | None) -> int:
    """Prints how the runs stand; 0 when every item is done, else 1."""
    path = Path(store)
    with Reader(path) as reader:
        runs = [run for run in reader.runs() if name in (None, run.name, str(run.id))]
        if not runs:
            raise StoreRefused(f"{store}: no runs in it{f' called {name}' if name else ''}.")
        holder = holder_of(path)
        size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
        print(f"{store}: {len(runs)} run{'s' * (len(runs) > 1)}, {size / 1e6:,.1f} MB")
        if holder:
            print(f"At work on it now: {holder}")
        all_done = True
        for run in runs:
            counts = reader.counts(run.id)
            several = len(runs) > 1
            print()
            print("\n".join(_lines(reader, run, counts, several, bool(holder))))
            all_done &= run.complete and counts[Status.DONE] == sum(counts.values())
    return 0 if all_done else 1


def told(run: RunInfo) -> str:
    """A run's runner in a line."""
    if run.definition is None:
        return f"only its script has it: {run.obstacle}"
    return in_a_line(decode(run.definition.encode()))


def in_a_line(data: Mapping[str, Any]) -> str:
    """A definition in short: `fetch -> to_markdown -> gpt-5-mini 'Summarise: {text}'`."""
    if "steps" in data:
        stages = (stage if isinstance(stage, list) else [stage] for stage in data["steps"])
        return " -> ".join(" + ".join(in_a_line(step) for step in stage) for stage in stages)
    for kind in ("skill", "chain"):
        if kind in data:
            return in_a_line(data[kind])
    if "model" not in data:
        return str(data.get("tool") or data.get("function"))
    model = data["model"]
    name = model.get("name", model) if isinstance(model, dict) else model
    prompt = data.get("prompt") or data.get("input", {}).get("messages", [{}])[-1].get("parts")
    words = " ".join(part for part in _flat(prompt) if isinstance(part, str))
    return f"{name} {_short(' '.join(words.split()), 60)!r}"


def _flat(prompt: Any) -> list[Any]:
    return prompt if isinstance(prompt, list) else [prompt]


def _lines(
    reader: Reader, run: RunInfo, counts: dict[Status, int], several: bool, is_held: bool
) -> list[str]:
    course, spent = reader.course(run.id), reader.spent(run.id)
    words = [f"{counts[Status.DONE]:,} done"]
    words += [f"{counts[Status.FAILED]:,} failed"] if counts[Status.FAILED] else []
    words += [f"{counts[Status.PENDING]:,} to do"] if counts[Status.PENDING] else []
    lines = [f"{run.name} (run {run.id})", f"  what      {_short(told(run), _WIDEST)}"]
    lines.append(f"  items     {', '.join(words)}; {_where(run)}")
    if course.began is not None and course.ended is not None:
        start = datetime.fromtimestamp(course.began).strftime("%Y-%m-%d %H:%M:%S")
        took = duration(max(0.0, course.ended - course.began))
        pace = f", {course.rate:.1f} a second at the end" if course.rate else ""
        lines.append(f"  time      {took} from {start}{pace}")
    cost = f"{dollars(spent.cost)}" if spent.cost else "price unknown or nothing"
    unknown = f", and at most {dollars(spent.unknown_cost)} more for calls whose end nobody saw"
    lines.append(
        f"  spent     {spent.tokens:,} tokens, {cost}{unknown if spent.unknown_cost else ''}, "
        f"{course.attempts:,} attempts"
    )
    for trouble in reader.troubles(run.id)[:MOST_TROUBLES]:
        said = _short(" ".join(trouble.message.split()), _WIDEST)
        lines.append(f"  failed    {trouble.count:,} x {trouble.error}, the last: {said}")
    if run.reason:
        lines.append(f"  ended     before its end: {_short(run.reason, _WIDEST)}")
    if not is_held:
        lines += [f"  {line}" for line in _how_to_go_on(reader.path, run, counts, several)]
    return lines


def _where(run: RunInfo) -> str:
    if run.complete:
        return "all items of the run stand in the store"
    if run.source is not None:
        return f"the rest is still to be read from {run.source.get('path', 'its query')}"
    return "items that its script had not handed over yet are not in the store"


def _how_to_go_on(path: Path, run: RunInfo, counts: dict[Status, int], several: bool) -> list[str]:
    words = f"{shlex.quote(str(path))}{f' --run {run.id}' if several else ''}"
    if run.definition is None:
        return ["go on     run its script again, with the same store"]
    lines = []
    if counts[Status.PENDING] or not run.complete:
        lines.append(f"go on     flowpool resume {words}")
    if counts[Status.FAILED]:
        lines.append(f"try again flowpool retry {words}")
    return [*lines, f"take out  flowpool export {words} results.csv"]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
