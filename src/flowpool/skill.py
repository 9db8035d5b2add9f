"""A skill: a prompt bound to a model. It makes calls and reads answers; it doesn't send anything."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast, get_args, overload

import msgspec

from flowpool import providers, wiring
from flowpool.attachments import Attachment, attachment_of
from flowpool.braces import variable_in
from flowpool.errors import InvalidInput
from flowpool.model import Model, Spread, check_times, checked_mapping, checked_options, is_count
from flowpool.runner import Runner, checked_variables
from flowpool.sealed import Sealed
from flowpool.structured import answer_of
from flowpool.structured.types import dotted_of
from flowpool.template import Template
from flowpool.values import Media, Message, Output, Role, Text

# Each is a whole call, paid again: a model that doesn't mend its answer in two tries needs another prompt.
DEFAULT_OUTPUT_RETRIES = 2
_DEFAULT_NAME = "skill"
_OF_AN_INPUT = ("messages",)
_OF_A_MESSAGE = ("role", "parts", "content")
_OF_A_TEXT = ("text", "type")
_OF_A_FILE = (
    *(
        "image",
        "file",
        "path",
        "root",
        "type",
        "media_type",
        "mime_type",
        "name",
        "url",
        "data",
        "source",
    ),
)


Models = Model | Spread | str | Sequence[Model | Spread | str]
PromptPart = Template | Media | Attachment


class PromptMessage:
    """A message of a prompt. `parts` is None where the model is to speak and the conversation to go on."""

    __slots__ = ("parts", "role")

    def __init__(self, role: Role, parts: Sequence[PromptPart] | None) -> None:
        self.role = role
        self.parts = parts

    def render(
        self, variables: Mapping[str, Any], made: Set[str] = frozenset()
    ) -> tuple[Text | Media | Attachment, ...]:
        """The parts for an item's variables, with the attachments still to be read.

        made: the variables that came out of a step.
        """
        parts: list[Text | Media | Attachment] = []
        for part in self.parts or ():
            if isinstance(part, Template):
                parts.append(Text(part.render(variables)))
            elif isinstance(part, Attachment):
                parts.append(part.render(variables, made))
            else:
                parts.append(_render_media(part, variables))
        return tuple(parts)

    def shortest(self) -> Message:
        """The message at its shortest: every variable empty, without pictures and documents."""
        texts = (part for part in self.parts or () if isinstance(part, Template))
        return Message(self.role, tuple(Text(part.literal) for part in texts) or (Text(""),))

    def templates(self) -> Iterator[Template]:
        """Every text of it that an item's variables fill."""
        for part in self.parts or ():
            if isinstance(part, Template):
                yield part
            elif isinstance(part, Attachment):
                yield from part.templates
            else:
                yield from map(Template, (part.data, part.url, part.name))


class SkillOptions(TypedDict, total=False):
    """What `Skill` takes beside its model, input and output, for type checkers."""

    variables: Mapping[str, Any] | None
    options: Mapping[str, Any] | None
    name: str | None
    description: str | None
    max_retries: int | None
    retry_delay: float | None
    prompt: str | Sequence[Any] | None
    system: str | None
    timeout: float | None
    retries: int | None
    output_retries: int


