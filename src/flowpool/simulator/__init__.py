"""A provider to test against: limits, latency, faults and a ledger, in memory or as a server.

    from flowpool.simulator import PROFILES, Provider, SimTransport, run_virtual

Names are loaded when first used, so that importing one doesn't import a server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowpool.simulator.ledger import Ledger
    from flowpool.simulator.plan import ReplyPlan, SimRequest
    from flowpool.simulator.process import SimServer, run_server
    from flowpool.simulator.profile import (
        PROFILES,
        Fixed,
        Lognormal,
        PerToken,
        Profile,
        find_profile,
        parse_faults,
        parse_latency,
    )
    from flowpool.simulator.provider import SimulatedProvider
    from flowpool.simulator.server import Server, serve
    from flowpool.simulator.transport import SimTransport
    from flowpool.simulator.virtual import Deadlock, LeakedTasks, run_virtual

__all__ = [
    "PROFILES",
    "Deadlock",
    "Fixed",
    "LeakedTasks",
    "Ledger",
    "Lognormal",
    "PerToken",
    "Profile",
    "ReplyPlan",
    "Server",
    "SimRequest",
    "SimServer",
    "SimTransport",
    "SimulatedProvider",
    "find_profile",
    "parse_faults",
    "parse_latency",
    "run_server",
    "run_virtual",
    "serve",
]

_HOMES = {
    "ledger": ("Ledger",),
    "process": ("SimServer", "run_server"),
    "profile": (
        "PROFILES",
        "Fixed",
        "Lognormal",
        "PerToken",
        "Profile",
        "find_profile",
        "parse_faults",
        "parse_latency",
    ),
    "plan": ("ReplyPlan", "SimRequest"),
    "provider": ("SimulatedProvider",),
    "server": ("Server", "serve"),
    "transport": ("SimTransport",),
    "virtual": ("Deadlock", "LeakedTasks", "run_virtual"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
