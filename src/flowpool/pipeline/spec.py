"""What a pipeline's file may say, declared once: files are read by it, and the schema for editors is made of it.

A file is one runner, with `input`, `output` and `run` beside it or not; options of the command line stand over it.
Parts that `build` makes itself are `Any` here, with what the schema says of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args

from msgspec import Meta, Struct
from msgspec.structs import replace

from flowpool.chain import OnStepError
from flowpool.errors import InvalidInput
from flowpool.settings import Settings
from flowpool.values import Limits, Prices

S = TypeVar("S", bound=Struct)
REF = "#/$defs/{name}"


def _says(words: str, **schema: Any) -> Meta:
    """A field's description, and what else the schema says of it."""
    return Meta(description=words, extra_json_schema=schema)


def _ref(kind: str) -> dict[str, str]:
    return {"$ref": REF.format(name=kind)}


def _or_list(one: Mapping[str, Any], least: int) -> list[dict[str, Any]]:
    return [dict(one), {"type": "array", "items": dict(one), "minItems": least}]


_A_MODEL = {"anyOf": [{"type": "string"}, _ref("ModelSpec"), _ref("SpreadSpec")]}
Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=0)]
Text = str | None
Timeout = Annotated[Seconds | None, _says("Seconds that an attempt may take.")]
Retries = Annotated[
    Count | None, _says("Further attempts after one that failed and may work the next time.")
]
Variables = Annotated[dict[str, Any] | None, _says("Values that no row gives.")]
CallOptions = Annotated[
    dict[str, Any] | None, _says("Options of the call, as max_tokens and temperature.")
]


