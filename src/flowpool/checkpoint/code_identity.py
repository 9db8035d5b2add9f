"""What a function or object is, in 32 characters: the same in every process and on every machine, and others once
its code changes, a value that it holds, or a function or constant that its code names.

What is the user's is looked into; of the standard library, installed packages and flowpool only names count. What
code itself writes to while it runs is its state, and no part of what it is. Knows no store and no plan.
"""

from __future__ import annotations

import dis
import enum
import functools
import linecache
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import suppress
from hashlib import blake2b
from pathlib import PurePath
from types import CodeType
from typing import Any, Union, get_args, get_origin

from msgspec import Struct

from flowpool.chain import Chain
from flowpool.checkpoint.function_source import Sources, shape_of
from flowpool.encoding import CantEncode, digest, encode
from flowpool.integrations import ForeignTool
from flowpool.skill import Skill
from flowpool.tools.base import Tool

# A function and what it names are some dozens of objects; who names a whole application shall not wait for it.
MOST_OBJECTS = 10_000
MOST_DEEP = 60
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_INSTALLED = ("site-packages", "dist-packages")
_STANDARD = PurePath(linecache.__file__).parent
_OWN_TOOLS = "flowpool.tools:"
_OWN_PACKAGE = __name__.partition(".")[0]
_SIMPLE = (int, float, complex, bool, bytes, type(None), type(...), type(NotImplemented))
_NAME_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTE_LOADS = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
# What a tool's class says of it to people and models.
_WORDS_OF_A_TOOL = frozenset({"name", "description", "parameters", "max_flows", "mode", "caps"})
# Marks of classes whose methods are generated, and which: they follow from the fields.
_WITH_MADE_METHODS = ("__dataclass_fields__", "__attrs_attrs__", "_fields")
_MADE_METHODS = frozenset(
    {"__init__", "__new__", "__repr__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"}
    | {"__hash__", "__setattr__", "__delattr__", "__getstate__", "__setstate__", "__replace__"}
)
_DESCRIPTORS = (
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    types.WrapperDescriptorType,
)
_HINTS = frozenset({"__annotate__", "__annotate_func__"})
_ABSENT = object()
_NOTHING: frozenset[str] = frozenset()


def stripped(text: str) -> str:
    """A repr without the addresses of objects."""
    return _ADDRESS.sub("", text)


