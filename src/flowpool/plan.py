"""What a runner does to an item, as stages of steps, and whether an item has what it needs. Knows no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from typing import Any

from msgspec import Struct

from flowpool.braces import head_of, near, variable_in
from flowpool.chain import Chain, OnStepError, Stage, Step
from flowpool.errors import ConstantPrompt, InvalidInput, MissingColumn
from flowpool.skill import Skill
from flowpool.tools.base import Tool
from flowpool.values import AnswerColumns


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
    def answers(self) -> AnswerColumns:
        """Its outputs as columns: one without fields is called as a chain's last key is."""
        last = self.stages[-1]
        name = "output" if self.is_single else last[-1].key
        if len(last) > 1:  # side by side: an output for each
            each = ((step.key, self._answers_of(step, step.key)) for step in last)
            return AnswerColumns(name, {key: found.kind or "" for key, found in each})
        return self._answers_of(last[0], name)

    def _answers_of(self, step: Step, name: str) -> AnswerColumns:
        runner = step.runner
        if step in self.subplans:
            inner = self.subplans[step].answers
            return AnswerColumns(name, inner.fields, inner.kind)
        if isinstance(runner, Skill):
            return runner.answer.columns(name)
        is_plain = isinstance(runner, Tool) and runner.outputs is not None
        names = tuple(runner.outputs or ()) if is_plain else ()  # type: ignore[union-attr]
        return AnswerColumns(name, dict.fromkeys(names, ""), "" if is_plain else None)

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
        for view in self._views(names):
            if view.is_whole and (name := view.lacks()) is not None:
                return view.step, name
        return None

    def mistake(self, names: Iterable[str]) -> tuple[Step, str] | None:
        """The first step whose prompt has braces that are nearly a variable, and what is wrong with them."""
        for view in self._views(names):
            runner = view.step.runner
            if isinstance(runner, Skill) and (mistake := runner.mistake(view.seen)) is not None:
                return view.step, mistake
        return None

    def constant(self, names: Collection[str], shared: Iterable[str]) -> Step | None:
        """The first step whose prompt is the same for all items with these variables beside the shared ones."""
        for view in self._views((*shared, *names), names):
            if isinstance(view.step.runner, Skill) and view.is_whole and not view.varies:
                return view.step
        return None

    def _views(
        self, names: Iterable[str], own: Iterable[str] = (), is_whole: bool = True
    ) -> Iterator[_View]:
        """What each step that calls something sees of an item with these variables, of which some are its own."""
        known = set(names) | self.variables.keys()
        varying = set(own)
        for stage in self.stages:
            for step in stage:
                view = _View.of(step, known, varying, is_whole)
                yield view
                if step in self.subplans and (not is_whole or view.lacks() is None):
                    yield from self.subplans[step]._views(view.seen, view.own, is_whole)
            for step in stage:
                spread = _spread_names(step.runner)
                is_whole = is_whole and spread is not None
                added = {step.key, *(spread or ())}
                known, varying = known | added, varying | added


class _View(Struct, frozen=True):
    """A step and the variables that it sees.

    own: those that vary from item to item. is_whole: whether `seen` are all of them. unfilled: the
    first of its aliases' sources that isn't there.
    """

    step: Step
    seen: Set[str]
    own: Set[str]
    is_whole: bool
    unfilled: str | None

    @classmethod
    def of(cls, step: Step, known: Set[str], own: Set[str], is_whole: bool) -> _View:
        sources = {name: variable_in(path, known) for name, path in step.inputs.items()}
        varying = {name for name, source in sources.items() if source in own}
        unfilled = (step.inputs[name] for name, source in sources.items() if source is None)
        return cls(
            step,
            known | sources.keys() | step.defaults.keys(),
            (own - sources.keys()) | varying,
            is_whole,
            next(unfilled, None),
        )

    def lacks(self) -> str | None:
        """A variable that the step needs and that isn't there."""
        runner = self.step.runner
        if self.unfilled is not None:
            return head_of(self.unfilled)
        if isinstance(runner, Skill):
            lacking = (p for p in sorted(runner.names) if variable_in(p, self.seen) is None)
            return next(map(head_of, lacking), None)
        return next(iter(runner.missing(self.seen)), None) if isinstance(runner, Tool) else None

    @property
    def varies(self) -> bool:
        """Whether anything in the skill's prompt is an item's own, or made of it."""
        runner = self.step.runner
        assert isinstance(runner, Skill)
        return self.lacks() is not None or not self.own.isdisjoint(runner.used(self.seen))


