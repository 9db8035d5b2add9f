"""The module's name in AIchain 1.x."""

from flowpool.skill import Skill

__all__ = ["Skill"]