class Skill(Sealed, Runner[Output]):
    """A prompt and the model that answers it: one call an item.

    model: a `Model`, its name, or a list of them: the first answers, the others are fallbacks in order. A
        `Spread` instead of a model shares the calls among several.
    input: a conversation, `{"messages": [{"role": "user", "parts": ["... {text} ..."]}]}`; an assistant message
        without parts is generated there, and the conversation goes on.
    output: what the answer must be; text by default. A type (a dataclass, a pydantic model, a msgspec Struct, a
        TypedDict, an Enum, a Literal, a number, `list[...]` of one) gives instances of it. A JSON Schema,
        `{"choices": [...]}`, `{"fields": {"name": "string", "age": "integer?"}}` or AIchain's `{"format": ...}`
        give plain data.
    variables: values for the prompt's `{names}` that no item gives.
    options: model options of this skill (`max_tokens`, `temperature`, ...); they win over the model's.
    max_retries, retry_delay: AIchain's names for `retries` and for the first wait's length in seconds.
    prompt: one user message, instead of `input`: a text, or a list of texts, `Image`s and `File`s.
    system: what the model reads before the prompt; it may have variables too.
    timeout: seconds for one attempt, connect to last byte. [600]
    retries: further attempts after the first, for what can be retried. [5]
    output_retries: how often an answer that doesn't fit `output` is asked for again, with what is wrong in it. [2]

    `run(variables)` and `arun(variables)` give one answer or raise. Raises `InvalidInput` for a prompt that
    can't work.

    >>> skill = Skill("claude-haiku-4-5", prompt="Summarise in one sentence: {text}")
    >>> sorted(skill.names)
    ['text']
    >>> Skill("gpt-5-mini", prompt="Spam? {text}", output={"choices": ["spam", "ham"]}).answer.read("Spam.")
    'spam'
    """

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Skill[str],
            model: Models,
            input: Mapping[str, Any] | None = None,
            output: None = None,
            **options: Unpack[SkillOptions],
        ) -> None: ...

        @overload
        def __init__(
            self,
            model: Models,
            input: Mapping[str, Any] | None = None,
            *,
            output: type[Output],
            **options: Unpack[SkillOptions],
        ) -> None: ...

        @overload
        def __init__(
            self: Skill[Any],
            model: Models,
            input: Mapping[str, Any] | None = None,
            output: Any = None,
            variables: Mapping[str, Any] | None = None,
            options: Mapping[str, Any] | None = None,
            name: str | None = None,
            description: str | None = None,
            max_retries: int | None = None,
            retry_delay: float | None = None,
            *,
            prompt: str | Sequence[Any] | None = None,
            system: str | None = None,
            timeout: float | None = None,
            retries: int | None = None,
            output_retries: int = DEFAULT_OUTPUT_RETRIES,
        ) -> None: ...

    def __init__(
        self,
        model: Models,
        input: Mapping[str, Any] | None = None,
        output: Any = None,
        variables: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        name: str | None = None,
        description: str | None = None,
        max_retries: int | None = None,
        retry_delay: float | None = None,
        *,
        prompt: str | Sequence[Any] | None = None,
        system: str | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        output_retries: int = DEFAULT_OUTPUT_RETRIES,
    ) -> None:
        for text in (name, description):
            if text is not None and not isinstance(text, str):
                raise InvalidInput(f"Skill: name and description are text, not {text!r}.")
        self.name = name or _DEFAULT_NAME
        self.description = description or ""
        self.choices = _choices(model)
        input, prompt = _with_system(system, input, prompt)
        self.messages = _messages(input, prompt)
        self.answer = answer_of(output)
        self.variables = checked_mapping(variables, "variables")
        self.options = checked_options(options)
        self.timeout = timeout
        self.retries = retries if retries is not None else max_retries
        self.retry_delay = retry_delay
        if not is_count(output_retries):
            raise InvalidInput(f"output_retries={output_retries!r}: use 0 or more.")
        self.output_retries = output_retries
        check_times(self.timeout, self.retries, retry_delay)
        self._source = (input, output, prompt)
        self._templates = tuple(t for m in self.messages for t in m.templates() if "{" in t.text)
        paths = frozenset().union(*(template.names for template in self._templates))
        self.names = frozenset(p for p in paths if variable_in(p, self.variables) is None)
        # What stands between braces that are a variable only where one has just that name.
        self.doubtful = frozenset().union(*(template.doubtful for template in self._templates))
        self._seal(Skill)

    def __repr__(self) -> str:
        return f"Skill({self.name!r}, {self.models[0]!r})"

    def run(
        self,
        variables: Mapping[str, Any] | None = None,
        max_retries: int | None = None,
        retry_delay: float | None = None,
    ) -> Output:
        """The answer for `variables`; raises what went wrong. Also works inside a running event loop.

        max_retries, retry_delay: for this call, instead of the skill's own.
        """
        skill = self._with_retries(max_retries, retry_delay)
        return cast("Output", wiring.load("pool").run_one(skill, checked_variables(variables)))

    async def arun(
        self,
        variables: Mapping[str, Any] | None = None,
        max_retries: int | None = None,
        retry_delay: float | None = None,
    ) -> Output:
        """`run()` for async code."""
        skill = self._with_retries(max_retries, retry_delay)
        answer = await wiring.load("pool").arun_one(skill, checked_variables(variables))
        return cast("Output", answer)

    def _with_retries(self, retries: int | None, delay: float | None) -> Skill[Output]:
        if retries is None and delay is None:
            return self
        check_times(None, retries, delay)
        changed = copy.copy(self)
        given = {"retries": retries, "retry_delay": delay}
        vars(changed).update({name: value for name, value in given.items() if value is not None})
        return changed

    def used(self, names: Collection[str]) -> frozenset[str]:
        """Those of these variables that its prompt has."""
        return frozenset().union(*(one.variables(names) for one in self._templates))

    def mistake(self, names: Collection[str]) -> str | None:
        """What is wrong with braces of its prompt that are nearly one of these variables."""
        known = {*names, *self.variables}
        return next(filter(None, (one.mistake(known) for one in self._templates)), None)

    def empty(self, variables: Mapping[str, Any]) -> list[str]:
        """Those of its prompt's variables that have nothing in them."""
        if self.variables:
            variables = {**self.variables, **variables}
        found = [path for template in self._templates for path in template.empty(variables)]
        return list(dict.fromkeys(found)) if found else found

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """The images and files of its prompt, as they were written."""
        parts = (part for message in self.messages for part in message.parts or ())
        return tuple(part for part in parts if isinstance(part, Attachment))

    @property
    def models(self) -> tuple[Model, ...]:
        """All its models: those that share the calls, and the fallbacks, in order."""
        return tuple(model for choice in self.choices for model in choice.models)

    def definition(self) -> dict[str, Any]:
        """What makes this skill, as plain data without keys: what `Chain.save` writes."""
        input, output, prompt = self._source
        models = [_choice_definition(choice) for choice in self.choices]
        fields = {
            "name": None if self.name == _DEFAULT_NAME else self.name,
            "description": self.description,
            "model": models if len(models) > 1 else models[0],
            "prompt": _written_parts(prompt),
            "input": _written_parts(input),
            "output": _output_definition(output, self.answer.schema),
            "variables": self.variables,
            "options": self.options,
            "timeout": self.timeout,
            "retries": self.retries,
            "retry_delay": self.retry_delay,
            "output_retries": None
            if self.output_retries == DEFAULT_OUTPUT_RETRIES
            else self.output_retries,
        }
        return _without_empty(fields)


