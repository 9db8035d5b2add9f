"""Traces and metrics of a run by OpenTelemetry's conventions for generative AI. Off unless asked for.

Nothing of OpenTelemetry is imported before a run asks for it. Which SDK and exporter there are is the program's own
affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Context
from typing import TYPE_CHECKING

from flowpool.errors import InvalidInput
from flowpool.tracing.options import Tracing

if TYPE_CHECKING:
    from flowpool.tracing.spans import Tracer

__all__ = ["Tracing", "open_tracer"]

VARIABLE = "FLOWPOOL_TRACING"
# The conventions' own variable for content, and what turns it on.
CONTENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CONTENT = ("true", "1", "span_only", "span_and_event")
_ON = ("1", "true", "yes", "on")


def open_tracer(
    setting: bool | Tracing | None, environ: Mapping[str, str], caller: Context
) -> Tracer | None:
    """The tracer of a run, or None where nobody asks for one.

    setting: the pool's `tracing`; None leaves it to `FLOWPOOL_TRACING` in `environ`. caller: the context of whoever
    started the run, whose span is the run's parent.

    Raises `InvalidInput` where OpenTelemetry isn't installed, and for what isn't one of these.
    """
    if setting is None:
        setting = environ.get(VARIABLE, "").lower() in _ON
    if not isinstance(setting, (bool, Tracing)):
        raise InvalidInput(f"tracing={setting!r}: use True, False or Tracing(content=True).")
    if setting is False:
        return None
    try:
        from flowpool.tracing.spans import Tracer
    except ImportError:
        raise InvalidInput(
            "tracing needs OpenTelemetry: install it with pip install 'flowpool[otel]'."
        ) from None
    if setting is True:
        setting = Tracing(content=environ.get(CONTENT_VARIABLE, "").lower() in _CONTENT)
    return Tracer(setting, caller)
