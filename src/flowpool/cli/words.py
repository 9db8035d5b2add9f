"""What an error says in Python's words, in those of the shell: `--max-flows 0` for `max_flows=0`.

The rule for all of them: a name with `=` that is an option's is that option; what is quoted is somebody's own text.
"""

from __future__ import annotations

import re

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
