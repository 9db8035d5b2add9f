"""Makes the pages of the API reference from docstrings: `write_reference(folder)`. Public names only."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

# A page, its title, its first words, and the names that it has of a module; None for all of the module's own.
PAGES: tuple[tuple[str, str, str, str, tuple[str, ...] | None], ...] = (
    ("pool", "Pool and results", "What runs many items, and what it gives back.", "flowpool",
     ("Pool", "Results", "Record", "Status")),
    ("runners", "Models, skills, chains", "What a pool runs.", "flowpool",
     ("Model", "Spread", "Skill", "Chain", "Image", "File")),
    ("data", "Items", "What a pool's items may be.", "flowpool", ("read", "Rows")),
    ("tools", "Tools", "Functions as steps: `from flowpool.tools import fetch, to_markdown`.",
     "flowpool.tools", ("tool", "Tool", "ToolResult", "fetch", "to_markdown", "Caps")),
    ("values", "Limits, prices, usage", "Plain values that pools and models take and give.", "flowpool",
     ("Limits", "Prices", "Usage")),
    ("views", "What a run tells", "What a pool shows of a run while it goes on.", "flowpool.pool",
     ("Snapshot", "LaneView", "Spend")),
    ("errors", "Errors", "Every way a run or an item can fail: `from flowpool.errors import RateLimited`.",
     "flowpool.errors", None),
    ("tracing", "Tracing", "What OpenTelemetry is told: `from flowpool.tracing import Tracing`.",
     "flowpool.tracing", ("Tracing",)),
    ("simulator", "Simulator", "A provider to test against: `from flowpool.simulator import SimServer`.",
     "flowpool.simulator", ("SimServer", "Profile", "Fixed", "Lognormal", "PerToken", "find_profile")),
)  # fmt: skip
# What other parts of flowpool ask of these; of no use to who runs a pool. "*" is all that a class has.
INNER: dict[str, frozenset[str]] = {
    "Rows": frozenset("*"),
    "Model": frozenset({"endpoint", "identity"}),
    "Skill": frozenset({"attachments", "models", "definition"}),
    "Image": frozenset("*"),
    "File": frozenset("*"),
    "Tool": frozenset({"fn", "bind", "missing", "unread"}),
}
_ARGUMENT = re.compile(r"^(\*{0,2}[a-z_]\w*(?:, \*{0,2}[a-z_]\w*)*): +(\S.*)$")
_SECTION = re.compile(r"^(Args|Attributes|Example|Examples):$")
_WIDE = 84  # characters of a signature on one line


def write_reference(folder: Path) -> None:
    """Writes a page for each row of `PAGES` into `folder`, and an index of all names."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = ["# API reference\n\nMade from the docstrings of the package.\n"]
    for file, title, words, module_name, chosen in PAGES:
        module = import_module(module_name)
        names = chosen or own_names(module)
        parts = [f"# {title}\n\n{words}\n"]
        for name in names:
            parts.extend(entry(name, getattr(module, name)))
        (folder / f"{file}.md").write_text("\n".join(parts), encoding="utf-8")
        links = ", ".join(f"[`{name}`]({file}.md#{name.lower()})" for name in names)
        listed.append(f"## [{title}]({file}.md)\n\n{links}\n")
    (folder / "index.md").write_text("\n".join(listed), encoding="utf-8")


def own_names(module: ModuleType) -> tuple[str, ...]:
    """The public classes that a module defines, in its order."""
    return tuple(
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and name[0] != "_"
    )


def entry(name: str, value: Any) -> Iterator[str]:
    """The Markdown of a public name: its signature, its words, and what it has."""
    yield f"## `{name}` {{ #{name.lower()} }}\n"
    function = getattr(value, "function", value)  # a tool's own
    if inspect.isclass(value):
        if issubclass(value, Exception):
            yield _bases(value)
        elif not issubclass(value, Enum):
            yield _code(signature(name, value))
        yield markdown(inspect.getdoc(value) or "", _parameters(value))
        if issubclass(value, Enum):
            yield "\n".join(f"- `{member.name}` = {member.value}" for member in value) + "\n"
        yield from _members(name, value)
    else:
        yield _code(signature(name, function))
        yield markdown(inspect.getdoc(function) or "", _parameters(function))


def _bases(value: type) -> str:
    bases = [base.__name__ for base in value.__bases__]
    again = " It is tried again." if getattr(value, "retryable", False) else ""
    return f"A kind of {' and '.join(f'`{base}`' for base in bases)}.{again}\n"


def _members(owner: str, value: type) -> Iterator[str]:
    """The public methods and properties that a class defines or takes from flowpool's own bases."""
    seen: set[str] = set()
    own = [base for base in value.__mro__ if base.__module__.startswith("flowpool")]
    inner = INNER.get(owner, frozenset())
    if issubclass(value, Exception) or "*" in inner:
        return
    for base in own:
        for name, member in vars(base).items():
            plain = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
            words = inspect.getdoc(plain) if _is_documented(plain) else ""
            if name[0] == "_" or name in seen or name in inner or not words:
                continue
            seen.add(name)
            yield f"### `{owner}.{name}` {{ #{owner.lower()}.{name.lower()} }}\n"
            if isinstance(plain, property):
                yield _code(f"{name}: {_annotation(plain.fget)}")
            else:
                yield _code(signature(name, plain))
            yield markdown(words, _parameters(plain))


