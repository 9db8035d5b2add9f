"""The rows of the table: what a pool with nothing configured must reach against each kind of provider.

A run lasts 60 seconds and 600 calls at least, after the time that the bar leaves for finding the limit. What is
allowed in a stretch is what the buckets hold at its begin and what is refilled until its end; 429s count from the
first call on. Latency is lognormal around 0.3 s, the way to the provider 2 ms more or less, and the moment of the
start is random. At 30,000 calls a minute only a tenth of the seeds is played.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.rates.exact.case import Case, Trouble, Work
from flowpool.simulator import Fixed, Lognormal, Profile

LATENCY = Lognormal(0.3, 0.3)
OPEN = 1e9  # a limit that never binds
SLOW, QUICK = 600, 60  # calls and seconds that a run lasts at least


def _profile(headers: Any, **limits: Any) -> Profile:
    limits.setdefault("latency", LATENCY)
    return Profile(headers=headers, **limits)


def _length(calls_a_minute: float, drains: float = 0.0) -> float:
    return max(QUICK, SLOW / (calls_a_minute / 60.0), drains)


def _openai() -> Iterator[Case]:
    for meaning in ("capacity", "rate", "hidden"):
        for rpm in (60, 600, 3_000, 30_000):
            for depth in (1, 10) if meaning == "hidden" else (1, 10, 60):
                yield _told(meaning, rpm, depth)
        for calls, depth in ((60, 60), (600, 10), (3_000, 1), (3_000, 60), (30_000, 1)):
            if meaning != "hidden" or depth <= 10:
                yield _told(meaning, calls, depth, tokens=True)


def _told(meaning: Any, calls: int, depth: float, *, tokens: bool = False) -> Case:
    """OpenAI-like headers; by tokens, so many calls of 100 tokens each are allowed, a call asking for 100."""
    limits: dict[str, Any] = {"meaning": meaning, "depth": depth, "charges": "reserved"}
    if meaning == "hidden":
        limits |= {"depth": 60, "hidden_window": depth}
    limits |= {"rpm": 2 * calls, "tpm": 100 * calls} if tokens else {"rpm": calls, "tpm": OPEN}
    return Case(
        group=f"OpenAI-like headers, limit means {_MEANINGS[meaning]}",
        name=f"{calls:,}/min{' by tokens' if tokens else ''}, {_depth(meaning)} {depth:g} s",
        profile=_profile("openai", **limits),
        spans=((0.0, _length(calls, 1.5 * depth)),),
        bar=0.97,
        most=0.01 if meaning == "hidden" else 0.005,
        fixed=meaning == "capacity",  # what the headers mean is nothing to those who ignore them
        part=0.1 if calls > 20_000 else 1.0,
        work=Work(max_tokens=100) if tokens else Work(),
    )


_MEANINGS = {
    "capacity": "the bucket's size",
    "rate": "a minute's rate",
    "hidden": "a minute, enforced in less",
}


def _depth(meaning: str) -> str:
    return "window of" if meaning == "hidden" else "bucket of"


def _anthropic() -> Iterator[Case]:
    for name, limits, depth in (
        ("50/min", {"rpm": 50}, 60),
        ("1,000/min", {"rpm": 1_000}, 60),
        ("4,000/min", {"rpm": 4_000}, 10),
        ("input bound, 100,000 tokens/min", {"rpm": 4_000, "input_tpm": 100_000}, 60),
        ("output bound, 40,000 tokens/min", {"rpm": 4_000, "output_tpm": 40_000}, 60),
        ("output bound, 400,000 tokens/min", {"rpm": 30_000, "output_tpm": 400_000}, 10),
    ):
        told: dict[str, Any] = {"input_tpm": OPEN, "output_tpm": OPEN, **limits}
        calls = min(told["rpm"], told["input_tpm"] / 100, told["output_tpm"] / 60)
        yield Case(
            group="Anthropic-like headers: whole seconds, tokens rounded to thousands",
            name=f"{name}, bucket of {depth} s",
            profile=_profile("anthropic", depth=depth, **told),
            spans=((0.0, _length(calls, 2.0 * depth)),),
            bar=0.97,
            most=0.005,
            work=Work(output=60.0),
        )


def _untold(headers: str, group: str, after: float) -> Iterator[Case]:
    for rpm in (60, 600, 6_000):
        for depth in (1, 10, 60):
            if headers == "gemini" and depth == 10:
                continue
            yield Case(
                group=group,
                name=f"{rpm:,}/min, bucket of {depth} s",
                profile=_profile(headers, rpm=rpm, depth=depth),
                spans=((after, after + _length(rpm)),),
                bar=0.95,
                most=0.01,
            )


def _moves() -> Iterator[Case]:
    group = "the limit halves at 120 s, then doubles at 240 s"
    for headers, rpm, depth in (
        ("openai", 600, 60),
        ("openai", 3_000, 1),
        ("none", 600, 10),
        ("none", 3_000, 1),
    ):
        yield Case(
            group=group,
            name=f"{rpm:,}/min, bucket of {depth} s, {'headers' if headers == 'openai' else 'no headers'}",
            profile=_profile(headers, rpm=rpm, depth=depth),
            spans=((140.0, 240.0), (300.0, 360.0)),
            bar=0.95,
            most=0.02,
            changes=((120.0, 0.5), (240.0, 1.0)),
        )


def _slots() -> Iterator[Case]:
    for slots in (4, 16, 64, 256):
        yield Case(
            group="slots only: a queue without end, no 429",
            name=f"{slots} slots",
            profile=_profile("none", slots=slots, latency=Lognormal(1.0, 0.3)),
            spans=((30.0, 30.0 + max(60.0, 2_000 / slots)),),
            bar=0.95,
            measure="slots",
        )


def _processes() -> Iterator[Case]:
    for headers, rpm, depth in (("openai", 3_000, 1), ("openai", 3_000, 60), ("none", 3_000, 10)):
        for processes in (4, 8):
            yield Case(
                group="several processes on one key",
                name=f"{processes} of them, {rpm:,}/min, bucket of {depth} s, {headers}",
                profile=_profile(headers, rpm=rpm, depth=depth),
                spans=((30.0 if headers == "none" else 10.0, 120.0),),
                bar=0.97,
                most=0.01,
                processes=processes,
                fixed=False,
            )


def _varied() -> Iterator[Case]:
    work = Work(tokens=500.0, output=100.0, spread=10.0)
    group = "token costs that vary 100-fold"
    for headers, limits in (
        ("openai", {"rpm": 10_000, "tpm": 500_000, "depth": 60, "charges": "reserved"}),
        ("openai", {"rpm": 10_000, "tpm": 500_000, "depth": 10, "meaning": "rate", "charges": "produced"}),
        ("anthropic", {"rpm": 10_000, "input_tpm": 500_000, "output_tpm": OPEN, "depth": 60}),
        ("anthropic", {"rpm": 10_000, "input_tpm": OPEN, "output_tpm": 100_000, "depth": 60}),
        ("gemini", {"rpm": 10_000, "tpm": 500_000, "depth": 60}),
        ("none", {"rpm": 10_000, "tpm": 500_000, "depth": 10}),
    ):  # fmt: skip
        told: dict[str, Any] = limits
        names = ("tpm", "input_tpm", "output_tpm")
        binding = next(name for name in names if told.get(name, OPEN) < OPEN)
        after = {"gemini": 15.0, "none": 30.0}.get(headers, 0.0)
        calls = told[binding] / (210.0 if binding == "output_tpm" else 1050.0)
        yield Case(
            group=group,
            name=f"{headers}, {told[binding]:,} {binding}, bucket of {told['depth']} s",
            profile=_profile(headers, **told),
            spans=((after, after + _length(calls, 2.0 * told["depth"])),),
            bar=0.95,
            most=0.01,
            work=work,
        )


def _outages() -> Iterator[Case]:
    for headers in ("openai", "none"):
        yield Case(
            group="20 % of calls answered 500 for a minute, then a dead minute",
            name=f"3,000/min, bucket of 1 s, {headers}",
            profile=_profile(headers, rpm=3_000, depth=1, latency=Fixed(0.3)),
            spans=((0.0, 600.0),),
            bar=1.0,
            measure="items",
            troubles=(Trouble(20.0, 80.0, 0.2), Trouble(80.0, 140.0, 1.0, 503)),
            items=6_000,
            fixed=False,
        )


CASES: tuple[Case, ...] = (
    *_openai(),
    *_anthropic(),
    *_untold("gemini", "Gemini-like: no headers, RetryInfo in the body", 15.0),
    *_untold("none", "no headers, no Retry-After", 30.0),
    *_moves(),
    *_slots(),
    *_processes(),
    *_varied(),
    *_outages(),
)
