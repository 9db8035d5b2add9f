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
from flowpool.calls.worst_case import most_output
from flowpool.data.rows import Rows
from flowpool.errors import InvalidItem
from flowpool.plan import Plan
from flowpool.record import Record
from flowpool.skill import Skill
from flowpool.template import Template, look_up
from flowpool.usage import Usage
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
    """What one skill's calls take on average: tokens of a prompt, and dollars a call.

    most_output: tokens of the longest answer, None where nothing bounds it. is_whole: False where a step before it
    fills in parts of the prompt, which are not counted. cost: of the prompt alone; most_cost: with the longest
    answer.
    """

    name: str
    model: str
    input_tokens: float
    most_output: int | None
    is_whole: bool
    cost: float | None
    most_cost: float | None


class Estimate(Struct, frozen=True):
    """What a run will take, by its prompts: nothing was asked of a provider.

    items: None where only reading all of them tells. prompts: of the first items. seconds: the least that the
    limits which people set allow; None without any. looked_at: how many items were read for it. empty: how many of
    those have nothing for a variable of a prompt, by its name.
    """

    items: int | None
    prompts: list[str]
    steps: list[StepEstimate]
    seconds: float | None
    looked_at: int = 0
    empty: Mapping[str, int] = {}

    @property
    def calls(self) -> int | None:
        """Calls to models, retries aside."""
        return None if self.items is None else self.items * len(self.steps)

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
        return None if self.items is None else round(math.fsum(each) * self.items)

    def _sum(self, each: Iterable[float | None]) -> float | None:
        known = [one for one in each if one is not None]
        if self.items is None or len(known) < len(self.steps):
            return None
        return math.fsum(known) * self.items


class Range(Struct, frozen=True):
    """What is expected, and between what it is nine times in ten."""

    expected: float
    low: float
    high: float


class Forecast(Struct, frozen=True):
    """All items by some of them: dollars (None where no price is known), tokens, and seconds at a pace."""

    cost: Range | None
    tokens: Range
    seconds: Range | None


def estimate(plan: Plan, rows: Rows, limits: Limits | None = None) -> Estimate:
    """What a run over rows will take. Reads some of them, or all where their number is known anyway."""
    first = list(islice(rows, SHOWN))
    some = list(rows.sampled(LOOKED_AT)) if rows.length else first
    skills = [step for step in plan.steps() if isinstance(step.runner, Skill)]
    found = [_step(step, some, plan.variables) for step in skills]
    prompts = [
        rendered(skills[0].runner, _seen(skills[0], item, plan.variables))[0]  # type: ignore[arg-type]
        for item in first
        if skills
    ]
    seconds = None
    if rows.length:
        ceilings = [limits, *(skills[at].runner.models[0].limits for at in range(len(skills)))]  # type: ignore[union-attr]
        tokens = rows.length * math.fsum(step.input_tokens for step in found)
        seconds = least_seconds(rows.length * len(skills), tokens, ceilings)
    empty: Counter[str] = Counter()
    for item in some:
        seen = ((step.runner, _seen(step, item, plan.variables)) for step in skills)
        empty.update({name for skill, values in seen for name in skill.empty(values)})  # type: ignore[union-attr]
    return Estimate(rows.length, prompts, found, seconds, len(some), empty)


def rendered(skill: Skill, item: Mapping[str, Any]) -> tuple[str, bool]:
    """The prompt of an item, and whether all of it is known before the run; {names} stand where it isn't."""
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
        said = "\n".join(words)
        texts.append(said if len(skill.messages) == 1 else f"{message.role}: {said}")
    return "\n".join(texts), whole


def least_seconds(calls: float, tokens: float, limits: Iterable[Limits | None]) -> float | None:
    """The least time that so many calls and tokens take under limits of rates; None where none is known."""
    minutes = [0.0]
    for known in limits:
        if known is None:
            continue
        minutes += [calls / known.rpm] if known.rpm else []
        minutes += [tokens / known.tpm] if known.tpm else []
    longest = max(minutes)
    return longest * 60.0 if longest else None


def forecast(
    records: Sequence[Record], total: int, at_once: float | None, floor: float
) -> Forecast:
    """All of `total` items by the records of some.

    at_once: how many are in progress. floor: seconds that the limits take at least.
    """
    costs = [record.cost for record in records]
    known = [cost for cost in costs if cost is not None]
    tokens = [float(record.usage.input_tokens + record.usage.output_tokens) for record in records]
    pace = None
    if at_once:
        # The first at once also load code and open connections, which the rest need not.
        warm = sorted(records, key=lambda record: record.started)[
            min(int(at_once), len(records) // 2) :
        ]
        took = [record.duration for record in warm]
        span = spread(took, total / at_once)
        pace = Range(max(span.expected, floor), max(span.low, floor), max(span.high, floor))
    return Forecast(
        spread([cost or 0.0 for cost in costs], total) if known else None,
        spread(tokens, total),
        pace,
    )


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
    characters = math.fsum(len(text) for text, _ in prompts) / max(1, len(prompts))
    asked = len(str(skill.answer.schema or ""))
    tokens = (characters + asked) / CHARACTERS_A_TOKEN + TOKENS_A_MESSAGE * len(skill.messages)
    model = skill.models[0]
    wire = providers.PROVIDERS[model.provider].wire
    most = most_output({**model.options, **skill.options}, wire)
    rates = prices.rates_of(f"{model.provider}/{model.model}", model.prices)
    return StepEstimate(
        skill.name,
        f"{model.provider}/{model.model}",
        tokens,
        most,
        all(whole for _, whole in prompts),
        None if rates is None else rates.cost(Usage(round(tokens), 0)),
        None if rates is None or most is None else rates.cost(Usage(round(tokens), most)),
    )
