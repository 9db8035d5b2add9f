"""What a run is made of: files are read once and off the loop, functions looked at once a run."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from flowpool import Chain, File, Image, Pool, Skill
from flowpool.checkpoint.code_identity import CodeIdentity
from flowpool.checkpoint.file_contents import FileContents
from flowpool.checkpoint.identity import Identity
from flowpool.folders import folders
from flowpool.plan import Plan
from flowpool.tools import to_markdown
from flowpool.tools.markdown import kept_to

PICTURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Each reading of a file's content: its name, and in which thread."""
    found: list[tuple[str, str]] = []
    read = FileContents._read

    def noted(self: Any, name: str) -> bytes:
        found.append((Path(name).name, threading.current_thread().name))
        return read(self, name)

    monkeypatch.setattr(FileContents, "_read", noted)
    return found


def test_a_file_is_read_once_while_its_time_and_size_stay(tmp_path: Path, opened: Any) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    contents = FileContents()
    first = contents.of(path)
    assert contents.of(path) == first
    assert len(opened) == 1
    path.write_text("two")
    os.utime(path, ns=(1, 1))
    assert contents.of(path) != first
    assert len(opened) == 2


def test_what_is_no_file_has_no_content(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    names = ("missing.txt", ".", "pipe", "a\0b", "x" * 5000)
    assert FileContents().of_all(tmp_path / name for name in names) == (None,) * len(names)


def test_files_are_read_once_a_run_and_never_on_its_loop(
    simulate: Any, tmp_path: Path, opened: Any
) -> None:
    for name in ("own.png", "a.png", "b.png"):
        (tmp_path / name).write_bytes(PICTURE + name.encode())
    sim = simulate()
    skill = sim.skill(prompt=["Say", Image(tmp_path / "own.png"), Image("{photo}")])
    items = [
        {"photo": str(tmp_path / name), "n": n} for n in range(3) for name in ("a.png", "b.png")
    ]
    for source in (items, iter(items)):
        pool = sim.pool(Chain([(skill, "said")]), source, store=tmp_path / "run.db")
        assert len(sim.run(pool)) == 6
        assert sorted(name for name, _ in opened) == ["a.png", "b.png", "own.png"]
        assert all(thread.startswith("flowpool-") for _, thread in opened)
        opened.clear()


def test_a_function_is_looked_at_once_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Any] = []
    of = CodeIdentity.of

    def noted(self: Any, value: Any, *rest: Any) -> str:
        looked.append(value)
        return of(self, value, *rest)

    monkeypatch.setattr(CodeIdentity, "of", noted)
    Pool(lambda text: text, [{"text": str(n)} for n in range(20)], store=tmp_path / "run.db").run()
    assert len(looked) == 2, "the tool, and its step's options"


def test_items_without_files_wait_for_nothing() -> None:
    plan = Plan(Skill("gpt-5-mini", prompt="{text}"))
    identity = Identity(plan, {})
    coming = identity.files_of({"text": "a"})
    with pytest.raises(StopIteration) as ended:
        coming.send(None)
    assert ended.value.value == ()
    assert not identity.names_files


def test_a_chain_names_the_files_of_what_its_items_have_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PICTURE)
    looks = Skill("gpt-5-mini", prompt=["Say", Image("{photo}")])

    def contents(chain: Chain, item: dict[str, Any]) -> tuple[bytes | None, ...]:
        return Identity(Plan(chain), {}).read_files_of(item)

    item = {"photo": str(path)}
    assert len(contents(Chain([(looks, "said")]), item)) == 1
    assert contents(Chain([(len, "photo", {"obj": "photo"}), (looks, "said")]), item) == ()
    assert contents(
        Chain([(Chain([(looks, "said")]), "inner", {"photo": "file"})]), {"file": str(path)}
    )


def test_what_a_file_may_not_name_is_not_looked_into(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out.txt"
    inside.mkdir()
    outside.write_text("one")
    (inside / "a.txt").write_text("one")
    allowed = folders(inside)
    attached = Plan(Skill("gpt-5-mini", prompt=["Say", File("{source}", root=allowed)]))
    converted = Plan(kept_to(to_markdown, allowed))
    rooted = Plan(to_markdown.with_options(root=str(inside)))
    for plan, path in (
        (attached, inside / "a.txt"),
        (converted, inside / "a.txt"),
        (rooted, "a.txt"),
    ):
        identity = Identity(plan, {})
        assert len(identity.read_files_of({"source": str(path)})) == 1
        assert identity.read_files_of({"source": str(outside)}) == ()


def test_dedupe_alone_takes_shared_variables_of_any_kind(simulate: Any) -> None:
    sim = simulate()
    pool = sim.pool(items=[{"text": "a"}, {"text": "a"}], dedupe=True)
    assert list(sim.run(pool.arun({"other": object()}))) == ["a", "a"]
    assert sum(sim.ledger.answered.values()) == 1
