"""Finds what a web page is about: the subtree with its text, without menus, footers and teasers.

A block of text is worth its length if it reads like prose, and costs something if it is mostly links. The
content is the smallest subtree that holds nearly all the worth. Knows lxml's trees, not markdown or HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple

Element = Any  # lxml's elements have no types
Kind = Literal["", "weak", "strong"]

HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_FURNITURE = frozenset(("nav", "footer", "aside", "menu", "dialog"))
# fmt: off
_FURNITURE_ROLES = frozenset((
    "navigation", "banner", "contentinfo", "complementary", "search", "dialog", "alertdialog",
    "menu", "menubar", "toolbar", "tablist", "tooltip", "alert",
))
_INLINE = frozenset((
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "br", "center", "cite", "code", "data", "del",
    "dfn", "em", "font", "i", "img", "ins", "kbd", "label", "mark", "nobr", "q", "s", "samp", "small",
    "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
))
# fmt: on
_ITEMS = frozenset(("li", "td", "th", "dt", "dd", "figcaption"))
# Never furniture by their names, and never worth going into for less than their whole.
_SOLID = frozenset(("p", "pre", "ul", "ol", "table", "blockquote", "li")) | HEADINGS
_NEVER_JUNK = (
    frozenset(("html", "body", "main", "article", "p", "tr", "tbody", "td", "th")) | HEADINGS
)
_PRUNED = frozenset(("div", "section", "table", "form"))
_LISTS = frozenset(("ul", "ol", "div", "section", "table"))

# Words of a class or id that name furniture. Layouts are named after what they have or lack
# ("has-sidebar"), which says nothing of what is in them.
_NAME = r"(?:^|(?<!has)(?<!with)(?<!no)[\s_-])(?:%s)(?:[\s_-]|s?$)"
_STRONG = re.compile(
    _NAME
    % (
        "navbar|navigation|menu|submenu|breadcrumbs?|crumbs?|pagination|pager|side-?bar|rail|aside|footer|"
        "foot|masthead|topbar|toolbar|related|recommend(?:ed|ations?)?|"
        "more-?(?:stories|news|articles|on|from|like)|trending|most-?(?:read|popular|viewed)|teasers?|"
        "outbrain|taboola|comments?|commentlist|disqus|respond|replies|cookies?|consent|gdpr|newsletter|"
        "sign-?up|login|ads?|adv|advert|advertisement|advertorial|sponsor(?:ed|s)?|dfp|popup|modal|overlay|"
        "lightbox|tooltip|visually-hidden|sr-only|screen-reader-text|editsection|headerlink|copyright"
    ),
    re.IGNORECASE,
)
_WEAK = re.compile(
    _NAME
    % (
        "nav|skip|toc|tools|share|sharing|sharethis|addtoany|social|follow|like|popular|latest|also|next|prev|"
        "previous|read-?more|discussion|subscribe|subscription|promos?|promotion|banner|hidden|"
        "author-?(?:bio|box|info)|bio|tags?|taglist|keywords|ratings?|vote|print|meta|metadata|post-?meta|"
        "byline|widgets?|legal"
    ),
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_DENSE_SCRIPT = re.compile("[\u2e80-\u9fff\uac00-\ud7af]")

# Characters of a class or id: what stands behind names nothing more.
_LONGEST_NAME = 1000
# Characters: shorter blocks are labels, captions and buttons.
_PROSE = 40
# A child worth this share of its parent is where the content is.
_NEARLY_ALL = 0.8
# What a subtree of links can cost: it is pruned, so it mustn't repel its neighbours.
_WORST = -150.0
# Furniture worth this many times the content is the content.
_RESCUE = 4.0
# The share of a block's text that is links, above which it leads elsewhere rather than says something.
_MOSTLY_LINKS = 0.6
# Characters of content that may be an extraction gone wrong.
_TOO_LITTLE = 200


class Worth(NamedTuple):
    """What a subtree holds: characters of text, those in links, and how much it reads like content."""

    text: int
    links: int
    score: float


_NOTHING = Worth(0, 0, 0.0)


def extract_main(body: Element) -> Element:
    """The subtree of `body` with the page's content; takes out of it what isn't content.

    Where that would leave next to nothing of a page, only what is surely furniture goes.
    """
    survey = _Survey(body)
    node = survey.content()
    doomed = list(survey.furniture_in(node))
    worth = survey.kept[node]
    left = worth.text - sum(survey.kept.get(e, _NOTHING).text for e in doomed)
    if left < min(_TOO_LITTLE, 0.5 * survey.all_text) and worth.score < _TOO_LITTLE:
        node, doomed = body, [e for e in survey.junk if survey.is_surely_junk(e)]
        if sum(survey.junk[e].text for e in doomed) >= survey.all_text:
            doomed = []
    for element in doomed:
        drop(element)
    return node


def drop(element: Element) -> None:
    """Takes an element out of its tree, and leaves the text after it."""
    if element.getparent() is not None:
        element.drop_tree()


class _Survey:
    """The worth of every block of a page; furniture is set apart and counts for nothing."""

    def __init__(self, body: Element) -> None:
        self.kept: dict[Element, Worth] = {}
        self.junk: dict[Element, Worth] = {}
        self.all_text = 0
        self._body = body
        self._walk(body, in_link=False)

    def content(self) -> Element:
        """The smallest subtree with nearly all the worth."""
        node = self._descend(self._body)
        if self.junk:
            rival = max(self.junk, key=lambda e: self.junk[e].score)
            if self.junk[rival].score > _RESCUE * max(self.kept[node].score, 1.0):
                self.kept[rival] = self.junk.pop(rival)
                return self._descend(rival)
        return node

    def furniture_in(self, node: Element) -> Iterator[Element]:
        """What isn't content in `node`: furniture, blocks of links, and any links before the text begins."""
        begun = False
        gone: set[Element] = set()
        for element in node.iterdescendants("*"):
            if element.getparent() in gone:
                gone.add(element)
                continue
            worth = self.kept.get(element)
            if element in self.junk or (worth and _is_links(element, worth, begun)):
                gone.add(element)
                yield element
            elif worth and worth.text and not begun:
                begun = element.tag in HEADINGS or (element.tag == "p" and worth.score > _PROSE)

    def is_surely_junk(self, element: Element) -> bool:
        """Whether more than a name says that this is furniture."""
        worth = self.junk[element]
        links = worth.links > _MOSTLY_LINKS * worth.text
        return links or _is_furniture(element) or is_hidden(element)

    def _descend(self, node: Element) -> Element:
        while True:
            worth = self.kept[node].score
            inside = [(self.kept[e].score, e) for e in node if e in self.kept]
            best, child = max(inside, key=lambda pair: pair[0], default=(0.0, node))
            if best <= 0 or best < _NEARLY_ALL * worth or child.tag in _SOLID:
                return node
            node = child

    def _walk(self, element: Element, in_link: bool) -> tuple[int, int, Worth]:
        """The element's inline text and links that belong to the block around it, and its blocks' worth."""
        tag = element.tag
        in_link = in_link or (tag == "a" and element.get("href") is not None)
        inline = _size(element.text)
        links = inline if in_link else 0
        text = linked = 0
        score = 0.0
        for child in element:
            more, more_links, worth = self._walk(child, in_link)
            tail = _size(child.tail)
            inline += more + tail
            links += more_links + (tail if in_link else 0)
            text += worth.text
            linked += worth.links
            score += max(worth.score, _WORST)
        if tag in _INLINE:
            return inline, links, Worth(text, linked, score)
        if inline:
            self.all_text += inline
            text, linked = text + inline, linked + links
            score += _block_score(tag, inline, links)
        worth = Worth(text, linked, score)
        if tag not in _NEVER_JUNK and _is_junk(element, worth):
            self.junk[element] = worth
            return 0, 0, _NOTHING
        self.kept[element] = worth
        return 0, 0, worth


