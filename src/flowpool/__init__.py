"""flowpool runs one LLM skill, chain or function over many inputs at once.

from flowpool import Model, Pool, Skill

summarise = Skill(Model("claude-haiku-4-5"), prompt="Summarise in one sentence: {text}")
results = Pool(summarise, [{"text": text} for text in texts]).run()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from flowpool.attachments import File, Image
    from flowpool.chain import Chain
    from flowpool.data.rows import Rows, read
    from flowpool.model import Model, Spread
    from flowpool.pool import Pool
    from flowpool.record import Record
    from flowpool.results import Results
    from flowpool.skill import Skill
    from flowpool.tools.base import Tool, tool
    from flowpool.usage import Usage
    from flowpool.values import Limits, Prices, Status

# Loaded at their first use, so that `import flowpool` is quick.
_HOMES = {
    "Chain": "chain",
    "File": "attachments",
    "Image": "attachments",
    "Limits": "values",
    "Model": "model",
    "Pool": "pool",
    "Prices": "values",
    "Record": "record",
    "Results": "results",
    "Rows": "data.rows",
    "Skill": "skill",
    "Spread": "model",
    "Status": "values",
    "Tool": "tools.base",
    "Usage": "usage",
    "read": "data.rows",
    "tool": "tools.base",
}

__all__ = [
    "Chain",
    "File",
    "Image",
    "Limits",
    "Model",
    "Pool",
    "Prices",
    "Record",
    "Results",
    "Rows",
    "Skill",
    "Spread",
    "Status",
    "Tool",
    "Usage",
    "__version__",
    "read",
    "tool",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'flowpool' has no attribute {name!r}")
    return getattr(import_module(f"flowpool.{home}"), name)


def __dir__() -> list[str]:
    return __all__
