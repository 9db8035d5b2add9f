"""YAML text and the data in it, with the line where each part stands. Safe: no types but JSON's, no aliases."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flowpool.errors import InvalidInput

# A chain of chains of chains is 20 deep; the parser recurses, and Python stops it at a thousand.
MAX_DEPTH = 60


class FileError(InvalidInput):
    """What is wrong in a file. where: the path in it, as `steps[1].skill`. line: 0 while it isn't known."""

    def __init__(self, where: str, message: str, line: int = 0) -> None:
        self.where = where
        self.line = line
        super().__init__(message)


class LineNumbers:
    """Where the parts of a file stand, counted from 1."""

    def __init__(self, lines: Mapping[str, int]) -> None:
        self._lines = lines

    def of(self, where: str) -> int:
        """The line of a path, or of the nearest part around it that the file has."""
        while where and where not in self._lines:
            dot, bracket = where.rfind("."), where.rfind("[")
            where = where[: max(dot, bracket, 0)]
        return self._lines.get(where, 1)


def dump(data: Any) -> str:
    """The data as text that people can read and edit."""
    from ruamel.yaml import YAML

    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.width = 1 << 30  # folding a long line would lose some of its spaces
    yaml.sort_base_mapping_type_on_output = False
    yaml.representer.ignore_aliases = lambda data: True
    yaml.representer.add_representer(str, _represent_text)
    text = io.StringIO()
    yaml.dump(data, text)
    return text.getvalue()


def load(text: str) -> tuple[Any, LineNumbers]:
    """The data of a text, and where its parts stand; raises `FileError` for what is no YAML, or too much of it."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        yaml = YAML(typ="safe", pure=True)
        _check_events(yaml.parse(text))
        lines = dict(_lines(yaml.compose(text), ""))
        return yaml.load(text), LineNumbers(lines)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = " ".join(str(getattr(error, "problem", error)).split())
        raise FileError("", f"not YAML: {problem}", mark.line + 1 if mark else 0) from None


def at(where: str, field: str) -> str:
    """The path of a field of the part at a path."""
    return f"{where}.{field}" if where else field


def _lines(node: Any, where: str) -> Iterator[tuple[str, int]]:
    kind = type(node).__name__
    if kind == "MappingNode":
        for key, value in node.value:
            inner = at(where, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif kind == "SequenceNode":
        for position, value in enumerate(node.value):
            inner = f"{where}[{position}]"
            yield inner, value.start_mark.line + 1
            yield from _lines(value, inner)


def _represent_text(representer: Any, text: str) -> Any:
    """Prompts of several lines stand as they are read; what YAML would change is quoted and escaped."""
    lines = text.split("\n")
    style = "|" if len(lines) > 1 and all(line.isprintable() for line in lines) else None
    if style is None and not text.isprintable():
        style = '"'
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _check_events(events: Iterable[Any]) -> None:
    """Refuses, before anything is built of it, a file whose few words make very many values."""
    depth = 0
    for event in events:
        kind = type(event).__name__
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        if kind == "AliasEvent":
            raise FileError("", "YAML aliases (*name) in it: write the value out.", line)
        depth += kind in ("SequenceStartEvent", "MappingStartEvent")
        depth -= kind in ("SequenceEndEvent", "MappingEndEvent")
        if depth > MAX_DEPTH:
            raise FileError(
                "", f"nested more than {MAX_DEPTH} deep: name steps in a flat list.", line
            )
