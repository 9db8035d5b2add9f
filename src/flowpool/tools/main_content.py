"""Finds what a web page is about, by trafilatura, and keeps it in the page's own tree.

trafilatura gives text that has lost its links, lists' numbers and code's languages. So each run of the page's text
goes to it with a mark of one character before it, and the runs whose marks come back are kept where they stand.
Knows lxml's trees, not markdown or HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

from flowpool.errors import InvalidInput

Element = Any  # lxml's elements have no types

HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
# Characters: what is shorter may be an extraction gone wrong.
LEAST = 300
_INSTALL = (
    "to find a page's main content: pip install 'flowpool[pages]', or pass main_content=False"
)
# fmt: off
_INLINE = frozenset((
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "br", "center", "cite", "code", "data", "del",
    "dfn", "em", "font", "i", "img", "ins", "kbd", "label", "mark", "math", "nobr", "q", "s", "samp",
    "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
))
_NO_TEXT = frozenset((
    "head", "script", "style", "template", "noscript", "textarea", "title", "select", "option", "button",
    "iframe", "object", "svg",
))
# fmt: on
# What trafilatura may drop from the middle of a text. Code is never furniture, whatever is beside it.
_DROPPED = frozenset(("pre", "table", "ul", "ol", "dl"))
# Characters of a line that tell whether a page has it.
_OF_A_LINE = 60
# The share of a list's or table's text that is links, above which it leads elsewhere.
_MOSTLY_LINKS = 0.3
_WITHOUT_TEXT = frozenset(("br", "hr", "math"))
# The marks: what Unicode leaves to private use in its last two planes.
_PLANES = (range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))
_MARKS = [code for plane in _PLANES for code in plane]
_MARK = re.compile("[\U000f0000-\U0010ffff]")
# What lxml refuses in a text, though its parser takes it.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Piece(NamedTuple):
    """A text of the tree: an element's own, or the one after it."""

    element: Element
    where: Literal["text", "tail"]

    @property
    def text(self) -> str:
        return getattr(self.element, self.where) or ""

    def set(self, text: str) -> None:
        setattr(self.element, self.where, text)


@dataclass(slots=True)
class Stretch:
    """Text that stands directly in one block, up to the next one. size, links: characters, and those in links."""

    block: Element
    parts: list[Piece] = field(default_factory=list)
    size: int = 0
    links: int = 0

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


@dataclass
class Main:
    """What trafilatura found: its text, and the runs of the page that are in it, by their numbers."""

    text: str
    runs: list[Stretch]
    kept: set[int]

    @property
    def stands_in_page(self) -> bool:
        """Whether most of the text was found where the page has it."""
        return sum(self.runs[i].size for i in self.kept) > 0.5 * len(self.text)

    @property
    def is_of_page(self) -> bool:
        """Whether the page shows the text; else it stands in the data that a script would show."""
        line = max(self.text.splitlines(), key=len, default="")[:_OF_A_LINE]
        shown = (part.text for run in self.runs for part in run.parts)
        return "".join(line.split()) in "".join("".join(shown).split())

    def holds(self, element: Element) -> bool:
        return any(_is_within(self.runs[i].block, element) for i in self.kept)

    def leave_in(self, body: Element) -> None:
        """Takes everything else out of `body`."""
        kept = self.kept | self._dropped_within()
        alive = _with_ancestors(part.element for i in kept for part in self.runs[i].parts)
        boxes = _with_ancestors(self.runs[i].block for i in kept)
        alive |= boxes
        for element in boxes:  # of a text that a script would uncover
            for name in ("style", "hidden", "aria-hidden"):
                element.attrib.pop(name, None)
        for number, run in enumerate(self.runs):
            if number not in kept:
                for part in run.parts:
                    part.set("")
        blocks = {self.runs[i].block for i in kept}
        for element in [e for e in body.iterdescendants("*") if e not in alive]:
            if not _is_of_the_text(element, alive, blocks):
                drop(element)

    def _dropped_within(self) -> set[int]:
        """The runs of code, lists and tables between what was kept that trafilatura dropped."""
        boxes: dict[Element, list[int]] = {}
        for number in range(min(self.kept), max(self.kept)):
            box = None if number in self.kept else _outermost(self.runs[number].block)
            if box is not None:
                boxes.setdefault(box, []).append(number)
        alive = _with_ancestors(self.runs[i].block for i in self.kept)
        found: set[int] = set()
        for box, numbers in boxes.items():
            links = sum(self.runs[i].links for i in numbers)
            says = links < _MOSTLY_LINKS * sum(self.runs[i].size for i in numbers)
            amid = box.getprevious() in alive and box.getnext() in alive
            if box.tag == "pre" or (says and amid):
                found.update(numbers)
        return found


