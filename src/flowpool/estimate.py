"""What a run will take, before it is begun: from its prompts alone, or from a few of its items that were run.

Asks no provider: it is given rows or records, and knows prices and the limits that people set.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct

from flowpool import prices, providers
from flowpool.calls.decide import setting
from flowpool.calls.worst_case import most_output
from flowpool.data.rows import Rows
from flowpool.errors import InvalidItem
from flowpool.limits.ceilings import tightest
from flowpool.limits.lane_view import ceilings_of, least_seconds, together, units_of
from flowpool.plan import Plan
from flowpool.record import Record
from flowpool.run.progress import Snapshot
from flowpool.settings import Settings
from flowpool.skill import Skill
from flowpool.template import Template, look_up
from flowpool.usage import NO_USAGE, Usage
from flowpool.values import Limits

# Of English text; code and other languages take more tokens.
CHARACTERS_A_TOKEN = 4.0
# What chat templates put around a message: its role and marks of beginning and end.
TOKENS_A_MESSAGE = 4
# Prompts that are shown: enough to see a mistake in the template or in the data.
SHOWN = 3
# Items whose prompts are measured: enough for a mean, and no file is read for long.
LOOKED_AT = 200
# Draws of the bootstrap: enough that its interval hardly moves from seed to seed.
DRAWS = 1000
# Of the interval: 9 times in 10 what comes is within it.
SURE = 0.9


class StepEstimate(Struct, frozen=True):
    """What one skill takes on average for an item: tokens of its prompts, and dollars.

    most_output: tokens of the longest answer, None where nothing bounds it. is_whole: False where a step before it
    or the model's own turn fills in parts of the prompt, which are not counted. cost: of the prompts alone;
    most_cost: with the longest answers. calls: one for each turn that the model has.
    """

    name: str
    model: str
    input_tokens: float
    most_output: int | None
    is_whole: bool
    cost: float | None
    most_cost: float | None
    calls: int = 1


class Estimate(Struct, frozen=True):
    """What a run will take, by its prompts: nothing was asked of a provider.

    items: None where only reading all of them tells. known: how many of those have ended in the store, and are
    counted in nothing else. prompts: of the first items. seconds: the least that the
    limits which people set allow; None without any. looked_at: how many items were read for it. empty: how many of
    those have nothing for a variable of a prompt, by its name.
    """

    items: int | None
    prompts: list[str]
    steps: list[StepEstimate]
    seconds: float | None
    looked_at: int = 0
    empty: Mapping[str, int] = {}
    known: int = 0

    @property
    def left(self) -> int | None:
        """Items that are still to be done."""
        return None if self.items is None else self.items - self.known

    @property
    def calls(self) -> int | None:
        """Calls to models, retries aside."""
        return None if self.left is None else self.left * sum(step.calls for step in self.steps)

    @property
    def input_tokens(self) -> int | None:
        """Tokens of all prompts, about."""
        return self._all(step.input_tokens for step in self.steps)

    @property
    def cost(self) -> float | None:
        """Dollars of the prompts alone; None where a price isn't known."""
        return self._sum(step.cost for step in self.steps)

    @property
    def most_cost(self) -> float | None:
        """Dollars where every answer is as long as it may be; None where nothing bounds them."""
        return self._sum(step.most_cost for step in self.steps)

    def _all(self, each: Iterable[float]) -> int | None:
        return None if self.left is None else round(math.fsum(each) * self.left)

    def _sum(self, each: Iterable[float | None]) -> float | None:
        known = [one for one in each if one is not None]
        if self.left is None or len(known) < len(self.steps):
            return None
        return math.fsum(known) * self.left


class Range(Struct, frozen=True):
    """What is expected, and between what it is nine times in ten."""

    expected: float
    low: float
    high: float


