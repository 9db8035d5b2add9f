"""The module's name in AIchain 1.x."""

from flowpool.model import Model

__all__ = ["Model"]
