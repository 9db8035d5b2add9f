"""What a run can't decide for itself: the one way that the outside comes in, and where tests put theirs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from random import Random

from msgspec import Struct, field

from flowpool.http.transport import shared as shared_transport
from flowpool.sharing import Sharing, open_sharing
from flowpool.sharing.ceilings import KeyCeilings, open_ceilings
from flowpool.values import Transport


class Environment(Struct):
    """What a run can't decide for itself and tests set: the transport, chance and the environment."""

    transport: Transport
    environ: Mapping[str, str]
    random: Random
    sharing: Sharing | None = None  # with other runs at the same limits
    ceilings: KeyCeilings = field(default_factory=KeyCeilings)  # of users, kept by all runs

    def __repr__(self) -> str:
        return f"World({self.transport!r})"  # the environment holds keys


def real_environment() -> Environment:
    """The world outside of tests. Needs a running loop."""
    environ = os.environ
    return Environment(
        shared_transport(), environ, Random(), open_sharing(environ), open_ceilings(environ)
    )
