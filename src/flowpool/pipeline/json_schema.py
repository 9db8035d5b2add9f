"""The JSON Schema of pipeline files, for editors: made of the structs that they are read by."""

from __future__ import annotations

from typing import Any

import msgspec

from flowpool.pipeline.spec import (
    REF,
    ChainFile,
    ChainSpec,
    ModelSpec,
    RunnerFile,
    RunnerSpec,
    SkillSpec,
    SpreadSpec,
    StepSpec,
)

# What a file is: a bare skill, a chain, or another runner; the latter two with input, output and run beside them.
FILES = (SkillSpec, ChainFile, RunnerFile)
PARTS = (ChainSpec, StepSpec, ModelSpec, SpreadSpec)


def pipeline_schema() -> dict[str, Any]:
    """The schema of what `flowpool run` takes."""
    refs, parts = msgspec.json.schema_components([*FILES, *PARTS], ref_template=REF)
    # That exactly one of several fields is needed is beyond what a struct can say.
    for kind in (StepSpec, RunnerFile):
        parts[kind.__name__]["oneOf"] = [
            {"required": [name]} for name in RunnerSpec.__struct_fields__
        ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A flowpool pipeline",
        "anyOf": list(refs[: len(FILES)]),
        "$defs": parts,
    }
