"""The schema that editors check pipeline files by."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from flowpool.pipeline.json_schema import pipeline_schema

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_fits_the_schema(path: Path) -> None:
    jsonschema.validate(YAML(typ="safe").load(path), pipeline_schema())


def test_the_schema_refuses_what_reading_refuses() -> None:
    schema = pipeline_schema()
    for bad in (
        {"skill": {"model": "gpt-5", "timeout": 0}},
        {"skill": {"model": "gpt-5", "prompt": {"x": "y"}}},
        {"skill": {"model": "gpt-5"}, "run": {"on_error": "skip"}},
        {"skill": {"model": "gpt-5"}, "tool": "fetch"},
        {"tool": "fetchh"},
        {"skill": {"model": "gpt-5"}, "input": {"pth": "rows.csv"}},
        {"steps": [{"tool": "fetch", "kye": "page"}]},
        {"steps": [{"tool": "fetch", "function": "a:b"}]},
        {"skill": {"prompt": "Hi"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
