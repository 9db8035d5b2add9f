"""A flow's way through its plan: one stage after another, the steps of a stage side by side.

Knows no items and no ends: gives the last output, or raises what went wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from functools import partial
from typing import Any

from flowpool.braces import variable_in
from flowpool.calls.flow import MISSING, Flow, Rank, StepCall
from flowpool.calls.model_calls import ModelCalls
from flowpool.calls.tool_calls import ToolCalls
from flowpool.chain import Chain, Step
from flowpool.checkpoint.identity import Identity
from flowpool.checkpoint.output_codec import Origins, encoded, restored
from flowpool.encoding import CantEncode
from flowpool.errors import FlowpoolError, InvalidOutput, NotFinished, StepFailed
from flowpool.plan import Plan
from flowpool.run.dedupe import Dedupe
from flowpool.run.empties import Empties
from flowpool.run.slots import Slots
from flowpool.settings import Settings
from flowpool.skill import Skill
from flowpool.structured import fields_of
from flowpool.template import look_up
from flowpool.tools.base import Tool


class Steps:
    """The steps of a run's plan, prepared to be called."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        model_calls: ModelCalls,
        tool_calls: ToolCalls,
        slots: Slots,
        empties: Empties,
    ) -> None:
        """Finds each step's lanes, endpoints and keys; raises `InvalidInput` for what is missing."""
        self._plan = plan
        self._settings = settings
        self._model_calls = model_calls
        self._tool_calls = tool_calls
        self._slots = slots
        self._empties = empties
        self._loop = asyncio.get_running_loop()
        self._identity: Identity | None = None
        self._dedupe: Dedupe | None = None
        self._answers: Callable[[Sequence[bytes]], Any] | None = None
        self.accumulated: dict[str, Any] = {}
        for step in plan.steps():
            if isinstance(step.runner, Skill):
                model_calls.prepare(step, step.runner, plan.step_paths[step])
            elif isinstance(step.runner, Tool):
                tool_calls.prepare(step, step.runner, plan.step_paths[step])

    def tell_apart(
        self, identity: Identity, answers: Callable[[Sequence[bytes]], Any] | None
    ) -> None:
        """From now on each call is looked for in its flow's log, where there is one; with `dedupe`, identical calls
        are sent once.

        answers: of the log: gives the output that a call had in any item, or `MISSING`.
        """
        dedupe = self._settings.dedupe
        has_use = self._settings.remembers_steps(is_single=self._plan.is_single)
        if not has_use or (answers is None and not dedupe):
            return
        self._identity = identity
        self._answers = answers
        if dedupe:
            self._dedupe = Dedupe(self._slots)

    async def carry(self, variables: Mapping[str, Any], flow: Flow) -> Any:
        """The plan's output for these variables."""
        if self._plan.is_single:
            return await self._execute(StepCall(self._plan.stages[0][0], variables, flow))
        return await self._follow(self._plan, variables, flow, Rank.NEW)

    async def _follow(
        self,
        plan: Plan,
        given: Mapping[str, Any],
        flow: Flow,
        rank: float,
        made: Set[str] = frozenset(),
    ) -> Any:
        """The stages of a plan, one after another; gives the last output. made: as of `StepCall`."""
        variables = {**plan.variables, **given}
        if flow.history is not None and plan is self._plan:
            self.accumulated = variables
        output: Any = None
        for stage in plan.stages:
            rank -= 1.0  # items nearer their end go first
            calls = [StepCall(step, variables, flow, rank, made) for step in stage]
            if len(calls) == 1:
                outputs = [await self._attempt_step(plan, calls[0])]
            else:
                outputs = await self._side_by_side(plan, calls, flow)
            for step, result in zip(stage, outputs, strict=True):
                if isinstance(result, _Skipped):
                    if plan.on_step_error == "stop":
                        return output
                    continue
                output = result
                new = {step.key: result}
                # A tool's record is one value; a skill's or chain's typed answer spreads as a dict does.
                if isinstance(result, Mapping) or not isinstance(step.runner, Tool):
                    new |= fields_of(result)
                variables.update(new)
                made = made | new.keys()
            if len(stage) > 1:
                output = {step.key: variables.get(step.key) for step in stage}
        return output

    async def _side_by_side(self, plan: Plan, calls: list[StepCall], flow: Flow) -> list[Any]:
        going = len(calls)
        flow.branches += going - 1

        def ended(_: object) -> None:
            nonlocal going
            going -= 1
            if going:  # the last one's branch is the flow's own again
                self._slots.park(flow)

        tasks = []
        for call in calls:
            tasks.append(self._loop.create_task(self._attempt_step(plan, call)))
            tasks[-1].add_done_callback(ended)
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._slots.retake(flow)

    async def _attempt_step(self, plan: Plan, call: StepCall) -> Any:
        """A step's output, or `_Skipped` where the chain goes on without it."""
        if call.flow.is_cut:  # the step before swallowed that
            raise asyncio.CancelledError
        step = call.step
        try:
            if step.inputs:
                aliases = {
                    name: look_up(path, call.variables) for name, path in step.inputs.items()
                }
                if call.made:
                    call.made = _made_aliases(step.inputs, call.variables, call.made)
                call.variables = {**call.variables, **aliases}
            if step in plan.subplans:
                output = await self._follow(
                    plan.subplans[step], call.variables, call.flow, call.rank, call.made
                )
            else:
                output = await self._execute(call)
        except FlowpoolError as error:
            _note(call, None, error)
            if plan.on_step_error == "raise" or isinstance(error, NotFinished):
                error.add_note(f"in the step {step.runner.name!r} ({step.key})")
                raise
            return _Skipped(error)
        _note(call, output, None)
        return output

    async def _execute(self, call: StepCall) -> Any:
        try:
            if self._skips(call.step.runner, call.variables):
                return None
            if self._identity is not None:
                calls = await self._identity.calls(call.step, call.variables, call.made)
                if calls:
                    return await self._recall_or_make(call, calls)
            return await self._make(call)
        except FlowpoolError:
            raise
        except Exception as error:  # a value's own code, while a prompt or arguments are made of it
            raise StepFailed(call.step.runner.name, error) from error

    def _skips(self, runner: Skill | Chain | Tool, variables: Mapping[str, Any]) -> bool:
        """Whether nothing is asked, as there is nothing in a variable of the prompt."""
        if not isinstance(runner, Skill) or _has_texts(runner, variables):
            return False
        return self._empties.skips(runner, variables)

    async def _make(self, call: StepCall) -> Any:
        if isinstance(call.step.runner, Skill):
            return await self._model_calls.ask(call)
        return await self._tool_calls.use(call)

    async def _recall_or_make(self, call: StepCall, calls: tuple[bytes, ...]) -> Any:
        """The output that this call had before, for this item or, with `dedupe`, for any; else a new one."""
        made_of = calls[0]
        step, log = call.step, call.flow.log
        step_path = self._plan.step_paths[step]
        if log is not None and (known := log.recall(step_path, calls)) is not MISSING:
            with suppress(InvalidOutput):  # its type refuses it now
                return restored(step.runner, known, log.origins)
        if self._dedupe is None:
            output = await self._make(call)
        else:
            look_up = partial(self._look_up, step, calls)
            make = partial(self._make_to_share, call)
            output, origins = await self._dedupe.once(made_of, call.flow, look_up, make)
            if log is not None:
                log.origins.note_all(origins)
        if log is not None:
            with suppress(CantEncode):  # the step is run again when the item is
                log.remember(step_path, made_of, encoded(step.runner, output, log.origins))
        return output

    async def _make_to_share(self, call: StepCall) -> tuple[Any, Origins]:
        output = await self._make(call)
        return output, Origins() if call.flow.log is None else call.flow.log.origins

    def _look_up(self, step: Step, calls: tuple[bytes, ...]) -> Any:
        known = MISSING if self._answers is None else self._answers(calls)
        if known is MISSING:
            return MISSING
        origins = Origins()
        try:
            return restored(step.runner, known, origins), origins
        except InvalidOutput:  # its type refuses it now
            return MISSING


