"""The JSON Schema of pipeline files, for editors: made of what `build` reads, so that it can't fall behind."""

from __future__ import annotations

from typing import Any

import msgspec

from flowpool.pipeline import build
from flowpool.pipeline.spec import Input, Output, RunOptions
from flowpool.values import Limits, Prices

Made = dict[str, Any]
_TEXT: Made = {"type": "string"}
_WORDS: dict[str, str] = {
    "model": "The model to ask, as gpt-5-mini; a list of them are fallbacks in order.",
    "prompt": "One user message; {name} is a variable.",
    "input": "A conversation: {messages: [{role, parts}]}; in place of prompt.",
    "output": "What the answer must be: {choices: [...]}, {fields: {...}} or a JSON Schema; text by default.",
    "variables": "Values that no row gives.",
    "options": "Options of the call, as max_tokens and temperature; of a tool's step, its arguments.",
    "steps": "Steps in order; a list in place of a step runs them side by side.",
    "key": "The variable that the step's output is stored under.",
    "inputs": "The variable that fills each parameter.",
    "tool": "A tool of flowpool's: fetch or to_markdown.",
    "function": "A Python function as module:name; needs --trusted.",
    "timeout": "Seconds that an attempt may take.",
    "retries": "Further attempts after one that failed and may work the next time.",
    "on_step_error": "What a failed step does: raise, stop or skip.",
}
_KINDS: dict[str, Made] = {
    "timeout": {"type": "number", "exclusiveMinimum": 0},
    "retry_delay": {"type": "number", "minimum": 0},
    "retries": {"type": "integer", "minimum": 0},
    "output_retries": {"type": "integer", "minimum": 0},
    "name": _TEXT,
    "description": _TEXT,
    "tool": {"enum": ["fetch", "to_markdown"]},
    "function": {"type": "string", "pattern": "^[^:]+:[^:]+$"},
    "key": _TEXT,
    "provider": _TEXT,
    "base_url": _TEXT,
    "inputs": {"type": "object", "additionalProperties": _TEXT},
    "variables": {"type": "object"},
    "options": {"type": "object"},
    "output": {"type": "object"},
    "input": {"type": "object"},
    "prompt": {"type": ["string", "array"]},
    "on_step_error": {"enum": ["raise", "stop", "skip"]},
    "limits": {"$ref": "#/$defs/Limits"},
    "prices": {"$ref": "#/$defs/Prices"},
    "skill": {"$ref": "#/$defs/skill"},
    "chain": {"$ref": "#/$defs/chain"},
    "model": {
        "anyOf": [
            {"$ref": "#/$defs/model"},
            {"type": "array", "items": {"$ref": "#/$defs/model"}, "minItems": 1},
        ]
    },
    "steps": {
        "type": "array",
        "minItems": 1,
        "items": {
            "anyOf": [
                {"$ref": "#/$defs/step"},
                {"type": "array", "items": {"$ref": "#/$defs/step"}},
            ]
        },
    },
}


def pipeline_schema() -> Made:
    """The schema of what `flowpool run` takes: a runner, or one with `input`, `output` and `run` beside it."""
    (refs, parts) = msgspec.json.schema_components(
        [Input, Output, RunOptions, Limits, Prices], ref_template="#/$defs/{name}"
    )
    told = {
        "input": {"anyOf": [_TEXT, refs[0]], "description": "Where the rows come from."},
        "output": {"anyOf": [_TEXT, refs[1]], "description": "Where the answers go."},
        "run": {**refs[2], "description": "The run's terms."},
    }
    kinds = [
        _object(build.SKILL_FIELDS, ["model"]),
        _object(build.CHAIN_FIELDS, ["steps"], told),
        *(_object({kind}, [kind], told) for kind in ("skill", "chain", "tool", "function")),
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A flowpool pipeline",
        "anyOf": kinds,
        "$defs": {
            **parts,
            "skill": kinds[0],
            "chain": _object(build.CHAIN_FIELDS, ["steps"]),
            "step": {
                **_object(build.STEP_FIELDS, []),
                "oneOf": [{"required": [kind]} for kind in ("skill", "tool", "chain", "function")],
            },
            "model": {
                "anyOf": [
                    _TEXT,
                    _object(build.MODEL_FIELDS, ["name"]),
                    _object(set(), ["spread"], {"spread": {"type": "array"}}),
                ]
            },
        },
    }


def _object(fields: set[str], required: list[str], more: Made | None = None) -> Made:
    properties = {
        name: {**_KINDS[name], **({"description": _WORDS[name]} if name in _WORDS else {})}
        for name in sorted(fields)
    }
    return {
        "type": "object",
        "properties": {**properties, **(more or {})},
        "required": required,
        "additionalProperties": False,
    }
