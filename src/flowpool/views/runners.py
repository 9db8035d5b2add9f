"""What a run asks, in a line of words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowpool.encoding import decode
from flowpool.store.rows import RunInfo

# Characters of a prompt that tell which it is.
_MOST_PROMPT = 60


def runner_words(run: RunInfo) -> str:
    """The runner of a run that a store keeps."""
    if run.definition is None:
        return f"only its script has it: {run.obstacle}"
    return in_a_line(decode(run.definition.encode()))


def in_a_line(data: Mapping[str, Any]) -> str:
    """A runner's definition in short: `fetch -> to_markdown -> gpt-5-mini 'Summarise: {text}'`."""
    if "steps" in data:
        stages = (stage if isinstance(stage, list) else [stage] for stage in data["steps"])
        return " -> ".join(" + ".join(in_a_line(step) for step in stage) for stage in stages)
    for kind in ("skill", "chain"):
        if kind in data:
            return in_a_line(data[kind])
    if "model" not in data:
        return str(data.get("tool") or data.get("function"))
    model = data["model"]
    name = model.get("name", model) if isinstance(model, dict) else model
    prompt = data.get("prompt") or data.get("input", {}).get("messages", [{}])[-1].get("parts")
    parts = prompt if isinstance(prompt, list) else [prompt]
    words = " ".join(part for part in parts if isinstance(part, str))
    return f"{name} {_short(' '.join(words.split()))!r}"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_PROMPT else text[: _MOST_PROMPT - 1] + "…"
