"""`flowpool schema`: the pipeline files' JSON Schema, for editors."""

from __future__ import annotations

import click


@click.command()
def schema() -> int:
    """Print the JSON Schema of pipeline files, by which editors complete and check them.

    \b
    Example:
      flowpool schema > flowpool.schema.json
    """
    import json

    from flowpool.pipeline.json_schema import pipeline_schema

    click.echo(json.dumps(pipeline_schema(), indent=2))
    return 0
