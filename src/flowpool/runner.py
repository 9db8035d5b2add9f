"""What skills and chains have in common: a name, and `run()` for one set of variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowpool import wiring


class Runner:
    """Anything a pool runs: gives one output for one set of variables."""

    name: str
    description: str

    def run(self, variables: Mapping[str, Any] | None = None) -> Any:
        """The output for `variables`; raises what went wrong. Also works inside a running event loop."""
        return wiring.load("pool").run_one(self, variables)

    async def arun(self, variables: Mapping[str, Any] | None = None) -> Any:
        """`run()` for async code."""
        return await wiring.load("pool").arun_one(self, variables)
