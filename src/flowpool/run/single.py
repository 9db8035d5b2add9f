"""One runner, one set of variables: what `run()` of a skill, a chain or a tool does. Knows no pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowpool.chain import Chain, OnStepError, as_runner
from flowpool.plan import ItemCheck, Plan
from flowpool.results import Record
from flowpool.run.environment import Environment, real_world
from flowpool.run.loop_thread import loop_thread
from flowpool.run.run import Run
from flowpool.run.sink import Keep
from flowpool.run.source import Source
from flowpool.runner import Runner
from flowpool.settings import Settings
from flowpool.values import Status


async def arun_one(
    runner: Runner,
    variables: Mapping[str, Any] | None = None,
    on_step_error: OnStepError | None = None,
    world: Environment | None = None,
) -> Any:
    """The output of one runner for one set of variables; raises what went wrong."""
    plan = Plan(as_runner(runner), on_step_error)
    item = dict(variables or {})
    ItemCheck(plan, plan.variables).check(item, 0)
    records: dict[int, Record] = {}
    run = Run(
        plan,
        Source(iter([item]), 1),
        {},
        Settings(),
        Keep(records),
        [0] * len(Status),
        keep_history=isinstance(runner, Chain),
    )
    await run.execute(world or real_world())
    record = records[0]
    if isinstance(runner, Chain):
        runner.history, runner.accumulated = record.steps or [], run.accumulated
    if record.error is not None:
        raise record.error
    return record.output


def run_one(
    runner: Runner,
    variables: Mapping[str, Any] | None = None,
    on_step_error: OnStepError | None = None,
) -> Any:
    """`arun_one` for synchronous callers, on the loop thread."""
    thread = loop_thread()
    thread.refuse_itself()
    work = thread.submit(arun_one(runner, variables, on_step_error))
    try:
        return work.result()
    except KeyboardInterrupt:
        work.cancel()
        raise
