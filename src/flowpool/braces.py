"""Braces in a prompt: which of them are variables, which are braces, and which are nearly a variable. Pure.

What reads as a name, `{text}`, `{Review Text}`, `{page.title}`, is a variable. Other braces, `{"a": 1}`, are one
only where a column has just that name; else they stay. `\\{text}` is the braces themselves.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct

from flowpool.call_options import one_edit_away

# A run of braces, each perhaps escaped, and what stands in the innermost. A run is tried at its beginning alone.
_BRACES = re.compile(r"(?<![\\{])((?:\\*+\{)++)([^{}]++)\}")
_BRACE = re.compile(r"(\\*)\{")
_NAME = re.compile(r"[\w.\- \t\u00a0\u3000]*[^\W\d][\w.\- \t\u00a0\u3000]*")
# What Python adds to a name: `text!r`, `when:%Y`, `price:>8.2f`, `text=`.
_SPEC = re.compile(
    r"\s*(?::%.*|:(?:.?[<>=^])?[-+]?#?0?\d*[,_]?(?:\.\d+)?[a-zA-Z%]?|![rsa](?::.*)?|=)\s*\Z"
)
_WORDS = re.compile(r"[^\W_]+")
# Characters: what is longer is code or data, with a column's name in it by chance.
_LONGEST = 200
# Characters: an edit away from a shorter name is another name.
_FEW = 4
_PAIR = re.compile(r"""\s*(?:"[^"]*"|'[^']*'|[\w.\- ]+?)\s*:""")


class Braces(Struct, frozen=True):
    """Braces with a text between them.

    before: the literal text in front. text: what stands between them; None where they are escaped, and so part of
    what is literal. is_name: whether they are a variable anyway. raw: how they stand there if they are none.
    """

    before: str
    text: str | None
    is_name: bool = False
    raw: str = ""


def parsed(prompt: str) -> Iterator[Braces]:
    """The braces of a prompt in order; the last has no text, and is what follows them."""
    at = 0
    for found in _BRACES.finditer(prompt):
        run, text = found[1], found[2]
        *outer, escapes = _BRACE.findall(run)
        before = prompt[at : found.start()]
        is_name = _NAME.fullmatch(text) is not None
        is_latex = text.endswith("\\")  # \{x\}
        if len(escapes) % 2 and not is_latex:
            yield Braces(before + _unescaped([*outer, escapes]) + text + "}", None)
        elif is_name:
            before += _unescaped(outer) + escapes[: len(escapes) // 2]
            yield Braces(before, text, is_name, "{" + text + "}")
        else:
            yield Braces(before + run[:-1], text, is_name, "{" + text + "}")
        at = found.end()
    yield Braces(prompt[at:], None)


def _unescaped(escapes: Iterable[str]) -> str:
    """Braces whose backslashes stand for half as many."""
    return "".join(one[: len(one) // 2] + "{" for one in escapes)


def variable_in(path: str, names: Collection[str]) -> str | None:
    """The variable that a dotted path begins with: the path itself, or the longest part up to a dot that is one."""
    while path not in names:
        path, dot, _ = path.rpartition(".")
        if not dot:
            return None
    return path


def head_of(path: str) -> str:
    """The variable that a dotted path needs where none of its name is there."""
    return path.partition(".")[0] or path


def nearest(text: str, columns: Iterable[str]) -> str | None:
    """The column that is meant but for blanks, case, hyphens, quotes and the like."""
    bare, wanted = text.strip(), _squeezed(text)
    for one in columns:
        if bare == one.strip() or (wanted and _squeezed(one) == wanted):
            return one
    return None


def near(name: str, columns: Collection[str]) -> str:
    """The column that is nearly called so: but for case and signs, or for one edit; empty where none is."""
    meant = nearest(name, columns)
    if meant is None and len(name) >= _FEW:
        meant = one_edit_away(name, columns)
    return meant or ""


def nearly(text: str, columns: Collection[str]) -> str | None:
    """The column that braces with this text mean where they name none; None for what is no variable at all."""
    if text.endswith("\\"):
        return None
    if (meant := nearest(text, columns)) is not None:
        return meant
    if text.strip().isdecimal():
        return next((one for one in columns if one.isdecimal()), None)
    if len(text) > _LONGEST:
        return None
    if (spec := _SPEC.search(text)) is not None:
        meant = nearest(text[: spec.start()], columns)
    # In code and data a column is only meant whose name has a line end or a colon itself.
    signs = ("\n" if "\n" in text else "", ":" if _PAIR.match(text) else "")
    words = _words(text)
    about = (one for one in columns if all(map(one.__contains__, signs)) and _holds(words, one))
    return meant or next(about, None)


def _holds(words: str, column: str) -> bool:
    """Whether the column's name stands among the words."""
    wanted = _words(column)
    return bool(wanted.strip()) and wanted in words


def _words(text: str) -> str:
    """The words of a text, each between two blanks."""
    return f" {'  '.join(_WORDS.findall(_folded(text)))} "


def _squeezed(text: str) -> str:
    return "".join(char for char in _folded(text) if char.isalnum())


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