class CodeIdentity:
    """Tells what objects are; one serves for the objects of one plan.

    of_runner: what a skill or chain is that a function's code names.
    """

    def __init__(self, of_runner: Callable[[Any], Any] = repr) -> None:
        self._of_runner = of_runner
        self._sources = Sources()
        self._met: dict[int, int] = {}
        self._held: list[Any] = []  # so that no id comes twice
        self._left = 0
        self._folder = PurePath()  # of the file of the function that names a value

    def of(self, value: Any, skip: Set[str] = _NOTHING) -> str:
        """32 characters that tell it from others. skip: attributes of it that don't count."""
        self._met.clear()
        self._held.clear()
        self._left = MOST_OBJECTS
        return _hashed(self._value(value, 0, skip))

    def of_code_in(self, parts: Iterable[Any]) -> str:
        """32 characters that tell what the user's code in a type does, by the type's parts; "" without any."""
        self.of(None)
        found = []
        for part in parts:
            if _is_users(type(part)) or (isinstance(part, type) and _has_code(part)):
                found.append(self._value(part, 0))
            elif not isinstance(part, type) and (code := _code_in(part)):
                found.append([_name_of(type(part)), *(self._value(one, 0) for one in code)])
        return _hashed(found) if found else ""

    # Values

    def _value(self, value: Any, depth: int, skip: Set[str] = _NOTHING) -> Any:
        if type(value) is str:
            return ["text", _portable(value, self._folder)]
        if type(value) in _SIMPLE:
            return [type(value).__name__, repr(value)]
        if type(value) in (list, tuple, dict, set, frozenset):
            return self._container(value, depth)
        if id(value) in self._met:
            return ["again", self._met[id(value)]]
        if depth > MOST_DEEP or self._left <= 0:
            return ["more", _name_of(type(value))]
        self._left -= 1
        self._met[id(value)] = len(self._met)
        self._held.append(value)
        return self._object(value, depth + 1, skip)

    def _container(self, value: Any, depth: int) -> Any:
        kind = type(value).__name__
        with suppress(CantEncode, RecursionError):
            return [kind, digest(encode(value)).hex()]
        if id(value) in self._met or depth > MOST_DEEP:
            return ["again", kind]
        self._met[id(value)] = len(self._met)
        self._held.append(value)
        parts: Iterable[Any] = value.items() if isinstance(value, dict) else value
        if isinstance(value, Set):
            parts = sorted(value, key=lambda one: stripped(repr(one)))
        return [kind, *(self._value(one, depth + 1) for one in parts)]

    def _object(self, value: Any, depth: int, skip: Set[str]) -> Any:
        for kinds, write in self._kinds():
            if isinstance(value, kinds):
                return write(value, depth)
        if isinstance(value, type):
            return self._class(value, depth, skip)
        if _is_users(type(value)):
            return self._instance(value, depth, skip)
        name = _name_of(type(value))
        if name.startswith(_OWN_PACKAGE) and not isinstance(value, Struct):
            return ["own", name]
        if (wrapped := getattr(value, "__wrapped__", None)) is not None:
            return ["wrapped", name, self._value(wrapped, depth)]
        return ["object", name, _contents_of(value)]

    def _kinds(self) -> Iterator[tuple[Any, Callable[[Any, int], Any]]]:
        """What is written in a way of its own, by its type."""
        yield types.FunctionType, self._function
        yield types.MethodType, self._method
        yield types.BuiltinFunctionType, self._builtin
        yield types.ModuleType, lambda module, _: ["module", module.__name__]
        yield functools.partial, self._partial
        yield (staticmethod, classmethod), self._bare
        yield property, self._property
        yield functools.cached_property, lambda one, depth: self._value(one.func, depth)
        yield re.Pattern, lambda one, _: ["pattern", repr(one.pattern), one.flags]
        yield PurePath, lambda path, _: ["path", _portable(path.as_posix(), self._folder)]
        yield enum.Enum, self._member
        yield Tool, self._tool
        yield (Skill, Chain), lambda runner, _: ["runner", self._of_runner(runner)]

    def _method(self, method: Any, depth: int) -> Any:
        parts = method.__func__, method.__self__
        return ["method", *(self._value(part, depth) for part in parts)]

    def _builtin(self, function: Any, depth: int) -> Any:
        owner = function.__self__
        held = None if owner is None or isinstance(owner, types.ModuleType) else owner
        return ["builtin", _name_of(function), self._value(held, depth)]

    def _partial(self, partial: Any, depth: int) -> Any:
        parts = partial.func, partial.args, partial.keywords
        return ["partial", *(self._value(part, depth) for part in parts)]

    def _bare(self, method: Any, depth: int) -> Any:
        return [type(method).__name__, self._value(method.__func__, depth)]

    def _property(self, one: Any, depth: int) -> Any:
        parts = one.fget, one.fset, one.fdel
        return ["property", *(self._value(part, depth) for part in parts)]

    def _member(self, member: Any, depth: int) -> Any:
        return ["member", self._value(type(member), depth), member.name]

    def _tool(self, tool: Any, depth: int) -> Any:
        return ["tool", self._value(dict(tool._presets), depth), self._work_of(tool, depth)]

    def _work_of(self, tool: Any, depth: int) -> Any:
        if tool.dotted and tool.dotted.startswith(_OWN_TOOLS):
            return tool.dotted
        if isinstance(tool, ForeignTool):
            return self._foreign(tool, depth)
        function = getattr(tool, "__wrapped__", None)
        if function is None:
            return self._instance(tool, depth, _WORDS_OF_A_TOOL)
        return self._value(function, depth)

    def _foreign(self, tool: ForeignTool, depth: int) -> Any:
        """Another framework's object: what it shows of itself, and the user's functions and classes in it."""
        target = tool._target
        if _is_users(type(target)) and type(tool) is ForeignTool:
            return self._value(target, depth)
        of_users = [self._value(one, depth) for one in _users_code_in(target)]
        return [stripped(repr(tool.shown())), of_users]

    # Functions

    def _function(self, function: Any, depth: int) -> Any:
        code = function.__code__
        if not _is_users(function):
            return ["installed", _name_of(function), *self._functions_in(function, depth)]
        tree = self._sources.tree_of(code)
        does = _of_code(code) if tree is None else _hashed(shape_of(tree))
        file = self._sources.file_of(code.co_filename)
        outer, self._folder = self._folder, PurePath(code.co_filename).parent
        closure = zip(code.co_freevars, function.__closure__ or (), strict=False)
        held = [
            [name, self._value(cell.cell_contents, depth, file.cells.get(name, _NOTHING))]
            for name, cell in closure
            if "" not in file.cells.get(name, _NOTHING) and _is_filled(cell)
        ]
        written = file.parameters.get(tree, _NOTHING) if tree is not None else _NOTHING
        defaults = [
            [name, self._value(value, depth)]
            for name, value in _defaults_of(function)
            if name not in written
        ]
        named = [
            [".".join(path), self._named(function, path, depth)] for path in sorted(_paths_in(code))
        ]
        self._folder = outer
        return ["function", does, held, defaults, named]

    def _named(self, function: Any, path: tuple[str, ...], depth: int) -> Any:
        """What a name of the code stands for: `limit`, `helpers.clean`."""
        name, *attributes = path
        value = function.__globals__.get(name, _ABSENT)
        states = self._states_in(function.__code__.co_filename, name)
        for attribute in attributes:
            if not isinstance(value, types.ModuleType):
                break
            if not _is_users(value):
                return ["module", value.__name__]
            states |= self._states_in(getattr(value, "__file__", None) or "", attribute)
            value = getattr(value, attribute, _ABSENT)
        if "" in states or value is _ABSENT or _is_dunder(name):
            return None  # state; a builtin, or made only later; Python's own
        return self._value(value, depth, states)

    def _states_in(self, file: str, name: str) -> set[str]:
        """What of a module's name its functions write to: its attributes, or "" for the name itself."""
        return set(self._sources.file_of(file).names.get(name, ()))

    def _functions_in(self, function: Any, depth: int) -> Iterator[Any]:
        """The user's functions that one of a package is made of, as a decorator's is."""
        wrapped = getattr(function, "__wrapped__", None)
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        for one in cells if wrapped is None else [wrapped]:
            if callable(one):
                yield self._value(one, depth)

    # Classes and their instances

    def _class(self, kind: type, depth: int, skip: Set[str]) -> Any:
        if not _is_users(kind):
            return ["class", _name_of(kind)]
        words = _WORDS_OF_A_TOOL if issubclass(kind, Tool) else _NOTHING
        skip = skip | words | self._states_of(kind)
        bases = [self._value(base, depth) for base in kind.__bases__ if base is not object]
        parts = [
            [name, self._value(value, depth)]
            for name, value in sorted(vars(kind).items())
            if name not in skip and _is_part(kind, name, value)
        ]
        seen = self._validators(kind, depth)
        return ["class", bases, parts, self._fields(kind, depth), *seen]

    def _fields(self, kind: type, depth: int) -> Any:
        """What a class's own kind says of its fields: their names and defaults."""
        own: Any = kind
        if issubclass(kind, enum.Enum):
            members = kind.__members__.items()
            return [[name, self._value(member.value, depth)] for name, member in members]
        if fields := getattr(own, "__dataclass_fields__", None):
            return [
                [name, self._value(one.default, depth), self._value(one.default_factory, depth)]
                for name, one in fields.items()
            ]
        if hasattr(own, "__struct_fields__"):
            factories = [self._value(one, depth) for one in _factories_of(own)]
            defaults = self._value(own.__struct_defaults__, depth)
            return [list(own.__struct_fields__), defaults, factories]
        fields = vars(own).get("__pydantic_fields__")
        return None if fields is None else self._fields_of_pydantic(fields, depth)

    def _fields_of_pydantic(self, fields: dict[str, Any], depth: int) -> Any:
        return [
            [name, one.alias, stripped(repr(one.validation_alias)), _hint(one.annotation)]
            + [self._value(part, depth) for part in (one.default, one.default_factory)]
            + [self._extra(part, depth) for part in (*one.metadata, one.discriminator)]
            for name, one in fields.items()
        ]

    def _validators(self, kind: type, depth: int) -> list[Any]:
        """Those of a model of pydantic's: which fields they see, and when."""
        groups = _state_of(vars(kind).get("__pydantic_decorators__"))
        return [
            [
                name,
                getattr(one.info, "fields", None),
                getattr(one.info, "mode", None),
                self._value(getattr(one.func, "__func__", one.func), depth),
            ]
            for group, validators in sorted(groups.items())
            if group.endswith("validators")
            for name, one in validators.items()
        ]

    def _extra(self, part: Any, depth: int) -> Any:
        """What a field's type says beside the type."""
        return [stripped(repr(part)), *(self._value(one, depth) for one in _code_in(part))]

    def _instance(self, value: Any, depth: int, skip: Set[str]) -> Any:
        kind = type(value)
        skip = frozenset(skip).union(*map(self._states_of, kind.__mro__))
        parts = [
            [name, self._value(one, depth)]
            for name, one in sorted(_state_of(value).items())
            if name not in skip and not _is_dunder(name)
        ]
        plain = None
        with suppress(CantEncode):  # a kind of text, number, list or dict
            plain = digest(encode(value)).hex()
        return ["instance", self._value(kind, depth, skip), plain, parts]

    def _states_of(self, kind: type) -> Set[str]:
        """The attributes that a class's methods write to."""
        for one in vars(kind).values():
            function = getattr(one, "__func__", one)
            if isinstance(function, types.FunctionType) and _is_users(function):
                file = self._sources.file_of(function.__code__.co_filename)
                return file.attributes.get(kind.__qualname__, _NOTHING)
        return _NOTHING


