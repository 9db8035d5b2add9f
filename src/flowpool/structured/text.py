"""Finds the JSON in what a model wrote: inside a fence, among prose, or nearly right.

Only what can be meant in one way is repaired. What ends in the middle is never taken for whole.
Pure functions of a text; they know no schema.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import msgspec

from flowpool.structured.check import same

# Deeper than any answer that is meant, and well within Python's own limit of recursion.
MAX_DEPTH = 100
# How often, on average, a character is looked at, beside the few of a short text: brackets of prose can each seem
# to begin a value that goes on to the text's end.
_MOST_LOOKS, _FEW_LOOKS = 10, 100_000
# Characters that are read in the time that it takes to find that a bracket begins nothing.
_A_TRY = 100
_FENCE = re.compile(r"```[ \t]*+([\w+-]*+)[ \t]*+\r?\n(.*?)```", re.DOTALL)
# A value, and where in its text it begins and ends.
Found = tuple[Any, int, int]
# How models mark what they only think: in tags, or in the special tokens of their templates.
_TAG = (
    r"(?:[\w.-]{1,20}:)?(?:(?:ant|self)?_?(?:think(?:ing)?|reflection)|thoughts?|thought_process|reason(?:ing)?"
    r"|scratch_?pad|analysis|chain_of_thought|cot|inner_monologue|internal_monologue|planning|brainstorm)\s*>"
)
_THOUGHT = re.compile(
    rf"(?P<begin><{_TAG}|\[THINK\]|\u25c1think\u25b7|<\|(?:start|begin)_(?:thinking|of_thought)\|>"
    rf"|<\|channel\|>analysis<\|message\|>)"
    rf"|</{_TAG}|\[/THINK\]|\u25c1/think\u25b7|<\|end_(?:thinking|of_thought)\|>"
    rf"|<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)
# What introduces JSON that is no answer, and what takes back the JSON before it.
_EXAMPLE = re.compile(
    r"\b(?:for (?:example|instance)|e\.\s?g\.|(?:an?|this) example|such as|examples?:)"
    r"[^\n{}\[\]`]{0,60}\s*(?:```[\w+-]*\s*)?\Z",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"\b(?:wait|correction|actually|scratch that|on second thoughts?|(?:i|my) (?:made a )?mistake"
    r"|let me (?:correct|fix|redo|rethink|reconsider|try again)"
    r"|(?:that|this)(?:'s| is| was) (?:wrong|not right|incorrect))\b",
    re.IGNORECASE,
)
_LOOKED_BEFORE = 160  # characters before a value that may introduce it
_OPENING = re.compile(r"[{\[]")
# A comment that doesn't end takes all the rest, which then isn't looked at for its end again.
_SKIPPED = re.compile(r"(?:\s++|//[^\n]*+|/\*.*?(?:\*/|\Z)|#[^\n]*+)++", re.DOTALL)
_ZEROS = re.compile(r"-?0\d+(?![\w.])")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])")
_ESCAPED = re.compile(r"u([\da-fA-F]{4})(?:\\u([\da-fA-F]{4}))?")
_BYTE = re.compile(r"x([\da-fA-F]{2})")
_RUN = re.compile(r"[\w$.+-]*+")
_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_WORDS: dict[str, Any] = {
    **{"true": True, "false": False, "null": None, "True": True, "False": False, "None": None},
    **{"TRUE": True, "FALSE": False, "NULL": None, "undefined": None, "NaN": None, "nan": None},
}
_LANGUAGES = frozenset({"", "json", "jsonc", "json5", "jsonl", "javascript", "js", "python", "py"})
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
# What ends a part of a text: a backslash, or its quote where that is followed by what follows a text.
_ENDS = {
    quote: re.compile(rf"\\|{quote}(?=[^\S\n]*+(?:[\n,:}}\]]|//|/\*|\Z))")
    for quote in _QUOTES.values()
}


class NoJson(ValueError):
    """There is no JSON in the text."""


class BrokenJson(NoJson):
    """It is JSON's beginning, but can't be read in one way."""


class CutJson(BrokenJson):
    """It ends in the middle."""


class Numeral(float):
    """A number as it was written: 1.10 is 1.1, but not as a text."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Numeral:
        made = super().__new__(cls, text)
        made.text = text
        return made