class Forecast(Struct, frozen=True):
    """All items by some of them: dollars (None where no price is known), tokens, and seconds.

    seconds: with as many in progress as somebody chose; None where that adapts, or nothing was measured. pace: the
    items a second of those some; least: seconds that the limits allow at least. 0 where they aren't known.
    """

    cost: Range | None
    tokens: Range
    seconds: Range | None
    pace: float = 0.0
    least: float = 0.0


def estimate(plan: Plan, rows: Rows, limits: Limits | None = None, known: int = 0) -> Estimate:
    """What a run over rows will take. Reads some of them, or all where their number is known anyway.

    limits: the pool's. known: how many of the rows have ended in its store.
    """
    first = list(islice(rows, SHOWN))
    some = list(rows.sampled(LOOKED_AT)) if rows.length else first
    skills = [step for step in plan.steps() if isinstance(step.runner, Skill)]
    found = [_step(step, some, plan.variables) for step in skills]
    prompts = [
        shown(skills[0].runner, _seen(skills[0], item, plan.variables))  # type: ignore[arg-type]
        for item in first
        if skills
    ]
    seconds = None
    if rows.length and skills:
        seconds = _least_seconds(zip(skills, found, strict=True), rows.length - known, limits)
    elif rows.length and plan.is_single:  # of a function alone
        seconds = least_seconds(units_of(rows.length - known, NO_USAGE), ceilings_of(limits))
    empty: Counter[str] = Counter()
    for item in some:
        seen = ((step.runner, _seen(step, item, plan.variables)) for step in skills)
        empty.update({name for skill, values in seen for name in skill.empty(values)})  # type: ignore[union-attr]
    return Estimate(rows.length, prompts, found, seconds or None, len(some), empty, known)


def _least_seconds(
    steps: Iterable[tuple[Any, StepEstimate]], items: int, limits: Limits | None
) -> float:
    """The least time that the limits allow of all models that share calls; 0 without any."""
    units: dict[frozenset[Any], Counter[str]] = {}
    known: dict[Any, Limits] = {}
    for step, found in steps:
        models = {model.identity: model for model in step.runner.choices[0].models}
        for lane, model in models.items():
            own = setting("limits", Limits(), step=step, pool=Settings(limits=limits), model=model)
            known[lane] = tightest(known.get(lane, own), own)
        usage = Usage(round(found.input_tokens * items), 0)
        units.setdefault(frozenset(models), Counter()).update(units_of(found.calls * items, usage))
    return max(
        least_seconds(each, together([ceilings_of(known[lane]) for lane in lanes]))
        for lanes, each in units.items()
    )


def shown(skill: Skill, item: Mapping[str, Any]) -> str:
    """The prompt of an item for people to read."""
    texts, _ = rendered(skill, item)
    if len(texts) == 1:
        return texts[0]
    named = zip(skill.messages, texts, strict=True)
    return "\n".join(f"{message.role}: {text}" for message, text in named)