def _state_of(value: Any) -> dict[str, Any]:
    """An object's attributes by name."""
    state = dict(getattr(value, "__dict__", {}))
    for base in type(value).__mro__:
        slots: Any = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                state[name] = getattr(value, name)
    return state


def _users_code_in(target: Any) -> list[Any]:
    """The user's functions and classes that an object holds, however deep, the nearest first."""
    found: dict[int, Any] = {}
    seen: dict[int, Any] = {}
    coming = deque([target])
    while coming and len(seen) < MOST_OBJECTS:
        one = coming.popleft()
        one = getattr(one, "__func__", one)
        if id(one) in seen or isinstance(one, (str, bytes, int, float, types.ModuleType)):
            continue
        seen[id(one)] = one
        if isinstance(one, dict):
            coming.extend(one.values())
        elif isinstance(one, (list, tuple, set, frozenset)):
            coming.extend(one)
        elif isinstance(one, (types.FunctionType, type)):
            if _is_users(one):
                found[id(one)] = one
        else:
            if _is_users(type(one)):
                found[id(type(one))] = type(one)
            coming.extend(_state_of(one).values())
    return list(found.values())


def _code_in(target: Any) -> list[Any]:
    """The user's functions that an object holds, and its classes that do something."""
    return [one for one in _users_code_in(target) if not isinstance(one, type) or _has_code(one)]


