"""The rules of the trace format, as a reader of it takes them: what a file breaks of them."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

Event = dict[str, Any]


def read_trace(path: Path) -> dict[str, Any]:
    """The whole file, as JSON."""
    raw = path.read_bytes()
    whole: dict[str, Any] = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    return whole


def broken_rules(events: list[Event]) -> list[str]:
    """What a viewer would draw wrongly or not at all."""
    return [*_shapes(events), *_nesting(events), *_waits(events), *_arrows(events), *_names(events)]


def _shapes(events: list[Event]) -> list[str]:
    odd = []
    for event in events:
        needed = {"ph", "name", "pid"} | ({"ts"} if event["ph"] != "M" else set())
        needed |= {"tid", "dur"} if event["ph"] == "X" else set()
        if not needed <= event.keys() or event.get("ts", 0) < 0 or event.get("dur", 0) < 0:
            odd.append(f"shape: {event}")
        if event["ph"] == "C" and not all(
            isinstance(value, (int, float)) for value in event["args"].values()
        ):
            odd.append(f"counter: {event}")
    return odd


def _nesting(events: list[Event]) -> list[str]:
    """Spans of a thread come in order, and each lies within those that are open, or after them."""
    odd = []
    tracks = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append(event)
    for spans in tracks.values():
        open_until: list[float] = []
        last = -1.0
        for span in spans:
            if span["ts"] < last:
                odd.append(f"order: {span}")
            last = span["ts"]
            while open_until and open_until[-1] <= span["ts"]:
                open_until.pop()
            if open_until and span["ts"] + span["dur"] > open_until[-1]:
                odd.append(f"overlap: {span}")
            open_until.append(span["ts"] + span["dur"])
    return odd


def _waits(events: list[Event]) -> list[str]:
    """Each begin has its end, at the same moment or later, before another of its id begins."""
    odd, opened = [], {}
    for event in events:
        if event["ph"] not in ("b", "e"):
            continue
        key = event["cat"], event["id"]
        if event["ph"] == "b":
            odd += [f"begun twice: {event}"] if key in opened else []
            opened[key] = event
        else:
            begun = opened.pop(key, None)
            if begun is None or begun["name"] != event["name"] or begun["ts"] > event["ts"]:
                odd.append(f"ended: {event}")
    return [*odd, *(f"never ended: {event}" for event in opened.values())]


def _arrows(events: list[Event]) -> list[str]:
    """Each arrow has a start and a later end, both within a span of their thread."""
    odd = []
    starts = {event["id"]: event for event in events if event["ph"] == "s"}
    ends = {event["id"]: event for event in events if event["ph"] == "f"}
    counts = Counter((event["ph"], event["id"]) for event in events if event["ph"] in "sf")
    if starts.keys() != ends.keys() or any(number > 1 for number in counts.values()):
        odd.append("arrows without a pair")
    for id, start in starts.items():
        end = ends[id]
        if (start["cat"], start["name"]) != (end["cat"], end["name"]) or start["ts"] > end["ts"]:
            odd.append(f"arrow: {start} {end}")
    for event in (*starts.values(), *ends.values()):
        within = any(
            span["ph"] == "X"
            and (span["pid"], span["tid"]) == (event["pid"], event["tid"])
            and span["ts"] <= event["ts"] < span["ts"] + max(1, span["dur"])
            for span in events
        )
        odd += [] if within else [f"arrow beside every span: {event}"]
    return odd


def _names(events: list[Event]) -> list[str]:
    """Every process and every thread with spans is named, once."""
    named = Counter(
        (event["name"], event["pid"], event["tid"]) for event in events if event["ph"] == "M"
    )
    used = {("process_name", event["pid"], 0) for event in events}
    used |= {("thread_name", event["pid"], event["tid"]) for event in events if event["ph"] == "X"}
    odd = [f"named twice: {name}" for name, number in named.items() if number > 1]
    return [*odd, *(f"not named: {name}" for name in used - named.keys())]
