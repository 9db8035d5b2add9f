"""Which changes a store sees: each row of the table in docs/store.md, played with a run before and one after it."""

from __future__ import annotations

import importlib.util
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flowpool import Pool

PAGE = Path(__file__).parents[2] / "docs" / "store.md"


class Change(NamedTuple):
    """A script that makes `runner` (and `items`, `settings`, `variables`), and what changes in it.

    In it: `sim`, the simulation, and `here`, a folder. `### other.py` begins another file.
    """

    script: str
    before: str
    after: str


CALL = "def runner(text):\n    return {}\n"
OBJECT = """
class Shout:
    sign = "!"
    def __init__(self, times):
        self.times = times
    def __call__(self, text):
        return text + self.sign * self.times
    def loud(self, text):
        return text.upper() * self.times
runner = Shout(2)
"""
BASE = """
from flowpool.tools import Tool
class Base(Tool):
    sign = "!"
    def run(self, text: str) -> str:
        return self.end(text)
    def end(self, text):
        return text + self.sign
class Sub(Base):
    sign = "?"
runner = Sub()
"""
DECORATED = """
import functools
def louder(times):
    def wrap(function):
        @functools.wraps(function)
        def call(text):
            return function(text) * times
        return call
    return wrap
@louder(2)
def runner(text):
    return text
"""
PICTURE = (
    '(here / "{}.png").write_bytes(b"\\x89PNG\\r\\n\\x1a\\n" + {})\nfrom flowpool import Image\n'
)
CACHE = """
seen, cache, count = [], {}, 0
def runner(text):
    global count
    count += 1
    seen.append(text)
    cache[text] = text
    return text
pass
"""

VALIDATED = """
from pydantic import BaseModel, field_validator
LEAST = 0
class R(BaseModel):
    n: int
    @field_validator("n", mode="after")
    @classmethod
    def check(cls, value):
        \"\"\"At least.\"\"\"
        pass
        return max(value, LEAST)
runner = sim.skill('[[sim: say={"items": [{"n": 300}]}]]{text}', output=list[R])
"""
NESTED = """
from dataclasses import dataclass
@dataclass
class Part:
    n: int
    def __post_init__(self):
        self.n += 1
@dataclass
class Whole:
    parts: list[Part]
runner = sim.skill('[[sim: say={"parts": [{"n": 3}]}]]{text}', output=Whole)
"""
ANNOTATED = """
from typing import Annotated
from pydantic import AfterValidator, BaseModel
class R(BaseModel):
    n: list[Annotated[int, AfterValidator(lambda value: value + 1)]]
runner = sim.skill('[[sim: say={"n": [3]}]]{text}', output=R)
"""
MEMBER = """
from enum import Enum
class Word(Enum):
    YES = "yes"
    NO = "no"
    @classmethod
    def _missing_(cls, value):
        return cls.YES
runner = sim.skill('[[sim: say="y"]]{text}', output=Word)
"""