def _has_code(kind: type) -> bool:
    """Whether a class of the user's, or a base of it, does anything by code of its own."""
    return any(
        _is_users(base)
        and (
            any(_is_part(base, *named) and _is_code(named[1]) for named in vars(base).items())
            or any(map(_is_code, _factories_of(base)))
        )
        for base in kind.__mro__
    )


def _is_code(value: Any) -> bool:
    """Whether it is a function of the user's, or one of a package around it."""
    value = getattr(value, "fget", None) or getattr(value, "func", None) or value
    value = getattr(value, "__func__", value)
    if not isinstance(value, types.FunctionType):
        return False
    cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
    inner = [one for one in cells if isinstance(one, types.FunctionType)]
    return any(map(_is_users, [value, *inner]))


def _factories_of(kind: Any) -> Iterator[Any]:
    """What makes the values that fields of a dataclass or Struct have by default."""
    for one in getattr(kind, "__dataclass_fields__", {}).values():
        yield one.default_factory
    for one in getattr(kind, "__struct_defaults__", ()):
        yield getattr(one, "factory", None)


def _hint(kind: Any) -> Any:
    """A type hint, written alike by every version of Python."""
    origin, inner = get_origin(kind), get_args(kind)
    if not inner:
        return getattr(kind, "__qualname__", None) or stripped(repr(kind))
    is_union = origin in (Union, types.UnionType)
    name = "|" if is_union else getattr(origin, "__qualname__", None) or repr(origin)
    return [name, *map(_hint, inner)]


def _is_users(thing: Any) -> bool:
    """Whether a function, class or module is neither Python's, nor an installed package's, nor flowpool's."""
    name: Any
    file: Any
    if isinstance(thing, types.ModuleType):
        name, file = thing.__name__, getattr(thing, "__file__", None)
    elif isinstance(thing, types.FunctionType):
        name, file = thing.__globals__.get("__name__"), thing.__code__.co_filename
    else:
        name = getattr(thing, "__module__", None)
        file = getattr(sys.modules.get(str(name)), "__file__", None)
    return _is_users_module(str(name), file)