def _is_documented(member: Any) -> bool:
    return (inspect.isfunction(member) or isinstance(member, property)) and bool(member.__doc__)


def _annotation(getter: Any) -> str:
    found = inspect.signature(getter).return_annotation
    return found if isinstance(found, str) else "Any"


def _parameters(value: Any) -> frozenset[str]:
    if isinstance(value, property):
        return frozenset()
    try:
        names = inspect.signature(value).parameters
    except (TypeError, ValueError):
        return frozenset()
    return frozenset(names)


def signature(name: str, value: Any) -> str:
    """A call's words, on a line each where one is too long for them."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    parameters = [p for p in found.parameters.values() if p.name not in ("self", "cls")]
    written: list[str] = []
    starred = False
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            starred = True
        elif parameter.kind is parameter.KEYWORD_ONLY and not starred:
            written.append("*")
            starred = True
        written.append(_word(parameter))
    result = found.return_annotation
    arrow = f" -> {result}" if isinstance(result, str) and not inspect.isclass(value) else ""
    prefix = "async " if inspect.iscoroutinefunction(value) else ""
    line = f"{prefix}{name}({', '.join(written)}){arrow}"
    if len(line) <= _WIDE:
        return line
    body = "".join(f"    {word},\n" for word in written)
    return f"{prefix}{name}(\n{body}){arrow}"


def _word(parameter: inspect.Parameter) -> str:
    star = "*" * (parameter.kind is parameter.VAR_POSITIONAL)
    star += "**" * (parameter.kind is parameter.VAR_KEYWORD)
    kind = parameter.annotation
    text = star + parameter.name
    if kind is not parameter.empty:
        text += f": {kind if isinstance(kind, str) else inspect.formatannotation(kind)}"
    if parameter.default is parameter.empty:
        return text
    default = repr(parameter.default)
    shown = (
        default if len(default) < 30 and " at 0x" not in default and "<" not in default else "..."
    )
    return f"{text} = {shown}" if kind is not parameter.empty else f"{text}={shown}"


def _code(text: str) -> str:
    return f"```python\n{text}\n```\n"


def markdown(text: str, parameters: frozenset[str]) -> str:
    """A docstring as Markdown: arguments become a list, sessions and examples become blocks of code."""
    lines = text.splitlines()
    out: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith(">>>") or (line.startswith("    ") and _begins_block(out)):
            at = _block(lines, at, out)
        elif _SECTION.match(line):
            if line.startswith(("Args", "Attributes")):
                at = _arguments(lines, at + 1, out, lambda name: True, indent=4)
            else:
                out.append("")
                at += 1
        elif _names(line, parameters):
            at = _arguments(lines, at, out, lambda name: name in parameters, indent=0)
        else:
            out.append(line)
            at += 1
    return "\n".join(out).strip() + "\n"


def _begins_block(out: list[str]) -> bool:
    return not out or not out[-1].strip()


def _names(line: str, parameters: frozenset[str]) -> bool:
    match = _ARGUMENT.match(line)
    return match is not None and all(n.strip("* ") in parameters for n in match[1].split(","))


def _block(lines: list[str], at: int, out: list[str]) -> int:
    """Copies a session, or an indented example, as a block of code; returns the line after it."""
    session = lines[at].startswith(">>>")
    end = at
    while end < len(lines):
        line = lines[end]
        if not line.strip() and not (
            not session and end + 1 < len(lines) and lines[end + 1].startswith("    ")
        ):
            break
        if not session and line.strip() and not line.startswith("    "):
            break
        end += 1
    code = textwrap.dedent("\n".join(lines[at:end])).replace("<BLANKLINE>", "")
    out.extend(["", f"```{'pycon' if session else 'python'}", *code.splitlines(), "```", ""])
    return end


def _arguments(lines: list[str], at: int, out: list[str], known: Any, indent: int) -> int:
    """Makes a list of `name: words` lines; returns the line after them."""
    out.append("")
    while at < len(lines) and lines[at].strip():
        line = lines[at][indent:] if indent else lines[at]
        match = _ARGUMENT.match(line)
        if match and all(known(name.strip("* ")) for name in match[1].split(",")):
            names = ", ".join(f"`{name.strip()}`" for name in match[1].split(","))
            out.append(f"- {names}: {_more(match[2], known)}")
        elif line.startswith("    "):
            out.append(f"  {_more(line.strip(), known)}")
        else:
            break
        at += 1
    out.append("")
    return at


def _more(text: str, known: Any) -> str:
    """An argument's words; another argument after a full stop, as in `a: x. b: y.`, is set off."""
    return re.sub(r"(?<=\. )([a-z_]\w*): ", lambda m: f"`{m[1]}`: " if known(m[1]) else m[0], text)
