"""The ways in which models spoil the JSON that they are asked for, done to a right answer. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any


def spoiled(text: str, how: str) -> str:
    """A right answer as a model gives it that spoils it so; text that isn't JSON stays."""
    try:
        json.loads(text)
    except ValueError:
        return text
    return SPOILS[how](text)


def _lines(text: str) -> str:
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False)


def _python(text: str) -> str:
    return repr(json.loads(text))


def _trailing(text: str) -> str:
    return re.sub(r"(?<=[^\s{\[,])(\s*[}\]])", r",\1", _lines(text))


def _commented(text: str) -> str:
    return _lines(text).replace("\n", "  // from the text\n", 2)


def _each(text: str, change: Callable[[Any], Any]) -> str:
    """Every value that isn't itself made of values, changed."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: walk(inner) for name, inner in value.items()}
        return [walk(inner) for inner in value] if isinstance(value, list) else change(value)

    return json.dumps(walk(json.loads(text)), ensure_ascii=False)


def _other_word(value: Any) -> Any:
    return "something else entirely" if isinstance(value, str) else value


def _nan(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float("nan") if is_number else value


def _in_quotes(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if is_number else value


def _with_more(text: str) -> str:
    value = json.loads(text)
    return json.dumps({**value, "note": "I added this."} if isinstance(value, dict) else value)


def _with_less(text: str) -> str:
    value = json.loads(text)
    return json.dumps(dict([*value.items()][1:]) if isinstance(value, dict) else value)


def _inner(text: str) -> str:
    value = json.loads(text)
    alone = isinstance(value, dict) and len(value) == 1
    value = next(iter(value.values())) if alone else value
    return value if isinstance(value, str) else json.dumps(value)


SPOILS: dict[str, Callable[[str], str]] = {
    "fence": lambda text: f"```json\n{_lines(text)}\n```",
    "prose": lambda text: f"Sure! Here is the JSON:\n\n{text}\n\nLet me know if [anything] lacks.",
    "python": _python,
    "trailing-comma": _trailing,
    "comments": _commented,
    "thinking": lambda text: f'<think>It may be {{"a": 1}}, or not.</think>\n{text}',
    "line-breaks": lambda text: text.replace("\\n", "\n"),
    "bare": _inner,
    "in-quotes": lambda text: _each(text, _in_quotes),
    "in-list": lambda text: f"[{text}]",
    "nan": lambda text: _each(text, _nan),
    "nulls": lambda text: _each(text, lambda value: None),
    "other-words": lambda text: _each(text, _other_word),
    "shouting": lambda text: _each(text, lambda v: v.upper() if isinstance(v, str) else v),
    "more": _with_more,
    "less": _with_less,
    "cut": lambda text: text[: len(text) * 2 // 3],
    "cut-in-fence": lambda text: f"```json\n{text[: len(text) // 2]}\n```",
    "deep": lambda text: "[" * 5000 + text + "]" * 5000,
    "twice": lambda text: f"{text}\nor perhaps\n{_each(text, _other_word)}",
    "words": lambda text: "I would rather tell you about it in my own words.",
}