@functools.cache
def _is_users_module(name: str, file: str | None) -> bool:
    package = name.partition(".")[0]
    if package == _OWN_PACKAGE:
        return False
    if not file:
        return package not in sys.stdlib_module_names
    path = PurePath(file)
    is_installed = not path.parts or any(folder in path.parts for folder in _INSTALLED)
    return not is_installed and not path.is_relative_to(_STANDARD)


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_part(kind: type, name: str, value: Any) -> bool:
    """Whether a class's attribute says what it does; not what Python or a package made of the class."""
    if name in _HINTS:
        return False
    function = getattr(value, "__func__", value)
    if isinstance(function, types.FunctionType):
        if not _makes_methods(kind):
            return True
        if not _is_users(function):
            return not name.startswith("_")
        return name not in _MADE_METHODS or not function.__code__.co_filename.startswith("<")
    if isinstance(value, _DESCRIPTORS) or type(value).__name__ == "_tuplegetter":
        return False
    if name.startswith("_abc_") or _is_dunder(name):
        return False
    return not (issubclass(kind, enum.Enum) and (name in kind.__members__ or name[-1] == "_"))


def _makes_methods(kind: type) -> bool:
    """Whether it is of a kind whose own methods follow from its fields or members."""
    return issubclass(kind, enum.Enum) or any(hasattr(kind, mark) for mark in _WITH_MADE_METHODS)


def _name_of(thing: Any) -> str:
    name = getattr(thing, "__qualname__", None) or type(thing).__qualname__
    return f"{getattr(thing, '__module__', '')}:{name}"


def _contents_of(value: Any) -> Any:
    """What an object of an installed package shows of itself; None where it shows no more than its type."""
    with suppress(Exception):
        if callable(getattr(value, "tobytes", None)) and hasattr(value, "dtype"):
            return [str(value.dtype), list(value.shape), digest(value.tobytes()).hex()]
    with suppress(Exception):
        return digest(encode(value)).hex()
    own: Any = type(value).__repr__
    if own is object.__repr__:
        return None
    with suppress(Exception):
        return stripped(repr(value))
    return None


def _portable(text: str, folder: PurePath) -> str:
    """A text; one that is a path in or beside the folder of the code that names it, as it is on any machine."""
    if not text.startswith("/") and text[1:3] not in (":\\", ":/"):
        return text
    path = PurePath(text)
    for start, prefix in ((folder, "./"), (folder.parent, "../")):
        if start.is_absolute() and start != start.parent and path.is_relative_to(start):
            return prefix + path.relative_to(start).as_posix()
    return text


def _paths_in(code: CodeType) -> set[tuple[str, ...]]:
    """The module's names that code uses, those of functions inside it too, each with the attributes asked of it."""
    found = set()
    path: tuple[str, ...] = ()
    for instruction in dis.get_instructions(code):
        if path and instruction.opname in _ATTRIBUTE_LOADS:
            path = (*path, instruction.argval)
            continue
        if path:
            found.add(path)
        path = (instruction.argval,) if instruction.opname in _NAME_LOADS else ()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _paths_in(constant)
    return found


def _of_code(code: CodeType) -> str:
    """Code whose source isn't there: its bytes, which are those of one version of Python."""
    constants = list(code.co_consts)
    if _has_docstring(code):
        constants[0] = None
    parts = [_of_code(one) if isinstance(one, CodeType) else _constant(one) for one in constants]
    return _hashed([code.co_code, code.co_names, parts])


def _has_docstring(code: CodeType) -> bool:
    if sys.version_info >= (3, 13):
        return bool(code.co_flags & 0x4000000)
    is_function = code.co_flags & 1 and not code.co_name.startswith("<")
    return bool(is_function and code.co_consts and isinstance(code.co_consts[0], str))


def _constant(value: Any) -> str:
    # A set's order is another in each process.
    return str(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)


def _hashed(parts: Any) -> str:
    data = parts if isinstance(parts, bytes) else repr(parts).encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=16).hexdigest()


def _defaults_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    code, values = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    yield from zip(names[len(names) - len(values) :], values, strict=True)
    yield from sorted((function.__kwdefaults__ or {}).items())


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
