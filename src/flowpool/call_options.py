"""The options of a call that are known: what each takes, and which one a misspelt name means. Pure.

Others are sent as they stand: a server may have options of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from flowpool.errors import InvalidInput

_Check = Callable[[Any], bool]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _is_texts(value: Any) -> bool:
    one_by_one = value if isinstance(value, (list, tuple)) else [value]
    return all(isinstance(one, str) for one in one_by_one)


def _is(*kinds: type[Any]) -> _Check:
    return lambda value: isinstance(value, kinds)


_KINDS: tuple[tuple[str, _Check, tuple[str, ...]], ...] = (
    # (what to use, the check, the options)
    (
        "a whole number",
        _is_whole,
        (
            *("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"),
            *("min_tokens", "top_k", "topK", "seed", "random_seed", "top_logprobs"),
        ),
    ),
    (
        "a number",
        _is_number,
        (
            *("temperature", "top_p", "topP", "min_p", "frequency_penalty", "frequencyPenalty"),
            *("presence_penalty", "presencePenalty", "repetition_penalty"),
        ),
    ),
    ("a text or a list of texts", _is_texts, ("stop", "stop_sequences", "stopSequences")),
    ("a text", _is(str), ("reasoning_effort", "service_tier", "user", "verbosity")),
    ("True or False", _is(bool), ("parallel_tool_calls",)),
    ("a list", _is(list, tuple), ("tools", "safety_settings")),
    (
        "a dict",
        _is(Mapping),
        ("logit_bias", "metadata", "reasoning", "response_format", "thinking"),
    ),
)
_CHECKED = {name: (use, is_right) for use, is_right, names in _KINDS for name in names}
_KNOWN = frozenset(
    {
        *_CHECKED,
        *("logprobs", "tool_choice"),
    }
)
# Options that some have, and that are an edit away from others'.
_OF_SOME = frozenset({"speed", "top_a", "top_n", "stop_sequence"})


def check_options(options: Mapping[str, Any]) -> None:
    """Raises `InvalidInput` for a value that an option can't have, and for a name that is nearly an option's."""
    for name, value in options.items():
        if not isinstance(name, str):
            raise InvalidInput(f"the option {name!r}: names of options are text.")
        use, is_right = _CHECKED.get(name, ("", None))
        if is_right is not None and value is not None and not is_right(value):
            raise InvalidInput(f"the option {name}={value!r}: use {use}.")
        if (meant := _meant(name)) is not None:
            raise InvalidInput(f"the option {name!r} is not known: did you mean {meant!r}?")


def _meant(name: str) -> str | None:
    """The option that is one edit away; None for one that is known, and where none is near."""
    return None if name in _OF_SOME else one_edit_away(name, _KNOWN)


def one_edit_away(name: str, known: Collection[str]) -> str | None:
    """The known name that is an edit away; None for one that is known itself, and where none is near."""
    if name in known:
        return None
    return next((one for one in sorted(known) if _is_one_edit(name, one)), None)


def _is_one_edit(one: str, other: str) -> bool:
    """Whether a character more, fewer or other, or two that change places, make one of the other."""
    same = 0
    while one[same : same + 1] == other[same : same + 1] != "":
        same += 1
    one, other = one[same:], other[same:]
    return (
        one[1:] == other[1:]
        or one[1:] == other
        or one == other[1:]
        or (one[1::-1] == other[:2] and one[2:] == other[2:])
    )
