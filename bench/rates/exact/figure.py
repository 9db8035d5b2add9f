"""The figure: for each case, what is admitted over time against the limit, by a pool and by fixed windows."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.rates.exact.case import Case
from bench.rates.exact.lab import Outcome, play

WIDTH, HEIGHT, GAP, COLUMNS = 300, 120, 44, 4
TOP = 1.6  # times the limit: what the panels show at most
COLOURS = {None: "#1f6feb", 1: "#c9c9c9", 10: "#9b9b9b", 100: "#e0913a", 1_000: "#d1495b"}
POINTS = 90  # on a line


def draw(cases: Sequence[Case]) -> str:
    """An SVG with a panel for each case, of the run with seed 0."""
    rows = -(-len(cases) // COLUMNS)
    width, height = COLUMNS * (WIDTH + GAP) + GAP, rows * (HEIGHT + GAP) + 2 * GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        f'font-size="10"><rect width="100%" height="100%" fill="white"/>',
        f'<g transform="translate({GAP},24)">{_legend()}</g>',
    ]
    for number, case in enumerate(cases):
        row, column = divmod(number, COLUMNS)
        x, y = GAP + column * (WIDTH + GAP), 2 * GAP + row * (HEIGHT + GAP)
        parts.append(f'<g transform="translate({x},{y})">{_panel(case)}</g>')
    return "\n".join([*parts, "</svg>"])


def _legend() -> str:
    parts, x = [], 0
    for flows, colour in COLOURS.items():
        name = "nothing configured" if flows is None else f"{flows:,} flows"
        parts.append(f'<rect x="{x}" y="-8" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 20}" y="-2">{name}</text>')
        x += 150
    parts.append(
        f'<text x="{x}" y="-2">calls admitted over time; the dashed line is the limit</text>'
    )
    return "".join(parts)


def _panel(case: Case) -> str:
    windows = [n for n in COLOURS if n is not None and case.fixed]
    lines = [_line(case, play(case, 0, flows), COLOURS[flows], 1) for flows in windows]
    lines.append(_line(case, play(case, 0), COLOURS[None], 2))
    limit = HEIGHT * (1.0 - 1.0 / TOP)
    return (
        f'<text y="-18" font-weight="bold">{escape(case.group[:58])}</text>'
        f'<text y="-6">{escape(case.name)}</text>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ddd"/>'
        f'<path d="M0 {limit:.1f}H{WIDTH}" stroke="black" stroke-dasharray="4 3"/>'
        f'<text x="{WIDTH}" y="{HEIGHT + 12}" text-anchor="end">{case.seconds:.0f} s</text>'
        + "".join(lines)
    )


def _line(case: Case, outcome: Outcome, colour: str, width: int) -> str:
    limits = case.limits()
    name = max(limits, key=lambda d: sum(outcome.taken[d]) / limits[d]) if limits else ""
    units = outcome.taken[name] if limits else [float(n) for n in outcome.answers]
    allowed = limits[name] if limits else case.slots_give()
    seconds = int(case.seconds)
    step = max(1, -(-seconds // POINTS), round(5 * allowed**-1) if name == "requests" else 1)
    points = []
    for start in range(0, seconds - step + 1, step):
        rate = sum(units[start : start + step]) / step / allowed
        x, y = (start + step / 2) / seconds * WIDTH, HEIGHT * (1.0 - min(TOP, rate) / TOP)
        points.append(f"{x:.1f},{y:.1f}")
    return f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
