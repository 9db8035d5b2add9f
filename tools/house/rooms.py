"""The table of rooms in docs/design.md, read and held. The page is the only place where it stands.

Each row of the table is a room: its name, its modules, and what it must not know; the lowest room first. A
cell's names stand in backquotes:

    | room | modules | must not know |
    |---|---|---|
    | ground | `values` `errors` | **the world**; packages but `msgspec` |
    | limits | `limits/` | `calls/` |

`limits/` is the folder and all that is in it, `calls/{retry,budget}` are two files. A file named by itself is
in that room though its folder is in another, so that a new file of a folder has a room by itself. "The world"
is a list under the table, "**The world** is ...", of modules and rooms: a room that must not know it must not
reach it through others either.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from tools.house.tree import REPOSITORY, Tree

PAGE = REPOSITORY / "docs" / "design.md"
WORLD = "the world"

_TICKED = re.compile(r"`([^`]+)`")
_BRACES = re.compile(r"\{([^}]*)\}")
_OTHER_PACKAGES = re.compile(r"packages but ((?:`[^`]+`(?:, | and )?)+)")


class Room(Struct, frozen=True):
    """One row.

    modules, shuns: patterns of own modules; in `shuns` also modules of others. shuns_world: whether the world is
    among them. packages: the only ones of others than the standard library that it may know, or None for any.
    """

    name: str
    modules: tuple[str, ...]
    shuns: tuple[str, ...] = ()
    shuns_world: bool = False
    packages: frozenset[str] | None = None


class Rooms(Struct, frozen=True):
    """All rooms, the lowest first, and what "the world" is: names of modules and rooms."""

    rooms: tuple[Room, ...]
    world: tuple[str, ...] = ()

    def of(self, name: str) -> list[Room]:
        """The rooms that a module is in: one, if the table is right."""
        for fits in (_is_named, _is_inside):
            found = [room for room in self.rooms if any(fits(name, p) for p in room.modules)]
            if found:
                return found
        return []

    def level(self, name: str) -> int:
        """How high the module's room is."""
        return self.rooms.index(self.of(name)[0])


def load(page: Path = PAGE) -> Rooms:
    """The table of a page; raises `ValueError` where there is none."""
    text = page.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    heads = [at for at, line in enumerate(rows) if _cells(line)[:2] == ["room", "modules"]]
    if not heads:
        raise ValueError(f"{page}: there is no table that begins with room and modules")
    world = re.search(r"^\*\*The world\*\* is (.*?)\n\n", text + "\n\n", re.MULTILINE | re.DOTALL)
    return Rooms(
        tuple(_room(*_cells(line)) for line in rows[heads[0] + 2 :] if len(_cells(line)) == 3),
        tuple(_names(world[1])) if world else (),
    )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _room(name: str, modules: str, shuns: str) -> Room:
    packages = None
    if found := _OTHER_PACKAGES.search(shuns):
        packages = frozenset(_TICKED.findall(found[1]))
        shuns = shuns.replace(found[0], "")
    return Room(name, tuple(_names(modules)), tuple(_names(shuns)), WORLD in shuns, packages)


def _names(cell: str) -> Iterator[str]:
    for name in _TICKED.findall(cell):
        braces = _BRACES.search(name)
        for part in braces[1].split(",") if braces else [""]:
            yield _BRACES.sub(part, name)


def _is_named(name: str, pattern: str) -> bool:
    return pattern.replace("/", ".") == name


def _is_inside(name: str, pattern: str) -> bool:
    folder = pattern.removesuffix("/").replace("/", ".")
    return pattern.endswith("/") and (name == folder or name.startswith(f"{folder}."))


def _fits(name: str, pattern: str) -> bool:
    return _is_named(name, pattern) or _is_inside(name, pattern)


# What the table is held to. Each gives sentences that say what is wrong.


def misplaced(tree: Tree, rooms: Rooms) -> list[str]:
    """Modules that are in no room, or in several."""
    found = {name: [room.name for room in rooms.of(name)] for name in tree.modules}
    return [
        f"{name} is in {' and '.join(of) or 'no room'}"
        for name, of in found.items()
        if len(of) != 1
    ]


def empty_patterns(tree: Tree, rooms: Rooms) -> list[str]:
    """Names of the table that no module has."""
    patterns = [(room.name, pattern) for room in rooms.rooms for pattern in room.modules]
    return [
        f"{room}: there is no {pattern}"
        for room, pattern in patterns
        if not any(_fits(name, pattern) for name in tree.modules)
    ]


def upward(tree: Tree, rooms: Rooms) -> list[str]:
    """Imports of a module from a higher room than its own."""
    found = []
    for name, targets in tree.graph().items():
        for target in sorted(targets):
            if rooms.level(target) > rooms.level(name):
                found.append(f"{name} imports {target}, which is in {rooms.of(target)[0].name}")
    return found


def forbidden(tree: Tree, rooms: Rooms) -> list[str]:
    """Imports of what a module's room must not know."""
    inside, outside = _split(rooms.world, {room.name for room in rooms.rooms})
    graph = tree.graph()
    found = []
    for module in tree:
        room = rooms.of(module.name)[0]
        imported = set(tree.imports(module))
        own = {tree.own(name) or name for name in imported}
        found += [
            f"{module.name} imports {name}"
            for name in sorted(own)
            if any(_fits(name, pattern) for pattern in room.shuns)
        ]
        if room.shuns_world:
            for step in reachable(graph, module.name):
                known = _heads(set(tree.imports(tree.modules[step]))) & outside
                if rooms.of(step)[0].name in inside:
                    known.add(step)
                through = f" through {step}" if step != module.name else ""
                found += [f"{module.name} knows {name}{through}" for name in sorted(known)]
        if room.packages is not None:
            allowed = sys.stdlib_module_names | room.packages | {tree.package}
            others = {name.partition(".")[0] for name in imported} - allowed
            found += [f"{module.name} imports {name}" for name in sorted(others)]
    return found


def reachable(graph: dict[str, set[str]], name: str) -> list[str]:
    """A module and all that it imports, and what those do."""
    found = {name: None}
    waiting = [name]
    while waiting:
        for target in sorted(graph[waiting.pop()]):
            if target not in found:
                found[target] = None
                waiting.append(target)
    return list(found)


def _split(names: Iterable[str], rooms: set[str]) -> tuple[set[str], set[str]]:
    inside = {name for name in names if name in rooms}
    return inside, set(names) - inside


def _heads(names: set[str]) -> set[str]:
    """Each name and what it is inside of: `http.client` is `http` too."""
    parts = (name.split(".") for name in names)
    return {".".join(part[:n]) for part in parts for n in range(1, len(part) + 1)}
