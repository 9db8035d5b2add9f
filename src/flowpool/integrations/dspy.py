"""DSPy's modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowpool.integrations.base import ForeignAnswer, ForeignTool, openai_usage, priced
from flowpool.tools.schema import has_kwargs, signature_of
from flowpool.usage import NO_USAGE


def adapt(module: Any) -> ForeignTool | None:
    from dspy import Module

    return DSPy(module) if isinstance(module, Module) else None


class DSPy(ForeignTool):
    """A module: called with the inputs it names as keywords. Its prediction becomes a dict of its outputs."""

    def __init__(self, module: Any) -> None:
        self._inputs = tuple(_inputs(module))
        is_async = hasattr(module, "aforward")
        super().__init__(module, module.acall if is_async else module.__call__, needs=self._inputs)
        self.mode = "async" if is_async else "thread"

    def _invoke(self, /, **variables: Any) -> Any:
        if self._inputs:
            variables = {name: variables[name] for name in self._inputs}
        return self._later(variables) if self.mode == "async" else self._now(variables)

    def _now(self, inputs: dict[str, Any]) -> Any:
        import dspy

        with dspy.context(track_usage=True):
            return self._call(**inputs)

    async def _later(self, inputs: dict[str, Any]) -> Any:
        import dspy

        with dspy.context(track_usage=True):
            return await self._call(**inputs)

    def shown(self) -> list[Any]:
        return [*super().shown(), repr(self._target.dump_state())]

    def answer(self, output: Any) -> ForeignAnswer:
        import dspy

        if not isinstance(output, dspy.Prediction):
            return ForeignAnswer(output)
        used = output.get_lm_usage() or {}
        usage = sum((openai_usage(each) for each in used.values()), NO_USAGE)
        model = priced(next(iter(used))) if len(used) == 1 else ""
        return ForeignAnswer(dict(output.items()), usage, model)


def _inputs(module: Any) -> Iterator[str]:
    """The inputs that a module names: in its `forward`, or its signature's; none where neither says."""
    forward = signature_of(type(module).forward)
    if forward is not None and not has_kwargs(forward):
        needed = [p for p in forward.parameters.values() if p.default is p.empty]
        yield from (p.name for p in needed[1:])
        return
    predictors = module.predictors()
    signature = getattr(module, "signature", None)
    if signature is None and len(predictors) == 1:
        signature = predictors[0].signature
    yield from getattr(signature, "input_fields", ())