def _spread_names(runner: Skill | Chain | Tool) -> Iterable[str] | None:
    """The variables that a step's output adds beside its key, or None where only a run can tell."""
    if isinstance(runner, Skill):
        return runner.answer.names
    if isinstance(runner, Tool):
        return runner.outputs
    return None


class ItemCheck:
    """Refuses an item that its plan can't run: in one line, with the position and the fix.

    shared: the variables of all items. constant_prompt: whether a prompt that is the same for all items is meant.
    """

    def __init__(self, plan: Plan, shared: Iterable[str], *, constant_prompt: bool = False) -> None:
        self._plan = plan
        self._shared = tuple(shared)
        self._constant_prompt = constant_prompt
        self.good: set[tuple[str, ...]] = set()  # names that were found to be enough

    def problem(self, item: Any, index: int) -> InvalidInput | None:
        """What is wrong with the item, or None."""
        if not isinstance(item, Mapping):
            return InvalidInput(
                f"items[{index}] is {_shown(item)}, not a dict: "
                f"pass variables by name, such as {{{self._example()!r}: {_shown(item)}}}."
            )
        names = tuple(item)
        if names in self.good:
            return None
        for name in names:
            if not isinstance(name, str):
                return InvalidInput(
                    f"items[{index}] has the name {name!r}: variable names are text."
                )
        if mistake := self._mistake(names, f"items[{index}]"):
            return mistake
        lacking = self._plan.lacks((*self._shared, *names))
        if lacking is None:
            self.good.add(names)
            return None
        step, name = lacking
        there = ", ".join((*names, *self._shared)) or "nothing"
        problem = (
            f"items[{index}] has no {name!r}, which {step.runner.name!r} needs (it has: {there})"
        )
        fix = "add it to the item, or pass it in run(variables=...)"
        if isinstance(step.runner, Skill):
            fix += f"; \\{{{name}}} would be the braces themselves"
        elif not self._plan.is_single:
            fix = f"say which variable it is in the step's map, as {{{name!r}: ...}}, or {fix}"
        return MissingColumn(problem, name, names, near(name, names), fix)

    def check(self, item: Any, index: int) -> None:
        """Raises `InvalidInput` for an item that can't run."""
        if problem := self.problem(item, index):
            raise problem

    def check_columns(self, columns: Iterable[str], source: str) -> None:
        """Raises `MissingColumn` for a source whose rows can't run, as they have these columns and no others."""
        names = tuple(columns)
        if mistake := self._mistake(names, source):
            raise mistake
        if (lacking := self._plan.lacks((*self._shared, *names))) is not None:
            step, name = lacking
            there = ", ".join(names)
            raise MissingColumn(
                f"{source}: no column {name!r}, which {step.runner.name!r} needs (there are: {there})",
                name,
                names,
                near(name, names),
                f"name the one that it is with columns={{{name!r}: ...}}, pass it in run(variables=...), "
                f"or write \\{{{name}}} for the braces themselves",
            )

    def _mistake(self, names: tuple[str, ...], where: str) -> InvalidInput | None:
        """What is wrong with the plan's prompts for items that have these variables and no others."""
        whole = (*self._shared, *names)
        if found := self._plan.mistake(whole):
            step, mistake = found
            return InvalidInput(f"{where}: {step.runner.name!r}: {mistake}.")
        # Items without any variable are the same by intent.
        if self._constant_prompt or not names or self._plan.lacks(whole):
            return None
        constant = self._plan.constant(names, self._shared)
        return ConstantPrompt(where, constant.runner.name, names) if constant is not None else None

    def _example(self) -> str:
        lacking = self._plan.lacks(self._shared)
        return lacking[1] if lacking else "text"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
