"""The package's files as data: modules by name, their text and syntax trees. Imports nothing of the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src" / "flowpool"


class Module:
    """One file. `name` is without the package's; "." is the package itself."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path

    def __repr__(self) -> str:
        return f"Module({self.name!r})"

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def syntax(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @property
    def room(self) -> str:
        """The top folder that the file is in, "." for the package's own."""
        return self.name.partition(".")[0] if self.is_in_folder else "."

    @property
    def is_in_folder(self) -> bool:
        return "." in self.name.strip(".") or (self.path.stem == "__init__" and self.name != ".")


class Tree:
    """A package's modules by name.

    root: the package's folder, whose name is the package's.
    """

    def __init__(self, root: Path = SOURCE) -> None:
        self.root = root
        self.package = root.name
        self.modules: dict[str, Module] = {}
        self._imports: dict[str, tuple[str, ...]] = {}
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            name = ".".join(parts) or "."
            self.modules[name] = Module(name, path)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.modules.values())

    def own(self, name: str) -> str | None:
        """A module of the package by its absolute name, without the package's; None for others."""
        if name == self.package:
            return "."
        inner = name.removeprefix(f"{self.package}.")
        return inner if inner != name and inner in self.modules else None

    def imports(self, module: Module) -> tuple[str, ...]:
        """What a file imports anywhere in it, except for type checkers, as absolute names.

        A module is named as the module, a name out of one as the module that holds it.
        """
        if module.name not in self._imports:
            self._imports[module.name] = tuple(self._read_imports(module))
        return self._imports[module.name]

    def _read_imports(self, module: Module) -> Iterator[str]:
        for node in without_type_checking(module.syntax):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                if node.level or not node.module:
                    raise ValueError(f"{module.path}: imports are absolute here")
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if self.own(inner) else node.module

    def graph(self) -> dict[str, set[str]]:
        """Which modules of the package each one imports."""
        found = {}
        for module in self:
            targets = {self.own(name) for name in self.imports(module)}
            found[module.name] = {name for name in targets if name and name != module.name}
        return found


def without_type_checking(node: ast.AST) -> Iterator[ast.AST]:
    """Every node inside, except for what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield other
                yield from without_type_checking(other)
            continue
        yield child
        yield from without_type_checking(child)
