"""What a runner does to an item, as stages of steps, and whether an item has what it needs. Knows no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

from flowpool.chain import Chain, OnStepError, Stage, Step
from flowpool.errors import InvalidInput, MissingColumn
from flowpool.skill import Skill
from flowpool.tools.base import Tool


class Plan:
    """A runner as stages: the steps of a stage run side by side, the stages one after another."""

    # fmt: off
    __slots__ = (
        "is_single", "name", "on_step_error", "stages", "step_paths", "subplans", "variables",
    )
    # fmt: on

    def __init__(
        self, runner: Skill | Chain | Tool, on_step_error: OnStepError | None = None
    ) -> None:
        self.name = runner.name
        self.stages: tuple[Stage, ...]
        self.variables: Mapping[str, Any]
        # A lone skill or tool: its output is the item's, and there is nothing to keep books of.
        self.is_single = not isinstance(runner, Chain)
        if isinstance(runner, Chain):
            self.stages, self.variables = runner.stages, runner.variables
            self.on_step_error = on_step_error or runner.on_step_error
        else:
            self.stages, self.variables = ((Step(runner),),), {}
            self.on_step_error = "raise"
        self.subplans = {
            step: Plan(step.runner) for step in self._own_steps() if isinstance(step.runner, Chain)
        }
        # How records call each step: its stage and its key, below those of the chain that it stands in.
        self.step_paths = dict(self._named_steps(""))

    def steps(self) -> Iterator[Step]:
        """Every step that calls something, those of nested chains too."""
        for step in self._own_steps():
            if step in self.subplans:
                yield from self.subplans[step].steps()
            else:
                yield step

    @property
    def output_key(self) -> str:
        """What to call an output without fields: a chain's last key; "output" for a lone skill or tool."""
        return "output" if self.is_single else self.stages[-1][-1].key

    def _named_steps(self, above: str) -> Iterator[tuple[Step, str]]:
        for number, stage in enumerate(self.stages, 1):
            for step in stage:
                step_path = f"{above}{number}.{step.key}"
                yield step, step_path
                if step in self.subplans:
                    yield from self.subplans[step]._named_steps(f"{step_path}/")

    def _own_steps(self) -> Iterator[Step]:
        return (step for stage in self.stages for step in stage)

    def lacks(self, names: Iterable[str]) -> tuple[Step, str] | None:
        """The first step that an item with these variables can't feed, and the variable it lacks.

        What a tool's dict output will add isn't known before it ran: after such a step nothing is lacking.
        """
        known = set(names) | self.variables.keys()
        for stage in self.stages:
            for step in stage:
                if lacking := self._step_lacks(step, known):
                    return lacking
            known.update(step.key for step in stage)
            for step in stage:
                spread = _spread_names(step.runner)
                if spread is None:
                    return None
                known.update(spread)
        return None

    def _step_lacks(self, step: Step, known: Set[str]) -> tuple[Step, str] | None:
        for source in step.inputs.values():
            if source.partition(".")[0] not in known:
                return step, source.partition(".")[0]
        names = known | step.inputs.keys() | step.defaults.keys()
        runner = step.runner
        if isinstance(runner, Skill):
            return next(((step, name) for name in sorted(runner.names - names)), None)
        if isinstance(runner, Tool):
            return next(((step, name) for name in runner.missing(names)), None)
        return self.subplans[step].lacks(names)


def _spread_names(runner: Skill | Chain | Tool) -> Iterable[str] | None:
    """The variables that a step's output adds beside its key, or None where only a run can tell."""
    if isinstance(runner, Skill):
        return runner.answer.names
    if isinstance(runner, Tool):
        return runner.outputs
    return None


class ItemCheck:
    """Refuses an item that its plan can't run: in one line, with the position and the fix."""

    def __init__(self, plan: Plan, shared: Iterable[str]) -> None:
        self._plan = plan
        self._shared = tuple(shared)
        self.good: set[tuple[str, ...]] = set()  # names that were found to be enough

    def problem(self, item: Any, index: int) -> str | None:
        """What is wrong with the item, or None."""
        if not isinstance(item, Mapping):
            return (
                f"items[{index}] is {_shown(item)}, not a dict: "
                f"pass variables by name, such as {{{self._example()!r}: {_shown(item)}}}."
            )
        names = tuple(item)
        if names in self.good:
            return None
        for name in names:
            if not isinstance(name, str):
                return f"items[{index}] has the name {name!r}: variable names are text."
        lacking = self._plan.lacks((*self._shared, *names))
        if lacking is None:
            self.good.add(names)
            return None
        step, name = lacking
        there = ", ".join((*names, *self._shared)) or "nothing"
        return (
            f"items[{index}] has no {name!r}, which {step.runner.name!r} needs "
            f"(it has: {there}): add it to the item, or pass it in run(variables=...)."
        )

    def check(self, item: Any, index: int) -> None:
        """Raises `InvalidInput` for an item that can't run."""
        if problem := self.problem(item, index):
            raise InvalidInput(problem)

    def check_columns(self, columns: Iterable[Any], source: str) -> None:
        """Raises `MissingColumn` for a source whose rows can't run, as they have these columns and no others."""
        names = tuple(columns)
        variables = [name for name in names if isinstance(name, str)]
        if (lacking := self._plan.lacks((*self._shared, *variables))) is not None:
            step, name = lacking
            raise MissingColumn(source, name, step.runner.name, names)

    def _example(self) -> str:
        lacking = self._plan.lacks(self._shared)
        return lacking[1] if lacking else "text"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
