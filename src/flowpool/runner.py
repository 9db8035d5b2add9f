"""What skills and chains have in common: a name, and `run()` for one set of variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, cast

from flowpool import wiring
from flowpool.errors import InvalidInput
from flowpool.values import Output


class Runner(Generic[Output]):
    """Anything a pool runs: gives one output for one set of variables."""

    name: str
    description: str

    def run(self, variables: Mapping[str, Any] | None = None) -> Output:
        """The output for `variables`; raises what went wrong. Also works inside a running event loop."""
        return cast("Output", wiring.load("pool").run_one(self, checked_variables(variables)))

    async def arun(self, variables: Mapping[str, Any] | None = None) -> Output:
        """`run()` for async code."""
        return cast(
            "Output", await wiring.load("pool").arun_one(self, checked_variables(variables))
        )


def checked_variables(variables: Any) -> Mapping[str, Any]:
    """A run's variables; raises `InvalidInput` for what has no names."""
    if variables is not None and not isinstance(variables, Mapping):
        raise InvalidInput(
            f"run({type(variables).__name__}): pass variables by name, such as {{'text': '...'}}."
        )
    return variables or {}
