"""What the shared options say, as a pipeline's input, output and run terms. Opens nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from flowpool.errors import InvalidInput
from flowpool.pipeline.spec import Input, Output, Pipeline, RunOptions, changed
from flowpool.values import Limits

P = TypeVar("P", Input, Output, RunOptions)


def with_options(pipeline: Pipeline, options: Mapping[str, Any]) -> Pipeline:
    """The pipeline with what the command line says in place of what its file does."""
    return Pipeline(
        pipeline.runner,
        _input(pipeline.input, options),
        _output(pipeline.output, options),
        _terms(pipeline.run, options),
    )


def _input(base: Input, options: Mapping[str, Any]) -> Input:
    told = {
        **_told(options, "path", "sql", "table", "where", "seed", "limit"),
        "format": options["input_format"],
        "columns": pairs(options["columns"], "--columns") or None,
        "sample": _sample(options["sample"]),
        "skip_bad_rows": options["skip_bad_rows"] or None,
    }
    if told["sql"] is not None and told["path"] is None:
        base = changed(Input(), {"path": None})
    return _checked(changed(base, told))


def _output(base: Output, options: Mapping[str, Any]) -> Output:
    told = {
        "path": options["output"],
        "format": options["output_format"],
        "inputs": False if options["no_inputs"] else None,
        "overwrite": options["force"] or None,
        **_told(options, "column", "ordered"),
        **{name: options[name] or None for name in ("meta", "append", "spreadsheet_safe")},
    }
    return _checked(changed(base, told))


def _terms(base: RunOptions, options: Mapping[str, Any]) -> RunOptions:
    told = {
        **_told(options, "max_cost", "max_tokens_total", "deadline", "timeout", "retries"),
        "on_error": options["on_error"],
        "max_flows": flows(options["max_flows"]),
        "limits": _limits(base.limits, options["rpm"], options["tpm"]),
        "dedupe": options["dedupe"] or None,
        "retry_failed": options["retry_errors"] or None,
        "store": False if options["no_store"] else options["store"],
    }
    if options["no_store"] and options["store"]:
        raise InvalidInput("--store and --no-store: say one of them.")
    return _checked(changed(base, told))


def flows(text: str | None) -> int | str | None:
    """What --max-flows says."""
    if text is None or text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(f'--max-flows {text}: use 1 or more, or "auto".') from None


def pairs(texts: Iterable[str], what: str, *, split: bool = True) -> dict[str, str]:
    """NAME=VALUE, given several times or, where they are split, separated by commas."""
    found = {}
    for text in texts:
        for pair in text.split(",") if split else [text]:
            name, equals, value = (part.strip() for part in pair.partition("="))
            if not (name and equals and value):
                raise InvalidInput(f"{what} {text}: write NAME=VALUE.")
            found[name] = value
    return found


def _told(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names}


def _sample(text: str | None) -> int | float | None:
    if text is None:
        return None
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise InvalidInput(f"--sample {text}: write 100 for a hundred rows, or 0.01.") from None


def _limits(base: Limits | None, rpm: float | None, tpm: float | None) -> Limits | None:
    for name, value in (("rpm", rpm), ("tpm", tpm)):
        if value is not None and not value > 0:
            raise InvalidInput(f"--{name} {value:g}: use a rate above 0.")
    if rpm is None and tpm is None:
        return None
    limits: Limits = changed(base or Limits(), {"rpm": rpm, "tpm": tpm})
    return limits


def _checked(part: P) -> P:
    """The same, once its values are of the kinds that its fields say."""
    try:
        return msgspec.convert(msgspec.to_builtins(part), type(part))
    except msgspec.ValidationError as error:
        words, _, place = str(error).partition(" - at `$.")
        raise InvalidInput(f"{place.strip('`') or 'options'}: {words}.") from None
