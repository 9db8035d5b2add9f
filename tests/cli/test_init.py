"""The files that `flowpool init` writes."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from flowpool.cli import main
from flowpool.cli.init import TASKS
from flowpool.pipeline import build
from flowpool.pipeline.json_schema import pipeline_schema


@pytest.mark.parametrize("task", TASKS)
def test_what_init_writes_fits_the_schema_and_is_read(
    tmp_path: Path, task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pipeline.yaml"
    assert main(["init", str(path), "--task", task]) == 0
    assert "--dry-run" in capsys.readouterr().err
    jsonschema.validate(YAML(typ="safe").load(path), pipeline_schema())
    found = build.read_pipeline(path, None)
    assert found.input.path is not None
    assert Path(found.input.path).is_file()
    assert found.run.max_cost == 5
    assert main(["init", str(path), "--task", task]) == 2
    assert "exists" in capsys.readouterr().err
