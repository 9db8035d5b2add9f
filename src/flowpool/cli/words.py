"""What an error says in Python's words, in those of the shell: `--max-flows 0` for `max_flows=0`.

The rule for all of them: a name with `=` that is an option's is that option; what is quoted is somebody's own text.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import ROUND_CEILING, Decimal

from flowpool.errors import BudgetSpent, InvalidInput, OutputExists
from flowpool.settings import Settings

# Arguments that are called otherwise on the command line, with the value that they have there if it isn't the same.
_OTHERWISE = {
    "overwrite": "--force",
    "append": "--append",
    "trusted": "--trusted",
    "spreadsheet_safe": "--spreadsheet-safe",
    "format": "--input-format",
    "column": "--as",
    "retry_failed": "--retry-errors",
}
_SAME = (
    *Settings.__struct_fields__,
    *("where", "sample", "limit", "columns", "sql", "table", "seed", "base_url", "provider", "store", "rpm", "tpm"),
    *("encoding", "delimiter", "log"),
)  # fmt: skip
_OPTIONS = {**{name: f"--{name.replace('_', '-')}" for name in _SAME}, **_OTHERWISE}
_PHRASES = (
    ("load it with trusted=True (--trusted)", "say --trusted"),
    (", or pass it in run(variables=...)", ""),
    (", or pass api_key=", ""),
    ("pass api_key= instead", "set the provider's environment variable instead"),
    ("or pass provider= or base_url=", "or say --provider or --base-url"),
    ("pass base_url=", "say --base-url"),
)
_ARGUMENT = re.compile(
    r"""(?P<own>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|\b(?P<name>[a-z_]+)=(?P<value>'[^']*'|"[^"]*"|True\b|[\w.+-]*)"""
)


# Arguments that an output has as the input has them.
_OF_BOTH = ("format", "delimiter", "encoding")


@contextmanager
def of_output(format: str = "--output-format") -> Iterator[None]:
    """Has what is refused of an output name its options, not the input's; `format` is what one is called."""
    try:
        yield
    except OutputExists:
        raise
    except InvalidInput as error:
        names = {**{name: f"--output-{name}" for name in _OF_BOTH}, "format": format}
        raise InvalidInput(_in_options(str(error), names)) from None


# Words of a command that would drop what it is to go on with.
_ANEW = ("--no-cache",)


def with_more(words: Sequence[str], refusal: BudgetSpent) -> str:
    """The command of these words with a ceiling that leaves room for what was refused, and as much again.

    >>> with_more(("map", "Say {x}", "--max-cost", "1"), BudgetSpent("", "max_cost", 1.03))
    "flowpool map 'Say {x}' --max-cost 2.1"
    """
    option = f"--{refusal.setting.replace('_', '-')}"
    more = rounded_up(2 * refusal.least)
    found: list[str] = []
    given = iter([word for word in words if word not in _ANEW])
    for word in given:
        if word == option:
            next(given, None)
        elif not word.startswith(f"{option}="):
            found.append(word)
    at = found.index("--") if "--" in found else len(found)
    return "flowpool " + shlex.join([*found[:at], option, more, *found[at:]])


def rounded_up(number: float) -> str:
    """A number with two digits that count, in plain digits."""
    exact = Decimal(str(number))
    step = Decimal(1).scaleb(exact.adjusted() - 1)
    return f"{((exact / step).to_integral_value(ROUND_CEILING) * step).normalize():f}"


def in_shell_words(text: str) -> str:
    """The same of a message that names Python's arguments.

    >>> in_shell_words("max_flows=0: use 1 or more")
    '--max-flows 0: use 1 or more'
    """
    for python, shell in _PHRASES:
        text = text.replace(python, shell)
    return _in_options(text, _OPTIONS)


def _in_options(text: str, options: Mapping[str, str]) -> str:
    """The text with these arguments as options."""

    def option(found: re.Match[str]) -> str:
        said = options.get(found["name"] or "")
        if said is None:
            return found[0]
        return said if found["value"] in ("", "True") else f"{said} {found['value']}"

    return _ARGUMENT.sub(option, text)
