"""How a pool is traced. Imports nothing of OpenTelemetry."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Tracing(Struct, frozen=True, kw_only=True):
    """How a pool is traced: `Pool(skill, items, tracing=Tracing(content=True))`.

    content: whether prompts and answers stand in the spans. [no]
    tracer_provider, meter_provider: OpenTelemetry's, where they aren't the global ones.
    """

    content: bool = False
    tracer_provider: Any = None
    meter_provider: Any = None
