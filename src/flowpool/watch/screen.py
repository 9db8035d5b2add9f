"""A run laid out for a terminal of any size: what matters most first, so that a small one shows that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, Group
from rich.text import Text

from flowpool.printable import printable
from flowpool.watch.shown import LANE_HEADS, LaneRow, Said, Shown, TimeRow

_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN_BLOCKS = "_.-~=+*#"
# Okabe and Ito's colours, in the order of `TIME_KINDS`.
_COLORS = {
    "slot_wait": "#e69f00",
    "limit_wait": "#d55e00",
    "budget_wait": "#cc79a7",
    "backoff": "#f0e442",
    "connect": "#999999",
    "first_byte": "#0072b2",
    "reading": "#56b4e9",
    "own_code": "#009e73",
}
GOOD, BAD, QUIET = "#56b4e9", "#d55e00", "dim"
_STATES = {
    "running": ("running", GOOD),
    "paused": ("paused", BAD),
    "ended": ("ended", GOOD),
    "away": ("not at work", BAD),
}
_KEYS = "q leave   p pause or go on   + - more or fewer flows"
# Columns that the names before sparklines and stacked bars have.
_NAME = 11


def as_screen(now: Shown, console: Console, said: str = "") -> Group:
    """The whole screen. said: what the last order came to."""
    width, plain = console.width, not console.encoding.startswith("utf")
    lines = [*_head(now, width), *_progress(now, width, plain), Text()]
    lines += _course(now, width, plain)
    lines += _parts(now, width, plain)
    foot = _cut(Text(printable(said) or (_KEYS if now.steers else "q leave"), QUIET), width)
    room = max(1, console.height - 2)
    lines = lines[:room] + [Text()] * (room - len(lines))
    return Group(*(_cut(line, width) for line in lines), Text(), foot)


def _head(now: Shown, width: int) -> list[Text]:
    state, color = _STATES[now.state]
    head = Text(now.name, "bold").append(f"  {state}", color)
    head.append(" " * max(2, width - len(head) - len(now.clock))).append(now.clock, QUIET)
    verdict = Text(
        f"{'▲ ' if now.is_bad else ''}{now.verdict}", f"bold {BAD}" if now.is_bad else "bold"
    )
    lines = [head, Text(), verdict]
    if now.since:
        verdict.append(f"  {now.since}", QUIET)
    if now.fix:
        lines.append(Text(f"→ {now.fix}", QUIET))
    return [*lines, Text()]


def _progress(now: Shown, width: int, plain: bool) -> list[Text]:
    bar = Text()
    if now.done is not None:
        room = max(6, min(60, width - len(now.counts) - 10))
        bad = min(room, max(1, round(room * now.failed))) if now.failed else 0
        good = min(room - bad, int(room * now.done + 1e-9))
        full, cross, empty = ("#", "x", "-") if plain else ("█", "▒", "─")
        bar.append(full * good, GOOD).append(cross * bad, BAD)
        bar.append(empty * (room - good - bad), QUIET)
        bar.append(f" {now.done + now.failed:.1%}  ")
    bar.append(now.counts, "bold")
    lines, line = [bar], Text()
    for figure in now.figures:
        piece = Text(f"{figure.name} ", QUIET).append(figure.words, "bold not dim")
        if figure.note:
            piece.append(f" ({figure.note})")
        if line and len(line) + len(piece) + 3 > width:
            lines.append(line)
            line = Text()
        line = line.append("   ").append_text(piece) if line else piece
    return [*lines, line]


def _course(now: Shown, width: int, plain: bool) -> list[Text]:
    series, room = now.series, max(8, width - _NAME - 12)
    lines = []
    for name, values, color in (
        ("items/s", series.rate, GOOD),
        ("refused/s", series.refused, BAD),
        ("in flight", series.in_flight, "#009e73"),
        ("waiting", series.queued, "#cc79a7"),
    ):
        known = [value for value in values if value is not None]
        if len(known) < 2 or not any(known):
            continue
        line = Text().append(f"{name:<{_NAME}}", QUIET)
        line.append(sparkline(values, room, plain), color).append(f" {_figure(known[-1])}")
        lines.append(line)
    return [*lines, Text()] if lines else []


def sparkline(values: Sequence[float | None], room: int, plain: bool = False) -> str:
    """The last values, as many as there is room for, each as a block as high as it is beside the highest.

    >>> sparkline([0, 1, 2, None, 4], 10)
    '▁▃▅ █'
    """
    blocks = _PLAIN_BLOCKS if plain else _BLOCKS
    last = values[-room:]
    most = max((value for value in last if value is not None), default=0) or 1
    return "".join(" " if one is None else blocks[round(one / most * 7)] for one in last)


def _parts(now: Shown, width: int, plain: bool) -> list[Text]:
    lines = _table("", LANE_HEADS, [_lane_cells(lane) for lane in now.lanes])
    lines += _times(now.times, width, plain)
    for title, said in (
        ("failures, grouped", now.groups),
        ("last failures", now.failures),
        ("changes", now.changes[:4]),
    ):
        lines += _said(title, said)
    return lines


def _lane_cells(lane: LaneRow) -> tuple[str, ...]:
    bound = f"▲ {lane.bound}" if lane.is_ill else lane.bound
    return (
        lane.name, lane.in_flight, lane.queued, lane.limit, lane.latency, lane.throttled, bound,
    )  # fmt: skip


def _times(times: Sequence[TimeRow], width: int, plain: bool) -> list[Text]:
    lines: list[Text] = []
    for lane in dict.fromkeys(one.lane for one in times):
        own = [one for one in times if one.lane == lane]
        room = max(10, min(60, width - 2))
        bar = Text()
        for one in own:
            bar.append(("=" if plain else "█") * round(room * one.share), _COLORS[one.kind])
        rows = [
            (f"■ {one.name}", f"{one.share:.0%}", one.total, one.p50, one.p95, one.p99)
            for one in own
        ]
        heads = (f"time of {lane}", "of all", "in sum", "p50", "p95", "p99")
        table = _table("", heads, rows)
        for line, one in zip(table[1:], own, strict=False):
            line.stylize(_COLORS[one.kind], 0, 1)
        lines += [table[0], bar, *table[1:]]
    return lines


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Text]:
    """Cells under each other; texts to the left, figures to the right."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    texts = (0, len(heads) - 1) if heads is LANE_HEADS else (0,)
    lines = []
    for number, row in enumerate((heads, *rows)):
        cells = (
            f"{cell:<{size}}" if column in texts else f"{cell:>{size}}"
            for column, (cell, size) in enumerate(zip(row, widths, strict=True))
        )
        lines.append(Text("  ".join(cells).rstrip(), QUIET if number == 0 else ""))
    return [*lines, Text()]


def _said(title: str, said: Iterable[Said]) -> list[Text]:
    lines = []
    for one in said:
        line = Text(f"{one.when} " if one.when else "", QUIET).append(one.words, "not dim")
        lines.append(line)
        if one.fix:
            lines.append(Text(f"  → {one.fix}", QUIET))
    return [Text(title, QUIET), *lines, Text()] if lines else []


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 or value == int(value) else f"{value:.1f}"


def _cut(line: Text, width: int) -> Text:
    line.no_wrap = True
    line.truncate(max(1, width), overflow="ellipsis")
    return line
