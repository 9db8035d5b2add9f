"""The picture: each row's times of the oracle's, by everybody who played, from the median to the worst seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bench.rates.play import Run
from bench.rates.rows import Row
from bench.rates.table import summary

LABELS, WIDTH, SHARES, LINE, GAP = 470, 520, 190, 18, 26
LEAST, MOST = 0.8, 20.0  # times of the oracle's: the scale's ends, by ratio
TICKS = (1, 1.5, 2, 3, 5, 10, 20)
COLOURS = {"flowpool": "#1f6feb", "plain": "#d1495b", "aimd": "#e0913a"}
OTHERS = ("#6a4c93", "#2a9d8f", "#777777")


def draw(results: Sequence[tuple[Row, list[Run]]], names: Sequence[str]) -> str:
    """An SVG with a line for each row: dots for medians, thin lines to the worst, a bar's end as a black stroke."""
    colours = dict(zip((n for n in names if n not in COLOURS), OTHERS, strict=False)) | COLOURS
    groups = len({row.group for row, _ in results})
    height = 3 * GAP + len(results) * LINE + groups * GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABELS + WIDTH + SHARES}" height="{height}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>',
        _legend(names, colours),
    ]
    y, group = 2 * GAP, ""
    for row, runs in results:
        if row.group != group:
            group = row.group
            y += GAP
            parts.append(_group(group, y))
        y += LINE
        parts.append(_row(row, runs, names, colours, y))
    return "\n".join([*parts, "</svg>\n"])


def _x(ratio: float) -> float:
    place = math.log(min(MOST, max(LEAST, ratio)) / LEAST) / math.log(MOST / LEAST)
    return LABELS + place * WIDTH


def _legend(names: Sequence[str], colours: dict[str, str]) -> str:
    parts = [
        f'<text x="8" y="{GAP - 8}" font-weight="bold">Times of the oracle\'s time: median (dot) and worst seed '
        "(end of the line); the bar's worst (black); refusals as a part of the items</text>"
    ]
    x = 8
    for name in names:
        parts.append(f'<circle cx="{x + 5}" cy="{GAP + 8}" r="4" fill="{colours[name]}"/>')
        parts.append(f'<text x="{x + 14}" y="{GAP + 12}">{escape(name)}</text>')
        x += 90
    return "".join(parts)


def _group(name: str, y: int) -> str:
    ticks = "".join(
        f'<text x="{_x(tick):.0f}" y="{y + 2}" text-anchor="middle" fill="#777">{tick:g}</text>'
        for tick in TICKS
    )
    return f'<text x="8" y="{y + 2}" font-weight="bold">{escape(name)}</text>{ticks}'


def _row(
    row: Row, runs: Sequence[Run], names: Sequence[str], colours: dict[str, str], y: int
) -> str:
    middle = y - 2
    parts = [f'<text x="16" y="{y + 2}">{escape(row.name)}</text>']
    parts += [
        f'<path d="M{_x(tick):.1f} {middle - LINE / 2}v{LINE}" stroke="#eee"/>' for tick in TICKS
    ]
    if row.bar.seconds is None and row.measure != "after":
        parts.append(
            f'<path d="M{_x(row.bar.worst):.1f} {middle - 7}v14" stroke="black" stroke-width="1.5"/>'
        )
    told = []
    for number, name in enumerate(names):
        of = summary(runs, name)
        at = middle + (number - (len(names) - 1) / 2) * 4
        colour = colours[name]
        parts.append(
            f'<path d="M{_x(of.median):.1f} {at}H{_x(of.worst):.1f}" stroke="{colour}" stroke-width="1.5"/>'
            f'<circle cx="{_x(of.median):.1f}" cy="{at}" r="3" fill="{colour}"/>'
        )
        told.append(f'<tspan fill="{colour}">{of.share:.1%}</tspan>')
    parts.append(f'<text x="{LABELS + WIDTH + 14}" y="{y + 2}">{" ".join(told)}</text>')
    return "".join(parts)