class Input(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the rows come from, as `flowpool.read` takes it; `limit` is 10 or "10-20", counted from 1."""

    path: str | None = None
    sql: str | None = None
    table: str | None = None
    columns: dict[str, str] | None = None
    where: str | None = None
    sample: int | float | None = None
    seed: int = 0
    limit: int | str | None = None
    format: Literal["jsonl", "json", "csv", "tsv", "lines"] | None = None
    delimiter: str | None = None
    encoding: str | None = None
    skip_bad_rows: bool = False

    def reading(self) -> dict[str, Any]:
        """The arguments of `flowpool.read` beside its source."""
        return {
            "columns": self.columns,
            "limit": span(self.limit),
            "where": self.where,
            "sample": self.sample,
            "seed": self.seed,
            "sql": self.sql,
            "table": self.table,
            "format": self.format,
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "skip_bad_rows": self.skip_bad_rows,
        }


class Output(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the answers go. `ordered` None: in order into a file, as they end to standard output.

    column: of an answer without fields. inputs, meta: as in `Results`.
    """

    path: str = "-"
    format: Literal["jsonl", "csv", "tsv", "parquet", "xlsx"] | None = None
    column: str | None = None
    inputs: bool | list[str] = True
    meta: bool | list[str] = False
    ordered: bool | None = None
    append: bool = False
    overwrite: bool = False
    spreadsheet_safe: bool = False
    delimiter: str | None = None
    encoding: str | None = None


class RunOptions(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The run's settings, as `Pool` takes them; seconds and dollars.

    key: the variable that tells items apart in the store. store: a path, or False for none. log: a path, or "-".
    retry_failed: tries again what failed in the run before.
    """

    max_flows: int | Literal["auto"] = "auto"  # type: ignore[assignment]
    on_error: Literal["collect", "stop", "raise"] = "collect"
    tracing: bool | None = None
    key: str | None = None
    store: str | bool | None = None
    log: str | None = None
    retry_failed: bool = False

    def pool(self) -> dict[str, Any]:
        """These as arguments of `Pool`, where it has them."""
        beside = ("store", "retry_failed")
        return {name: getattr(self, name) for name in self.__struct_fields__ if name not in beside}


InputPart = Annotated[str | Input | None, _says("Where the rows come from; a text is the path.")]
OutputPart = Annotated[str | Output | None, _says("Where the answers go; a text is the path.")]
RunPart = Annotated[RunOptions | None, _says("How the run goes.")]


class ModelSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model with more to it than its name. Its key is never written."""

    name: str
    provider: Text = None
    base_url: Text = None
    options: CallOptions = None
    timeout: Timeout = None
    retries: Retries = None
    limits: Limits | None = None
    prices: Prices | None = None


class SpreadSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Models that serve together: each call goes to whichever can take it now."""

    spread: Annotated[
        Any,
        _says(
            "The models.", type="array", items={"anyOf": [{"type": "string"}, _ref("ModelSpec")]}
        ),
    ]


class SkillSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prompt and the model that answers it."""

    model: Annotated[
        Any,
        _says(
            "The model to ask, as gpt-5-mini; a list of them are fallbacks in order.",
            anyOf=_or_list(_A_MODEL, 1),
        ),
    ]
    name: Text = None
    description: Text = None
    prompt: Annotated[str | list[Any] | None, _says("One user message; {name} is a variable.")] = (
        None
    )
    system: Annotated[Text, _says("What the model reads before the prompt.")] = None
    input: Annotated[
        dict[str, Any] | None,
        _says("A conversation: {messages: [{role, parts}]}; instead of prompt."),
    ] = None
    output: Annotated[
        Any,
        _says(
            "What the answer must be: {choices: [...]}, {fields: {...}} or a JSON Schema; text by default.",
            type="object",
        ),
    ] = None
    variables: Variables = None
    options: CallOptions = None
    timeout: Timeout = None
    retries: Retries = None
    retry_delay: Annotated[
        Annotated[float, Meta(ge=0)] | None, _says("Seconds of the first wait before a retry.")
    ] = None
    output_retries: Annotated[
        Count | None, _says("How often an answer that doesn't fit is asked for again.")
    ] = None


class ChainSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Steps in order."""

    name: Text = None
    description: Text = None
    variables: Variables = None
    on_step_error: Annotated[
        Text, _says("What a failed step does.", enum=[*get_args(OnStepError), None])
    ] = None
    steps: Annotated[
        Any,
        _says(
            "Steps in order; a list instead of a step runs them side by side.",
            type="array",
            minItems=1,
            items={"anyOf": _or_list(_ref("StepSpec"), 1)},
        ),
    ]


class RunnerSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these."""

    skill: Annotated[Any, _says("A prompt and its model.", **_ref("SkillSpec"))] = None
    tool: Annotated[
        Any, _says("A tool of flowpool's.", type="string", enum=["fetch", "to_markdown"])
    ] = None
    chain: Annotated[Any, _says("Steps in order.", **_ref("ChainSpec"))] = None
    function: Annotated[
        Any,
        _says(
            "A Python function as module:name; needs --trusted.",
            type="string",
            pattern="^[^:]+:[^:]+$",
        ),
    ] = None


class StepSpec(RunnerSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step of a chain."""

    key: Annotated[Text, _says("The variable that the step's output is stored under.")] = None
    inputs: Annotated[dict[str, str] | None, _says("The variable that fills each parameter.")] = (
        None
    )
    options: Annotated[
        dict[str, Any] | None,
        _says("The step's max_flows, timeout and retries; others are arguments of its tool."),
    ] = None


class ChainFile(ChainSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A chain, and how it is run."""

    input: InputPart = None
    output: OutputPart = None
    run: RunPart = None


class RunnerFile(RunnerSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A runner, and how it is run."""

    input: InputPart = None
    output: OutputPart = None
    run: RunPart = None


class Pipeline(Struct, frozen=True):
    """A runner and how it is run, as a file and the command line say it."""

    runner: Any
    input: Input = Input()
    output: Output = Output()
    run: RunOptions = RunOptions()


def span(limit: int | str | None) -> int | slice | None:
    """Which rows a limit means: 10 the first ten, "10-20" those from the tenth to the twentieth.

    >>> span("10-20")
    slice(9, 20, None)
    """
    if limit is None:
        return None
    first, dash, last = str(limit).partition("-")
    try:
        start, stop = (int(first) - 1, int(last)) if dash else (0, int(first))
    except ValueError:
        start = stop = 0
    if not 0 <= start < stop:
        raise InvalidInput(f"limit {limit}: write 10 for the first ten rows, or 10-20.")
    return slice(start, stop) if dash else stop


def changed(base: S, changes: Mapping[str, Any]) -> S:
    """`base` with those of `changes` that are something."""
    return replace(base, **{name: value for name, value in changes.items() if value is not None})


def arguments(spec: Struct) -> dict[str, Any]:
    """What a struct says as keyword arguments; what it leaves open isn't among them."""
    fields = {name: getattr(spec, name) for name in spec.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not None}


def split_error(error: Exception) -> tuple[str, str]:
    """What msgspec says of data that don't fit, and where: ("Expected `int`, got `str`", ".limits.rpm")."""
    words, _, where = str(error).partition(" - at `$")
    return words.rstrip("."), where.rstrip("`")
