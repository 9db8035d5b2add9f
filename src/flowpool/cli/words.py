"""What an error says in Python's words, in those of the shell: `--max-flows 0` for `max_flows=0`.

The rule for all of them: a name with `=` that is an option's is that option; what is quoted is somebody's own text.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal

from flowpool.errors import BudgetSpent
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
)  # fmt: skip
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


# Words of a command that would drop what it is to go on with.
_ANEW = ("--no-cache",)


def with_more(words: Sequence[str], refusal: BudgetSpent) -> str:
    """The command of these words with a ceiling that leaves room for what was refused, and as much again.

    >>> with_more(("map", "Say {x}", "--max-cost", "1"), BudgetSpent("", "max_cost", 1.03))
    "flowpool map 'Say {x}' --max-cost 2.1"
    """
    option = f"--{refusal.setting.replace('_', '-')}"
    more = _rounded_up(2 * refusal.least)
    found: list[str] = []
    given = iter([word for word in words if word not in _ANEW])
    for word in given:
        if word == option:
            next(given, None)
        elif not word.startswith(f"{option}="):
            found.append(word)
    at = found.index("--") if "--" in found else len(found)
    return "flowpool " + shlex.join([*found[:at], option, more, *found[at:]])


def _rounded_up(number: float) -> str:
    """A number with two digits that count, in plain digits."""
    step = Decimal(1).scaleb(Decimal(number).adjusted() - 1)
    return f"{((Decimal(number) / step).to_integral_value(ROUND_CEILING) * step).normalize():f}"


def in_shell_words(text: str) -> str:
    """The same of a message that names Python's arguments.

    >>> in_shell_words("max_flows=0: use 1 or more")
    '--max-flows 0: use 1 or more'
    """
    for python, shell in _PHRASES:
        text = text.replace(python, shell)
    return _ARGUMENT.sub(_option, text)


def _option(found: re.Match[str]) -> str:
    name, value = found["name"], found["value"]
    if name not in _OTHERWISE and name not in _SAME:
        return found[0]
    option = _OTHERWISE.get(name) or f"--{name.replace('_', '-')}"
    return option if value in ("", "True") else f"{option} {value}"
