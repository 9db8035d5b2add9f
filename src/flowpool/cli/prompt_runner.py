"""The runner that `flowpool map`'s options describe."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from flowpool.chain import Chain
from flowpool.cli.options import pairs
from flowpool.errors import InvalidInput
from flowpool.folders import local_path
from flowpool.model import Model
from flowpool.skill import Skill
from flowpool.tools import fetch, to_markdown

MODEL_VARIABLE = "FLOWPOOL_MODEL"
_SUGGESTED = {
    "OPENAI_API_KEY": "gpt-5-mini",
    "ANTHROPIC_API_KEY": "claude-haiku-4-5",
    "GEMINI_API_KEY": "gemini-2.5-flash",
}


def runner_of(
    prompt: str, options: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> Skill | Chain:
    """The skill, or the chain that fetches a page first. Raises `InvalidInput` for what can't be meant."""
    text = _from_file(prompt)
    model = Model(
        options["model"] or _default_model(environ),
        _model_options(options["model_options"]),
        provider=options["provider"],
        base_url=options["base_url"],
    )
    skill = Skill(model, _conversation(options["system"], text), _answer(options), name="map")
    if not options["fetch"]:
        if "page" in skill.names and not options["path"]:
            raise InvalidInput("{page} in the prompt: say --fetch to have each row's url fetched.")
        return skill
    addresses = {"allow_private": True} if options["allow_private"] else {}
    return Chain(
        [
            (fetch, "fetched", {"url": "url"}, addresses),
            (to_markdown, "page", {"source": "fetched"}),
            (skill, "output"),
        ],
        name="map",
    )


def _conversation(system: str | None, prompt: str) -> dict[str, Any]:
    first = [{"role": "system", "parts": [_from_file(system)]}] if system else []
    return {"messages": [*first, {"role": "user", "parts": [prompt]}]}


def _from_file(text: str) -> str:
    """The text, or what stands in the file that @NAME means."""
    if not text.startswith("@"):
        if not text.strip():
            raise InvalidInput("the prompt is empty: write what to ask, with {columns} in it.")
        return text
    try:
        return local_path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InvalidInput(f"{text[1:]}: {why}.") from None


def _default_model(environ: Mapping[str, str]) -> str:
    if environ.get(MODEL_VARIABLE):
        return environ[MODEL_VARIABLE]
    fitting = next((model for key, model in _SUGGESTED.items() if environ.get(key)), "gpt-5-mini")
    raise InvalidInput(f"which model? Say -m {fitting}, or set {MODEL_VARIABLE}={fitting}.")


def _model_options(texts: Sequence[str]) -> dict[str, Any]:
    options = pairs(texts, "--option", split=False)
    return {name: _value(text) for name, text in options.items()}


def _value(text: str) -> Any:
    """A number, true, false, null or what else JSON has; other words are text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _answer(options: Mapping[str, Any]) -> Any:
    forms = [name for name in ("choices", "fields", "schema", "json") if options[name]]
    if len(forms) > 1:
        raise InvalidInput(
            f"--{forms[0]} and --{forms[1]}: an answer has one form: say one of them."
        )
    if options["choices"]:
        return {"choices": [one.strip() for one in options["choices"].split(",") if one.strip()]}
    if options["fields"]:
        return {"fields": _fields(options["fields"])}
    if options["schema"]:
        return _schema(options["schema"])
    return {"format": {"type": "json"}} if options["json"] else None


def _fields(text: str) -> dict[str, Any]:
    """`name, age:integer?, tags:[string]` as the fields of an answer; a field without a type is text."""
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, _, kind = (piece.strip() for piece in part.partition(":"))
        if not name:
            raise InvalidInput(f"--fields {text}: write NAME:TYPE, separated by commas.")
        is_list = kind.startswith("[") and kind.endswith("]")
        found[name] = [kind[1:-1].strip()] if is_list else kind or "string"
    return found


def _schema(name: str) -> Any:
    try:
        schema = msgspec.json.decode(local_path(name).read_bytes())
    except OSError as error:
        raise InvalidInput(f"{name}: {error.strerror}.") from None
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{name}: not JSON: {error}.") from None
    if not isinstance(schema, dict):
        raise InvalidInput(f"{name}: a JSON Schema is an object.")
    return {"schema": schema}