def find_main(root: Element, body: Element) -> Main | None:
    """The main content of the page `root`, which stays as it is; None where trafilatura finds none.

    Raises `InvalidInput` without the extra that brings trafilatura.
    """
    runs = text_runs(body)
    marked = runs if len(runs) <= len(_MARKS) else []
    texts = [run.parts[0].text for run in marked]
    for run, text, mark in zip(marked, texts, _MARKS, strict=False):
        blanks = text[: len(text) - len(text.lstrip())]
        run.parts[0].set(_UNFIT.sub("", f"{blanks}{chr(mark)}{text.lstrip()}"))
    found = _extracted(root)
    for run, text in zip(marked, texts, strict=True):
        run.parts[0].set(_UNFIT.sub("", text))
    if found is None:
        return None
    numbers = {chr(mark): number for number, mark in enumerate(_MARKS[: len(marked)])}
    marks = _MARK.findall("".join(found.body.itertext()))
    return Main(found.text, runs, {numbers[mark] for mark in marks if mark in numbers})


def check_installed() -> None:
    """Raises `InvalidInput` without the extra that brings trafilatura."""
    if find_spec("trafilatura") is None:
        raise InvalidInput(_INSTALL)


def drop(element: Element) -> None:
    """Takes an element out of its tree, and leaves the text after it."""
    if element.getparent() is not None:
        element.drop_tree()


def _extracted(root: Element) -> Any:
    """trafilatura's document: the tree of its body has the marks in it, its text hasn't."""
    try:
        return _bare_extraction()(root, include_comments=False)
    except (MemoryError, InvalidInput):
        raise
    except Exception:  # of a page that a library of heuristics didn't foresee, the whole is taken
        return None


@cache
def _bare_extraction() -> Any:
    try:
        from trafilatura import bare_extraction
    except ImportError:
        raise InvalidInput(_INSTALL) from None
    import logging

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    return bare_extraction


def text_runs(body: Element) -> list[Stretch]:
    """The runs of text in `body`, from front to back."""
    runs = [Stretch(body)]

    def walk(element: Element, block: Element, in_link: bool) -> None:
        if element.tag in _NO_TEXT:
            return
        in_link = in_link or (element.tag == "a" and element.get("href") is not None)
        if element.tag not in _INLINE:
            block = element
            runs.append(Stretch(block))
        add(Piece(element, "text"), in_link)
        for child in element:
            walk(child, block, in_link)
            if child.tag not in _INLINE:
                runs.append(Stretch(block))
            add(Piece(child, "tail"), in_link)

    def add(part: Piece, in_link: bool) -> None:
        if size := len(part.text.strip()):
            runs[-1].parts.append(part)
            runs[-1].size += size
            runs[-1].links += size if in_link else 0

    walk(body, body, in_link=False)
    return [run for run in runs if run.parts]


def _outermost(block: Element) -> Element | None:
    """The outermost list, table or block of code around `block`, itself included."""
    boxes = [e for e in (block, *block.iterancestors()) if e.tag in _DROPPED]
    return boxes[-1] if boxes else None


def _is_within(element: Element, node: Element) -> bool:
    return element is node or any(parent is node for parent in element.iterancestors())


def _with_ancestors(elements: Iterable[Element]) -> set[Element]:
    found: set[Element] = set()
    for element in elements:
        while element is not None and element not in found:
            found.add(element)
            element = element.getparent()
    return found


def _is_of_the_text(element: Element, alive: set[Element], blocks: set[Element]) -> bool:
    """Whether an element without text belongs to the text around it: a break, or the one picture of its box."""
    box = element
    while box.getparent() is not None and box.getparent() not in alive:
        box = box.getparent()
    amid = box.getprevious() in alive and box.getnext() in alive
    if box.getparent() not in blocks and not amid:
        return False
    return element.tag in _WITHOUT_TEXT or sum(1 for _ in box.iter("img")) == 1