def rendered(skill: Skill, item: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Each message for an item, and whether all of it is known before the run; {names} stand where it isn't."""
    texts, whole = [], True
    variables = {**skill.variables, **item}
    for message in skill.messages:
        words = []
        for part in message.parts or ():
            if isinstance(part, Template):
                try:
                    words.append(part.render(variables))
                except InvalidItem:
                    words.append(part.text)
                    whole = False
            else:
                words.append(f"[{type(part).__name__.lower()}]")
                whole = False
        texts.append("\n".join(words))
    return texts, whole


def forecast(
    records: Sequence[Record], total: int, now: Snapshot, at_once: int | None = None
) -> Forecast:
    """All of `total` items by the records of some.

    now: how the run of these stood at its end. at_once: how many may be in progress, where somebody chose that.
    """
    costs = [record.cost for record in records]
    known = [cost for cost in costs if cost is not None]
    tokens = [float(record.usage.input_tokens + record.usage.output_tokens) for record in records]
    least = now.least_seconds(total)
    took = None
    if at_once and now.carried:
        span = spread(_worked(records, now, at_once), total / at_once)
        took = Range(max(span.expected, least), max(span.low, least), max(span.high, least))
    return Forecast(
        spread([cost or 0.0 for cost in costs], total) if known else None,
        spread(tokens, total),
        took,
        now.carried / now.elapsed if now.elapsed else 0.0,
        least,
    )


def _worked(records: Sequence[Record], now: Snapshot, at_once: int) -> list[float]:
    """Seconds that items took, without those in which they queued for a call: a limit of calls lets more begin."""
    # The first at once also load code and open connections, which the rest need not.
    by_start = sorted(records, key=lambda record: record.started)
    took = [record.duration for record in by_start[min(at_once, len(records) // 2) :]]
    lanes = [lane for lane in now.lanes if lane.latency]
    if len(lanes) < len(now.lanes):  # what a function takes is known of the whole item alone
        return took
    latency = {lane.name: lane.latency for lane in lanes}
    calls = math.fsum(
        now.spent[name].calls * latency[name] for name in latency if name in now.spent
    )
    mean = math.fsum(took) / len(took)
    part = min(1.0, calls / now.carried / mean) if mean and calls else 1.0
    return [part * seconds for seconds in took]


def spread(values: Sequence[float], times: float, seed: int = 0) -> Range:
    """`times` the mean of `values`, with the interval that a bootstrap gives.

    >>> spread([2.0, 2.0, 2.0], 10)
    Range(expected=20.0, low=20.0, high=20.0)
    """
    count = len(values)
    mean = math.fsum(values) / count
    chance = random.Random(seed)
    means = sorted(math.fsum(chance.choices(values, k=count)) / count for _ in range(DRAWS))
    # Draws of few values vary too little: by the small sample's own factor.
    wider = math.sqrt(count / (count - 1)) if count > 1 else 1.0
    edge = round((1 - SURE) / 2 * DRAWS)
    low, high = means[edge], means[DRAWS - 1 - edge]
    return Range(
        mean * times,
        max(0.0, mean - (mean - low) * wider) * times,
        (mean + (high - mean) * wider) * times,
    )


def _seen(step: Any, item: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """What a step sees of an item before the run, its aliases among it."""
    seen = {**shared, **step.defaults, **item}
    for name, source in step.inputs.items():
        try:
            seen[name] = look_up(source, seen)
        except InvalidItem:  # a step before it makes it
            seen.pop(name, None)
    return seen


def _step(step: Any, items: Sequence[Mapping[str, Any]], shared: Mapping[str, Any]) -> StepEstimate:
    skill: Skill = step.runner
    prompts = [rendered(skill, _seen(step, item, shared)) for item in items]
    asked = len(str(skill.answer.schema or ""))
    # What is said up to each of the model's own turns is sent anew with the next.
    turns = [at for at, message in enumerate(skill.messages[:-1]) if message.parts is None]
    calls = [*turns, len(skill.messages)]
    lengths = [[len(text) for text in texts] for texts, _ in prompts]
    per_call = [
        (
            math.fsum(sum(each[:end]) for each in lengths) / max(1, len(lengths))
            + asked * (end == calls[-1])
        )
        / CHARACTERS_A_TOKEN
        + TOKENS_A_MESSAGE * end
        for end in calls
    ]
    model = skill.models[0]
    wire = providers.PROVIDERS[model.provider].wire
    most = most_output({**model.options, **skill.options}, wire)
    rates = prices.rates_of(f"{model.provider}/{model.model}", model.prices)

    def cost(output: int | None) -> float | None:
        """Of a call of each turn with so many output tokens, in dollars."""
        if rates is None or output is None:
            return None
        return math.fsum(rates.cost(Usage(round(one), output)) for one in per_call)

    return StepEstimate(
        skill.name,
        f"{model.provider}/{model.model}",
        math.fsum(per_call),
        None if most is None else most * len(calls),
        all(whole for _, whole in prompts) and not turns,
        cost(0),
        cost(most),
        len(calls),
    )