def _size(text: str | None) -> int:
    """The text's length; characters that stand for a syllable or word count for three."""
    if not text:
        return 0
    text = text.strip()
    return len(text) if text.isascii() else len(text) + 2 * len(_DENSE_SCRIPT.findall(text))


def _block_score(tag: str, size: int, links: int) -> float:
    if tag == "pre":
        return float(size)
    mostly_links = links > size / 2
    if tag in HEADINGS:
        return -10.0 if mostly_links else 15.0
    if mostly_links:
        return -10.0 - 0.3 * links
    if size < _PROSE:
        return 0.0 if tag in _ITEMS else -3.0
    return (size - 2.0 * links) * (0.7 if tag in _ITEMS else 1.0)


def _is_junk(element: Element, worth: Worth) -> bool:
    if _is_furniture(element) or is_hidden(element):
        return True
    names = [(element.get(name) or "")[:_LONGEST_NAME] for name in ("class", "id")]
    kind = _named(*names)
    reads_like_prose = worth.score > 500 and worth.links < 0.2 * worth.text
    if kind == "strong" or (kind == "weak" and not reads_like_prose):
        return True
    return element.tag == "header" and element.getparent().tag in ("body", "div")


def _is_links(element: Element, worth: Worth, begun: bool) -> bool:
    """Whether a block is there for its links; a list of them only before the text has begun."""
    if worth.score >= 0 or worth.links <= _MOSTLY_LINKS * worth.text:
        return False
    return element.tag in _PRUNED or (element.tag in _LISTS and not begun)


def _is_furniture(element: Element) -> bool:
    return element.tag in _FURNITURE or element.get("role") in _FURNITURE_ROLES


def is_hidden(element: Element) -> bool:
    """Whether a browser doesn't show the element, as far as its own attributes tell."""
    get = element.get
    if get("hidden") is not None or get("aria-hidden") == "true":
        return True
    style = get("style")
    return bool(style and _UNSEEN.search(style))


@lru_cache(maxsize=4096)
def _named(classes: str, identity: str) -> Kind:
    """Whether an element's names are those of furniture."""
    if not classes and not identity:
        return ""
    names = _CAMEL.sub("-", f"{classes} {identity}")
    return "strong" if _STRONG.search(names) else "weak" if _WEAK.search(names) else ""