# Each row of the table has its changes here, by the row's first words.
CHANGES: dict[str, list[Change]] = {
    "a prompt": [Change('runner = sim.skill("one {text}")', "one", "two")],
    "a model, its options or its `base_url`": [
        Change('runner = sim.skill(model=sim.model("m"))', '"m"', '"n"'),
        Change('runner = sim.skill(options={"temperature": 0})', "0", "1"),
    ],
    "a skill's `output`, its fields in another order too": [
        Change('runner = sim.skill(output={"choices": ["x", "y"]})', '"y"', '"z"'),
        Change(
            'runner = sim.skill("{answer}", output={"fields": {"a": "string", "b": "string"}})\n'
            'items = [{"answer": \'{"a": "x", "b": "y"}\'}]',
            '"a": "string", "b": "string"',
            '"b": "string", "a": "string"',
        ),
    ],
    "a validator of a skill's `output`, its `__post_init__` or another method": [
        Change(VALIDATED, "pass\n", "assert value > 100\n"),
        Change(VALIDATED, "LEAST = 0", "LEAST = 1"),
        Change(VALIDATED, 'mode="after"', 'mode="before"'),
        Change(NESTED, "self.n += 1", "self.n += 2"),
        Change(ANNOTATED, "value + 1", "value + 2"),
        Change(MEMBER, "cls.YES", "cls.NO"),
    ],
    "a variable of a skill or chain, or in `run(variables=...)`": [
        Change('runner = sim.skill("{text} {by}", variables={"by": "a"})', '"a"', '"b"'),
        Change(
            'from flowpool import Chain\nrunner = Chain([sim.skill("{text} {by}")], {"by": "a"})',
            '"a"',
            '"b"',
        ),
        Change('runner = sim.skill("{text} {by}")\nvariables = {"by": "a"}', '"a"', '"b"'),
        Change(
            'runner = sim.skill("{text} {by}")\nvariables = {"by": {"a": 1, "b": 2}}',
            '"a": 1, "b": 2',
            '"b": 2, "a": 1',
        ),
    ],
    "a step's inputs or key": [
        Change(
            'from flowpool import Chain\nrunner = Chain([(len, "size", {"obj": "text"})])\n'
            'items = [{"text": "a", "more": "b"}]',
            '"text"}',
            '"more"}',
        ),
        Change(
            'from flowpool import Chain\nrunner = Chain([(len, "size", {"obj": "text"})])',
            '"size"',
            '"length"',
        ),
    ],
    "a function's or lambda's code": [
        Change(CALL.format("text + 'a'"), "'a'", "'b'"),
        Change(CALL.format("text.upper()"), "upper", "lower"),
        Change("runner, other = (lambda text: text + 'a'), (lambda text: text)", "'a'", "'b'"),
        Change("async def runner(text):\n    return text + 'a'", "'a'", "'b'"),
    ],
    "a default value of a function's parameter": [
        Change("def runner(text, end='a'):\n    return text + end", "'a'", "'b'"),
        Change("def runner(text, *, end='a'):\n    return text + end", "'a'", "'b'"),
    ],
    "what a closure holds": [
        Change(
            "def ending(end):\n    return lambda text: text + end\nrunner = ending('a')",
            "'a'",
            "'b'",
        ),
    ],
    "an argument in `functools.partial`": [
        Change(
            "import functools\ndef add(text, end):\n    return text + end\n"
            "runner = functools.partial(add, end='a')",
            "'a'",
            "'b'",
        ),
        Change(
            "import functools\ndef add(end, text):\n    return text + end\n"
            "runner = functools.partial(add, 'a')",
            "'a'",
            "'b'",
        ),
    ],
    "a function of yours that the code calls, in another module too": [
        Change(
            "def clean(text):\n    return text + 'a'\n" + CALL.format("clean(text)"), "'a'", "'b'"
        ),
        Change(
            "import other\n"
            + CALL.format("other.clean(text)")
            + "### other.py\ndef clean(text):\n    return text + 'a'",
            "'a'",
            "'b'",
        ),
        Change(
            "from other import clean\n"
            + CALL.format("[clean(one) for one in [text]]")
            + "### other.py\ndef clean(text):\n    return deep(text)\n"
            "def deep(text):\n    return text + 'a'",
            "'a'",
            "'b'",
        ),
        Change(
            "import functools\n@functools.cache\ndef clean(text):\n    return text + 'a'\n"
            + CALL.format("clean(text)"),
            "'a'",
            "'b'",
        ),
        Change(
            "def clean(text):\n    return runner(text) if text > 'y' else 'a'\n"
            + CALL.format("clean(text)"),
            "'a'",
            "'b'",
        ),
    ],
    "a constant that the code names": [
        Change("LIMIT = 1\n" + CALL.format("text[:LIMIT]"), "= 1", "= 2"),
        Change("WORDS = ['a', 'b']\n" + CALL.format("text in WORDS"), "'b'", "'c'"),
        Change("WORDS = {'a', 'b'}\n" + CALL.format("text in WORDS"), "'b'", "'c'"),
        Change(
            "import other\n" + CALL.format("text[:other.LIMIT]") + "### other.py\nLIMIT = 1",
            "= 1",
            "= 2",
        ),
        Change(
            "import enum\nclass Kind(enum.Enum):\n    A = 'a'\n"
            + CALL.format("text + Kind.A.value"),
            "'a'",
            "'b'",
        ),
    ],
    "a compiled pattern that the code names": [
        Change(
            f"import re\nWORD = re.compile('{'x' * 300}a')\n"
            + CALL.format("str(WORD.match(text))"),
            "a')",
            "b')",
        ),
    ],
    "a decorator of yours, or what it was told": [
        Change(DECORATED, "louder(2)", "louder(3)"),
        Change(DECORATED, "* times", "+ str(times)"),
        Change(DECORATED, "return text\n", "return text + 'a'\n"),
    ],
    "a function under a decorator of a package": [
        Change(
            "import functools\n@functools.lru_cache\n" + CALL.format("text + 'a'"), "'a'", "'b'"
        ),
        Change(
            "import contextlib\n@contextlib.contextmanager\ndef clean(text):\n    yield text + 'a'\n"
            "def runner(text):\n    with clean(text) as found:\n        return found",
            "'a'",
            "'b'",
        ),
        Change("from flowpool import tool\n@tool\n" + CALL.format("text + 'a'"), "'a'", "'b'"),
    ],
    "a skill or chain that the code runs": [
        Change(
            "from flowpool import Skill\nskill = Skill('gpt-5-mini', prompt='one {text}')\n"
            + CALL.format("skill.name + text"),
            "one",
            "two",
        ),
        Change(
            "from flowpool import Chain\nchain = Chain([(len, 'size', {'obj': 'text'})])\n"
            + CALL.format("chain.name + text"),
            "'size'",
            "'length'",
        ),
    ],
    "a function that another function of yours is given in a dict": [
        Change(
            "def clean(text):\n    return text + 'a'\nWAYS = {'clean': clean}\n"
            + CALL.format("WAYS['clean'](text)"),
            "'a'",
            "'b'",
        ),
    ],
    "a callable object's class": [Change(OBJECT, "text + self", "self.sign + text + self")],
    "an attribute of a callable object": [
        Change(OBJECT, "Shout(2)", "Shout(3)"),
        Change(OBJECT, 'sign = "!"', 'sign = "?"'),
    ],
    "a bound method, or an attribute of its object": [
        Change(OBJECT + "runner = runner.loud", "upper", "lower"),
        Change(OBJECT + "runner = runner.loud", "Shout(2)", "Shout(3)"),
    ],
    "a subclass's attribute, or a method of its base": [
        Change(BASE, 'sign = "?"', 'sign = "."'),
        Change(BASE, "text + self.sign", "self.sign + text"),
        Change(BASE + "runner.sign = '1'", "'1'", "'2'"),
    ],
    "a field's default in a dataclass that the code makes": [
        Change(
            "from dataclasses import dataclass\n@dataclass\nclass Row:\n    end: str = 'a'\n"
            + CALL.format("text + Row().end"),
            "'a'",
            "'b'",
        ),
        Change(
            "import msgspec\nclass Row(msgspec.Struct):\n    end: str = 'a'\n"
            + CALL.format("text + Row().end"),
            "'a'",
            "'b'",
        ),
    ],
    "a function of yours in another framework's object": [
        Change(
            "import other\ndef clean(text):\n    return text + 'a'\n"
            "runner = other.Framework([clean])\n### site-packages/other.py\n"
            "class Framework:\n    def __init__(self, functions):\n        self.functions = functions\n"
            "    def __repr__(self):\n        return 'a framework'\n"
            "    def invoke(self, variables):\n        return self.functions[0](variables['text'])",
            "'a'",
            "'b'",
        ),
    ],
    "an option of a step, or in `tool.with_options(...)`": [
        Change(
            "from flowpool import Chain\ndef add(text, end):\n    return text + end\n"
            "runner = Chain([(add, 'out', {}, {'end': 'a'})])",
            "'a'",
            "'b'",
        ),
        Change(
            "from flowpool import tool\n@tool\ndef add(text, end):\n    return text + end\n"
            "runner = add.with_options(end='a')",
            "'a'",
            "'b'",
        ),
    ],
    'the content of a file in the prompt, `Image("a.png")`': [
        Change(
            PICTURE.format("a", 'b"first"')
            + 'runner = sim.skill(prompt=["{text}", Image(here / "a.png")])',
            "first",
            "second",
        ),
        Change(
            PICTURE.format("a", 'b"first"') + 'parts = ["{text}", {"image": str(here / "a.png")}]\n'
            'runner = sim.skill(None, input={"messages": [{"role": "user", "parts": parts}]})',
            "first",
            "second",
        ),
    ],
    'the content of a file that an item names, `Image("{photo}")`': [
        Change(
            PICTURE.format("a", 'b"first"')
            + 'runner = sim.skill(prompt=["Say", Image("{photo}")])\n'
            'items = [{"photo": str(here / "a.png")}]',
            "first",
            "second",
        ),
        Change(
            PICTURE.format("a", 'b"first"')
            + 'runner = sim.skill(prompt=["Say", Image("{photo}")])\n'
            'items = ({"photo": str(here / "a.png")} for _ in range(1))',
            "first",
            "second",
        ),
        Change(
            PICTURE.format("a", 'b"first"') + "from flowpool import Chain\n"
            'runner = Chain([(sim.skill(prompt=["Say", Image("{photo}")]), "o", {"photo": "file.path"})])\n'
            'items = [{"file": {"path": str(here / "a.png")}}]',
            "first",
            "second",
        ),
    ],
    "the content of a file that an item names for `to_markdown`": [
        Change(
            'from pathlib import Path\n(here / "a.txt").write_text("first")\n'
            "from flowpool.tools import to_markdown as runner\n"
            'items = [{"source": str(here / "a.txt")}]',
            "first",
            "second",
        ),
        Change(
            'from pathlib import Path\n(here / "a.txt").write_text("first")\n'
            "from flowpool.tools import to_markdown\n"
            'runner = to_markdown.with_options(root=here)\nitems = [{"source": "a.txt"}]',
            "first",
            "second",
        ),
    ],
    'the content of a file that an item names, in a parameter of `@tool(reads=["path"])`': [
        Change(
            'from pathlib import Path\n(here / "a.txt").write_text("first")\nfrom flowpool import tool\n'
            '@tool(reads=["path"])\ndef runner(path):\n    return Path(path).read_text()\n'
            'items = [{"path": str(here / "a.txt")}]',
            "first",
            "second",
        ),
    ],
    "an item's value": [Change(CALL.format("text") + 'items = [{"text": "a"}]', '"a"', '"b"')],
    "an item's nested keys in another order": [
        Change(
            'runner = sim.skill("{row}")\nitems = [{"row": {"a": 1, "b": 2}}]',
            '"a": 1, "b": 2',
            '"b": 2, "a": 1',
        ),
        Change(
            'runner = sim.skill("{row}")\nitems = [{"row": [{"a": 1, "b": 2}]}]',
            '"a": 1, "b": 2',
            '"b": 2, "a": 1',
        ),
    ],
    "`version=` of a pool, a step or a tool": [
        Change(CALL.format("text") + "settings = {'version': 1}", "1", "2"),
        Change(
            "from flowpool import Chain\nrunner = Chain([(len, 'n', {'obj': 'text'}, {'version': 1})])",
            "1",
            "2",
        ),
        Change(
            "from flowpool import tool\n@tool(version='1')\n" + CALL.format("text"), "'1'", "'2'"
        ),
        Change(BASE + "Sub.version = 1", "version = 1", "version = 2"),
    ],
    "a comment, a docstring, a type hint": [
        Change("def runner(text):\n    return text", "    return", "    # why\n\n    return"),
        Change('def runner(text):\n    """A."""\n    return text', "A.", "B."),
        Change("def runner(text):\n    return text", "(text)", "(text: str) -> str"),
        Change(
            'def clean(text):\n    """A."""\n    return text\n' + CALL.format("clean(text)"),
            '"""A."""',
            "pass",
        ),
        Change(
            'class Shout:\n    """A."""\n    def __call__(self, text):\n        return text\n'
            "runner = Shout()",
            "A.",
            "B.",
        ),
        Change(BASE, "class Base(Tool):", 'class Base(Tool):\n    """New."""'),
    ],
    "a docstring or comment in a validator of a skill's `output`": [
        Change(VALIDATED, "pass\n", "pass  # as it is\n"),
        Change(VALIDATED, '"""At least."""', '"""At the very least."""'),
    ],
    "a function's name, or its module's": [
        Change(CALL.format("text"), "runner(text)", "clean(text)"),
        Change(
            "from other import runner\n### other.py\n" + CALL.format("text"), "other", "another"
        ),
    ],
    "the name or description of a skill, chain, tool or unnamed pool": [
        Change('runner = sim.skill(name="a", description="b")', 'name="a"', 'name="c"'),
        Change('runner = sim.skill(name="a", description="b")', '"b"', '"c"'),
        Change(
            "from flowpool import Chain\nrunner = Chain([len], name='a')\nitems = [{'obj': 'x'}]",
            "'a'",
            "'b'",
        ),
        Change("from flowpool import tool\n@tool(name='a')\n" + CALL.format("text"), "'a'", "'b'"),
    ],
    "`max_flows`, `timeout`, `retries`, `limits`": [
        Change(CALL.format("text") + "settings = {'max_flows': 1}", "1", "2"),
        Change("runner = sim.skill(timeout=1, retries=1)", "1, retries=1", "2, retries=2"),
        Change(
            "from flowpool import Chain\nrunner = Chain([(len, 'n', {'obj': 'text'}, {'timeout': 1})])",
            "1}",
            "2}",
        ),
    ],
    "the path of a picture in the prompt, with the same content": [
        Change(
            PICTURE.format("a", 'b"first"')
            + 'runner = sim.skill(prompt=["{text}", Image(here / "a.png")])',
            "a.png",
            "b.png",
        ),
    ],
    "an item's columns in another order": [
        Change(
            CALL.format("text") + 'items = [{"text": "a", "more": 1}]',
            '"text": "a", "more": 1',
            '"more": 1, "text": "a"',
        ),
    ],
    "whatever else of an item under the same `key`": [
        Change(
            CALL.format("text") + 'items = [{"text": "a", "id": 1}]\nsettings = {"key": "id"}',
            '"a"',
            '"b"',
        ),
    ],
    "a list, dict, set or attribute that the code itself writes to: a cache, a counter": [
        Change(CACHE, "pass", "seen.append(1)"),
        Change(CACHE, "pass", "cache['a'] = 1"),
        Change(CACHE, "pass", "count = 7"),
        Change(
            "class Count:\n    def __init__(self, n=0):\n        self.n, self.seen = n, {}\n"
            "    def __call__(self, text):\n        self.n += 1\n        self.seen[text] = 1\n"
            "        return text\nrunner = Count()",
            "Count()",
            "Count(5)",
        ),
        Change(
            "def counting(count):\n    def call(text):\n        nonlocal count\n        count += 1\n"
            "        return text\n    return call\nrunner = counting(0)",
            "(0)",
            "(1)",
        ),
    ],
    "a module that is imported inside the function": [
        Change(
            "def runner(text):\n    import other\n    return other.clean(text)\n"
            "### other.py\ndef clean(text):\n    return text + 'a'",
            "'a'",
            "'b'",
        ),
    ],
    "a name that the code only makes while it runs, as in `getattr(module, name)`": [
        Change(
            "import other\n"
            + CALL.format("getattr(other, 'cle' + 'an')(text)")
            + "### other.py\ndef clean(text):\n    return text + 'a'",
            "+ 'a'",
            "+ 'b'",
        ),
    ],
    "a file that a function opens and no `reads` tells of": [
        Change(
            'from pathlib import Path\n(here / "a.txt").write_text("first")\n'
            "def runner(path):\n    return Path(path).read_text()\n"
            'items = [{"path": str(here / "a.txt")}]',
            "first",
            "second",
        ),
    ],
    "a file whose path came out of a step": [
        Change(
            PICTURE.format("a", 'b"first"') + "from flowpool import Chain\n"
            "def path(text):\n    import pathlib\n    return pathlib.Path(text)\n"
            'runner = Chain([(path, "photo"), sim.skill(prompt=["Say", Image("{photo}")])])\n'
            'items = [{"text": str(here / "a.png")}]',
            "first",
            "second",
        ),
    ],
    "an environment variable": [
        Change(
            "import os\nos.environ['FLOWPOOL_TEST_WORD'] = 'a'\n"
            + CALL.format("text + os.environ['FLOWPOOL_TEST_WORD']"),
            "'a'",
            "'b'",
        ),
    ],
    "an installed package": [
        Change(
            "import sys\nimport other\n"
            + CALL.format("other.clean(text)")
            + "### site-packages/other.py\ndef clean(text):\n    return text + 'a'",
            "'a'",
            "'b'",
        ),
    ],
    "a model or service behind the same name": [
        Change("runner = sim.skill()\nsim.provider.profile", "profile", "profile"),
    ],
    "what another framework's object doesn't show in its `repr`": [
        Change(
            "import other\nrunner = other.Framework(2)\n### site-packages/other.py\n"
            "class Framework:\n    def __init__(self, n):\n        self.n = n\n"
            "    def __repr__(self):\n        return 'a framework'\n"
            "    def invoke(self, variables):\n        return self.n",
            "(2)",
            "(3)",
        ),
    ],
}