def _made_aliases(
    inputs: Mapping[str, str], variables: Mapping[str, Any], made: Set[str]
) -> Set[str]:
    """What came out of a step, by the names that a step has for its inputs."""
    came = {name for name, path in inputs.items() if variable_in(path, variables) in made}
    return (made - inputs.keys()) | came


def _has_texts(skill: Skill, variables: Mapping[str, Any]) -> bool:
    """Whether its prompt's variables are all texts with something in them, as they mostly are."""
    for name in skill.names:
        text = variables.get(name)
        if type(text) is not str or not text or text.isspace():
            return False
    return skill.doubtful.isdisjoint(variables)


def _note(call: StepCall, output: Any, error: Exception | None) -> None:
    """The step's entry in its flow's history, where that is kept."""
    history, step = call.flow.history, call.step
    if history is None:
        return
    entry = {
        "step": len(history),
        "kind": _kind(step.runner),
        "name": step.runner.name,
        "input": dict(call.variables),
        "output": output,
        "output_key": step.key,
        "options": step.options,
    }
    history.append(entry | ({"error": str(error)} if error else {}))


def _kind(runner: Skill | Chain | Tool) -> str:
    if isinstance(runner, Tool):
        return "tool"
    return "skill" if isinstance(runner, Skill) else "chain"


class _Skipped:
    """What stands for an output when a chain goes on after a failed step."""

    def __init__(self, error: Exception) -> None:
        self.error = error