def without_numerals(value: Any) -> Any:
    """The value with plain numbers for those."""
    if isinstance(value, dict):
        return {name: without_numerals(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_numerals(inner) for inner in value]
    return float(value) if isinstance(value, Numeral) else value


def values_in(text: str, *, exact: bool = False) -> list[Any]:
    """The JSON values in a text: the one that it is, else those in its fences and its prose, in their order.

    What the model only thinks, what it introduces as an example, and references such as [1] are left out.
    exact: fractions come as `Numeral`s. Raises `NoJson`, or `CutJson` for a value that isn't whole.

    >>> values_in("Sure:\\n```json\\n{'a': [1, 2,], }\\n```")
    [{'a': [1, 2]}]
    """
    text = text.removeprefix("\ufeff").strip()
    for candidate in (text, without_thoughts(text).strip()):
        try:
            return [_to_exact(candidate) if exact else _to_value(candidate)]
        except (ValueError, UnicodeEncodeError):
            text = candidate
        except RecursionError:
            raise BrokenJson(f"nested more than {MAX_DEPTH} deep") from None
    found = _fenced(text, exact) or list(Scan(text, exact))
    if not found:
        raise NoJson("no JSON in it")
    if _is_taken_back(text, found):
        raise NoJson("words after its JSON take that back")
    meant = [one[0] for one in found if not _is_example(text, one[1]) and not _is_cited(text, one)]
    if not meant:
        raise NoJson("no JSON in it but an example, or a reference such as [1]")
    return meant


_to_value = msgspec.json.Decoder().decode
_to_exact = json.JSONDecoder(parse_float=Numeral).decode


def without_thoughts(text: str) -> str:
    """What follows the last thought in a text; else what comes before it.

    >>> without_thoughts("<think>Is it ham?</think>spam")
    'spam'
    """
    marks = list(_THOUGHT.finditer(text))
    if marks:
        whole = _spans(text)
        marks = [mark for mark in marks if not _is_within(whole, mark.start())]
    if not marks:
        return text
    ends = [mark for mark in marks if not mark["begin"]]
    begins = [mark for mark in marks if mark["begin"]]
    rest = text[ends[-1].end() :] if ends else text
    unclosed = next((b for b in begins if not ends or b.start() > ends[-1].start()), None)
    if unclosed is not None:
        rest = rest[: unclosed.start() - len(text) + len(rest)]
    if rest.strip() or not begins:
        return rest
    return text[: begins[0].start()]


def _spans(text: str) -> list[tuple[int, int]]:
    """Where in a text whole values of JSON are."""
    return [(start, end) for _, start, end in Scan(text, lenient=True)]


def _is_within(spans: list[tuple[int, int]], at: int) -> bool:
    before = bisect_left(spans, (at, at)) - 1
    return before >= 0 and at < spans[before][1]


def _fenced(text: str, exact: bool) -> list[Found]:
    """What the text's fences hold, and its prose beside them; nothing where no fence can be read.

    A fence may end inside of a value. Braces of the prose before the last fence may be mere words; after it,
    they may be the answer again, put right.
    """
    fences = [match for match in _FENCE.finditer(text) if match[1].lower() in _LANGUAGES]
    found: list[Found] = []
    try:
        for fence in fences:
            found += Scan(text, exact, part=fence.span(2))
    except BrokenJson:
        return []
    if not found:
        return []
    at = 0
    for fence in _FENCE.finditer(text):
        found += Scan(text, exact, lenient=True, part=(at, fence.start()))
        at = fence.end()
    found += Scan(text, exact, part=(at, len(text)))
    return sorted(found, key=lambda one: one[1])


def _is_taken_back(text: str, found: list[Found]) -> bool:
    """Whether words after a value take it back, and no other says the same again."""
    ends = [start for _, start, _ in found[1:]] + [len(text)]
    taken_back = [
        _TAKEN_BACK.search(text, end, until) is not None
        for (_, _, end), until in zip(found, ends, strict=True)
    ]
    is_one = all(same(value, found[0][0]) for value, _, _ in found)
    return taken_back[-1] or (any(taken_back) and not is_one)


def _is_cited(text: str, found: Found) -> bool:
    """Whether whole numbers in brackets stand among words, as references do."""
    value, start, end = found
    if not isinstance(value, list) or not all(type(one) is int for one in value) or not value:
        return False
    before = text[max(0, start - _LOOKED_BEFORE) : start].rpartition("\n")[2]
    after = text[end : end + _LOOKED_BEFORE].partition("\n")[0]
    return bool(before.strip() or after.strip())


def _is_example(text: str, at: int) -> bool:
    return _EXAMPLE.search(text[max(0, at - _LOOKED_BEFORE) : at]) is not None


class Scan:
    """Every object and array in a text, in order, with where it stands.

    lenient: passes over broken ones. part: where to look, all of it by default. looked: characters that were looked
    at so far; a scan ends early rather than look at each many times.
    """

    def __init__(
        self,
        text: str,
        exact: bool = False,
        *,
        lenient: bool = False,
        part: tuple[int, int] | None = None,
    ) -> None:
        self.looked = 0
        self._offset = part[0] if part else 0
        self._text = text[slice(*part)] if part else text
        self._exact = exact
        self._lenient = lenient

    def __iter__(self) -> Iterator[Found]:
        text, at = self._text, 0
        most = _MOST_LOOKS * len(text) + _FEW_LOOKS
        while self.looked < most and (opening := _OPENING.search(text, at)) is not None:
            start, reader = opening.start(), _Reader(text, opening.start(), self._exact)
            try:
                value = reader.value(0)
            except NoJson:
                if reader.committed and not self._lenient:
                    raise
                self.looked += _A_TRY
                # A bracket of the prose; nothing that was read as JSON is read again.
                at = max(opening.end(), reader.at) if reader.committed else opening.end()
            else:
                at = reader.at
                yield value, self._offset + start, self._offset + at
            finally:
                self.looked += max(reader.at, reader.looked) - start


class _Reader:
    """Reads one value, and forgives what models get wrong.

    committed: once it can't be mere prose. looked: how far the text was looked at, where that is further than `at`.
    """

    def __init__(self, text: str, at: int, exact: bool = False) -> None:
        self.text = text
        self.exact = exact
        self.at = self.looked = at
        self.committed = False

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            self.committed = True
            raise BrokenJson(f"nested more than {MAX_DEPTH} deep")
        char = self._next()
        if char == "{":
            return self._object(depth)
        if char == "[":
            return self._array(depth)
        if char in _QUOTES:
            return self._string(_QUOTES[char])
        return self._plain()

    def _next(self) -> str:
        """The next character that says something; raises `CutJson` at the end."""
        skipped = _SKIPPED.match(self.text, self.at)
        if skipped:
            self.at = skipped.end()
        if self.at >= len(self.text):
            raise CutJson("it ends in the middle")
        return self.text[self.at]

    def _object(self, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        self.at += 1
        while (char := self._next()) != "}":
            if char in _QUOTES:
                name = self._string(_QUOTES[char])
            elif word := _WORD.match(self.text, self.at):
                name = word[0]
                self.at = word.end()
            else:
                raise self._broken()
            if self._next() != ":":
                raise self._broken()
            self.at += 1
            self.committed = True
            if name in made:
                raise BrokenJson(f"the name {name!r} stands twice in one object")
            made[name] = self.value(depth + 1)
            self._comma("}")
        self.at += 1
        return made

    def _array(self, depth: int) -> list[Any]:
        made: list[Any] = []
        self.at += 1
        while self._next() != "]":
            made.append(self.value(depth + 1))
            self.committed = True
            self._comma("]")
        self.at += 1
        return made

    def _comma(self, closer: str) -> None:
        """The comma after a member; also where it is missing between two lines."""
        before = self.at
        char = self._next()
        if char == ",":
            self.at += 1
        elif char != closer and "\n" not in self.text[before : self.at]:
            raise self._broken()

    def _string(self, closer: str) -> str:
        """A text up to its quote. A quote in the middle of words is taken for one of them."""
        text, pieces = self.text, []
        at = self.at + 1
        while end := _ENDS[closer].search(text, at):
            pieces.append(text[at : end.start()])
            if end[0] != "\\":
                self.at = end.end()
                return "".join(pieces)
            self.looked = end.end()
            piece, at = self._escape(end.end())
            pieces.append(piece)
        self.looked = len(text)
        self.committed = True
        raise CutJson("it ends in the middle of a text")

    def _escape(self, at: int) -> tuple[str, int]:
        """What stands for the escape whose letter is at `at`, and where it ends."""
        letter = self.text[at : at + 1]
        if letter == "u":
            pair = _ESCAPED.match(self.text, at)
            if pair is None:
                raise self._broken()
            if pair[2] and 0xD800 <= int(pair[1], 16) < 0xDC00 <= int(pair[2], 16) < 0xE000:
                both = ((int(pair[1], 16) - 0xD800) << 10) + int(pair[2], 16) - 0xDC00
                return chr(0x10000 + both), pair.end()
            one = int(pair[1], 16)
            return "\ufffd" if 0xD800 <= one < 0xE000 else chr(one), at + 5
        if letter == "x" and (byte := _BYTE.match(self.text, at)):
            return chr(int(byte[1], 16)), byte.end()
        if letter == "\n":  # JavaScript's continued line
            return "", at + 1
        if letter.isalnum() and letter not in _ESCAPES:
            return f"\\{letter}", at + 1  # a path or a pattern, whose backslash wasn't doubled
        return _ESCAPES.get(letter, letter), at + 1

    def _plain(self) -> Any:
        run = _RUN.match(self.text, self.at)
        self.looked = run.end() if run else self.at
        number = _NUMBER.match(self.text, self.at)
        if number:
            if number.end() >= len(self.text):
                raise CutJson("it ends in the middle")
            self.at = number.end()
            if self.exact and not number[0].lstrip("-").isdigit():
                return Numeral(number[0])
            try:
                return msgspec.json.decode(number[0])
            except msgspec.DecodeError:
                raise BrokenJson(f"the number {number[0][:20]} is too large") from None
        zeros = _ZEROS.match(self.text, self.at)
        if zeros:  # a zip code, say: no number of JSON
            self.at = zeros.end()
            return zeros[0]
        word = _WORD.match(self.text, self.at)
        if word and word[0] in _WORDS:
            self.at = word.end()
            return _WORDS[word[0]]
        raise self._broken()

    def _broken(self) -> BrokenJson:
        near = " ".join(self.text[self.at : self.at + 20].split())
        return BrokenJson(f"it isn't JSON near {near!r}")