def rows() -> Iterator[tuple[str, bool]]:
    """What the page says of each change, and whether it is seen."""
    lines = PAGE.read_text("utf-8").split("| change | seen |\n|---|---|\n")[1].splitlines()
    for line in lines:
        if not line.startswith("|"):
            return
        change, seen = line.strip("|").rsplit("|", 1)
        yield change.strip(), {"yes": True, "no": False}[seen.strip()]


CASES = [(row, seen, change) for row, seen in rows() for change in CHANGES.get(row, ())]


def test_each_row_has_a_change_and_each_change_a_row() -> None:
    assert [row for row, _ in rows()] == list(CHANGES)


@pytest.fixture
def run(simulate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    here = tmp_path / "here"
    here.mkdir()
    for folder in (tmp_path, tmp_path / "site-packages"):
        folder.mkdir(exist_ok=True)
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("FLOWPOOL_TEST_WORD", "")

    def run(script: str) -> int:
        """Runs it, and gives how many answers the store has then."""
        sim = simulate()
        main, *others = script.split("### ")
        for name in ("other", "another"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        for other in others:
            name, _, text = other.partition("\n")
            (tmp_path / name.strip()).write_text(text)
        importlib.invalidate_caches()
        (tmp_path / "work.py").write_text(main)
        spec = importlib.util.spec_from_file_location("work", tmp_path / "work.py")
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        vars(module).update(sim=sim, here=here)
        monkeypatch.setitem(sys.modules, "work", module)
        spec.loader.exec_module(module)
        runner = getattr(module, "runner", None) or module.clean
        items = getattr(module, "items", [{"text": "x"}])
        variables, settings = getattr(module, "variables", None), getattr(module, "settings", {})
        settings |= {"store": tmp_path / "run.db"}
        if "sim." in main:
            results = sim.run(sim.pool(runner, items, **settings).arun(variables))
        else:
            results = Pool(runner, items, **settings).run(variables)
        assert [record.error for record in results.records] == [None]
        with closing(sqlite3.connect(tmp_path / "run.db")) as db:
            (answers,) = db.execute("SELECT count(*) FROM results").fetchone()
        return int(answers)

    return run


@pytest.mark.parametrize(("row", "seen", "change"), CASES)
def test_a_change_is_seen_where_the_page_says_so(
    row: str, seen: bool, change: Change, run: Any
) -> None:
    assert change.before in change.script
    assert run(change.script) == 1
    assert run(change.script) == 1, "nothing was changed"
    assert run(change.script.replace(change.before, change.after)) == 1 + seen