def _output_definition(output: Any, schema: Mapping[str, Any] | None) -> Any:
    """A type as its schema, beside the name under which it is imported where there is one."""
    if schema is None or isinstance(output, Mapping):
        return output if isinstance(output, Mapping) else None
    return _without_empty({"python": dotted_of(output), "schema": schema})


def _written_parts(value: Any) -> Any:
    """A prompt with its attachments as a file has them."""
    if isinstance(value, Attachment):
        return value.as_part()
    if isinstance(value, Mapping):
        return {name: _written_parts(inner) for name, inner in value.items()}
    return [_written_parts(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _choice_definition(choice: Spread) -> str | dict[str, Any]:
    each = [_model_definition(model) for model in choice.models]
    return {"spread": each} if len(each) > 1 else each[0]


def _model_definition(model: Model) -> str | dict[str, Any]:
    fields = {
        "provider": None if _tells_provider(model) else model.provider,
        "base_url": model.base_url,
        "options": model.options,
        "timeout": model.timeout,
        "retries": model.retries,
        "limits": _without_empty(msgspec.structs.asdict(model.limits)) if model.limits else None,
        "prices": _without_empty(msgspec.structs.asdict(model.prices)) if model.prices else None,
    }
    written = _without_empty(fields)
    return {"name": model.name, **written} if written else model.name


def _without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def _tells_provider(model: Model) -> bool:
    """Whether the model's name says the same as the model."""
    try:
        found = providers.split(model.name, None, model.base_url)
    except InvalidInput:
        return False
    return found == (model.provider, model.model)


def _choices(model: Any) -> tuple[Spread, ...]:
    """The models as fallbacks in order, each a group of those that share the calls."""
    wrong = "pass a Model, its name, a Spread, or a list of them."
    if not isinstance(model, (Model, str, Spread, Sequence)):
        raise InvalidInput(f"Skill(model={model!r}): {wrong}")
    several = [model] if isinstance(model, (Model, str, Spread)) else list(model)
    if not several:
        raise InvalidInput("Skill(model=[]): name at least one model.")
    for one in several:
        if not isinstance(one, (Model, str, Spread)):
            raise InvalidInput(f"Skill(model={one!r}): {wrong}")
    return tuple(one if isinstance(one, Spread) else Spread([one]) for one in several)


def _with_system(system: Any, input: Any, prompt: Any) -> tuple[Any, Any]:
    """The conversation that a system message makes of a prompt; without one, both as they are."""
    if system is None:
        return input, prompt
    if not isinstance(system, str) or not system.strip():
        raise InvalidInput(f"Skill(system={system!r}): write what the model reads first as text.")
    if prompt is None:
        raise InvalidInput(
            "Skill(system=...) goes with prompt=: in an input, the system message is its first."
        )
    first = {"role": "system", "parts": [system]}
    parts = list(prompt) if isinstance(prompt, (list, tuple)) else [prompt]
    _messages(None, prompt)  # refuses what is no prompt
    return {"messages": [first, {"role": "user", "parts": parts}]}, None


def _messages(input: Mapping[str, Any] | None, prompt: Any) -> tuple[PromptMessage, ...]:
    if (input is None) == (prompt is None):
        raise InvalidInput("Skill: pass either prompt='...' or input={'messages': [...]}.")
    if isinstance(prompt, (list, tuple)) and prompt:
        return (PromptMessage("user", [_part(part, "prompt") for part in prompt]),)
    if prompt is not None:
        if not isinstance(prompt, str) or not prompt.strip():
            raise InvalidInput(
                f"Skill(prompt={prompt!r}): write the prompt as text, or as a list of texts, images and files."
            )
        return (PromptMessage("user", [Template(prompt)]),)
    listed = input.get("messages") if isinstance(input, Mapping) else None
    if isinstance(input, (str, list, tuple)):
        raise InvalidInput(f"Skill(input={input!r}) is a conversation: pass a text as prompt=.")
    if not listed:
        raise InvalidInput('Skill(input=...): pass {"messages": [{"role": ..., "parts": [...]}]}.')
    _refuse_unread(input, _OF_AN_INPUT, "input")
    return tuple(_message(message, i) for i, message in enumerate(listed))


def _message(message: Any, position: int) -> PromptMessage:
    where = f"input['messages'][{position}]"
    role: Any = message.get("role", "user") if isinstance(message, Mapping) else None
    if role not in get_args(Role):
        raise InvalidInput(f"{where}: role is one of {', '.join(get_args(Role))}, not {role!r}.")
    _refuse_unread(message, _OF_A_MESSAGE, where)
    parts = message.get("parts", message.get("content"))
    if parts is None and role == "assistant":
        return PromptMessage(role, None)
    if isinstance(parts, (str, Mapping)):
        parts = [parts]
    if not parts:
        raise InvalidInput(f"{where}: a {role} message needs parts, such as ['... {{text}} ...'].")
    return PromptMessage(role, [_part(part, where) for part in parts])


def _refuse_unread(given: Mapping[str, Any] | None, known: Collection[str], where: str) -> None:
    """Raises `InvalidInput` for what nobody would read."""
    for name in given or ():
        if name not in known:
            raise InvalidInput(f"{where}: {name!r} is not known: use {', '.join(known)}.")


def _part(part: Any, where: str) -> PromptPart:
    if isinstance(part, str):
        return Template(part)
    if isinstance(part, (Media, Attachment)):
        return part
    if isinstance(part, Mapping) and isinstance(part.get("text"), str):
        _refuse_unread(part, _OF_A_TEXT, where)
        return Template(part["text"])
    if isinstance(part, Mapping) and (found := attachment_of(part) or _media(part)) is not None:
        _refuse_unread(part, _OF_A_FILE, where)
        return found
    raise InvalidInput(
        f"{where}: a part is text, {{'text': ...}}, {{'image': path, address or bytes}}, {{'file': ...}} or "
        "{'type': 'image'|'file', 'url': ... or 'data': base64, 'media_type': ...}."
    )


def _media(part: Mapping[str, Any]) -> Media | None:
    """A part in AIchain's form, its fields beside its type or in `source`; None for what is none."""
    kind = part.get("type")
    if kind not in ("image", "file", "media"):
        return None
    nested = part.get("source")
    source = {**part, **nested} if isinstance(nested, Mapping) else part
    url, data = source.get("url") or "", source.get("data") or ""
    if not url and not data:
        return None
    default = "image/png" if kind == "image" else "application/pdf"
    media_type = source.get("media_type") or source.get("mime_type") or default
    return Media(media_type, data, url, source.get("name") or "")


def _render_media(part: Media, variables: Mapping[str, Any]) -> Media:
    return Media(
        part.media_type,
        Template(part.data).render(variables) if "{" in part.data else part.data,
        Template(part.url).render(variables) if "{" in part.url else part.url,
        Template(part.name).render(variables) if "{" in part.name else part.name,
    )
