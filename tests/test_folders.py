"""What a path means that somebody wrote: `~` is their home wherever one is given, before it is checked."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.helpers import Recorder

from flowpool import Chain, File, Image, Model, Pool, Skill, read
from flowpool.errors import InvalidInput
from flowpool.folders import check_beneath, folders, local_path, named_folder
from flowpool.pipeline import build
from flowpool.pool import Environment
from flowpool.simulator import SimTransport, SimulatedProvider, run_virtual
from flowpool.tools import convertToMD, to_markdown

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a file or two; the work is done elsewhere."""
    found, work = tmp_path / "home", tmp_path / "work"
    for folder in (found, work):
        folder.mkdir()
    (found / "rows.csv").write_text("text\nA river.\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(found))
    monkeypatch.setenv("USERPROFILE", str(found))
    monkeypatch.chdir(work)
    return found


def run(skill: Any, items: Any, **settings: Any) -> tuple[Pool, list[dict[str, Any]]]:
    transport = Recorder(SimTransport(SimulatedProvider()))
    environment = Environment(transport, {}, Random(0))
    pool = Pool(skill, items, environment=environment, progress=False, **settings)
    run_virtual(pool.arun())
    return pool, transport.bodies


def model(**settings: Any) -> Model:
    return Model("m", base_url="http://sim.test/v1", **settings)


def test_a_tilde_is_the_home_only_at_the_start_and_where_there_is_one(home: Path) -> None:
    assert local_path("~/a.csv") == home / "a.csv"
    assert local_path(Path("~")) == home
    for name in ("a~.csv", "folder/~/a.csv", "~$letter.docx", "a.csv"):
        assert local_path(name) == Path(name)


def test_input_store_and_output_may_be_in_the_home(home: Path) -> None:
    pool, _ = run(Skill(model(), prompt="{text}"), "~/rows.csv", store="~/run.db", name="one")
    pool.results.write("~/out.jsonl")
    assert (home / "run.db").is_file()
    assert (home / "out.jsonl").is_file()
    assert Pool.load("~/run.db").results == pool.results
    with Pool.load("~/run.db").writer("~/other.csv") as writer:
        assert writer.path
    assert list(Path().iterdir()) == []


def test_a_glob_a_folder_and_a_database_may_be_in_the_home(home: Path) -> None:
    import sqlite3

    (home / "notes").mkdir()
    (home / "notes/a.txt").write_text("A.", encoding="utf-8")
    with sqlite3.connect(home / "rows.db") as db:
        db.execute("create table rows as select 'A.' as text")
    db.close()
    assert [row["text"] for row in read("~/*.csv")] == ["A river."]
    assert [row["content"] for row in read("~/notes")] == ["A."]
    assert [row["text"] for row in read(Path("~/rows.db"))] == ["A."]
    assert read("~/rows.csv").description == {"path": str(home / "rows.csv")}


def test_a_chain_is_saved_in_the_home_and_loaded_from_it(home: Path) -> None:
    Chain([Skill(model(), prompt="{text}")]).save("~/chain.yaml")
    assert (home / "chain.yaml").is_file()
    assert len(Chain.load("~/chain.yaml").stages) == 1


@pytest.mark.parametrize("items", [[{"path": "~/photo.png"}], [{"path": Path("~/photo.png")}]])
def test_images_and_files_may_be_in_the_home(home: Path, items: Any) -> None:
    (home / "photo.png").write_bytes(PNG)
    for source in ("~/photo.png", Path("~/photo.png"), "{path}"):
        for kind in (Image, File):
            pool, _ = run(
                Skill(model(), prompt=["{path} is what?", kind(source)]),
                items,
                constant_prompt=True,
            )
            assert pool.results.failed == []


def test_a_root_may_be_in_the_home_and_nothing_leads_out_of_it(home: Path) -> None:
    (home / "photos").mkdir()
    (home / "photos/photo.png").write_bytes(PNG)
    (home / "secret.png").write_bytes(PNG)
    skill = Skill(model(), prompt=["What?", Image("{path}", root="~/photos")])
    items = [{"path": "photo.png"}, {"path": "~/secret.png"}]
    pool, bodies = run(skill, items, on_error="collect")
    assert [record.index for record in pool.results.failed] == [1]
    assert "outside of its root" in str(pool.results.failed[0].error)
    assert len(bodies) == 1


def test_a_document_may_be_in_the_home(home: Path) -> None:
    (home / "page.html").write_text("<h1>Hello</h1>", encoding="utf-8")
    assert "# Hello" in to_markdown("~/page.html", main_content=False)
    assert "# Hello" in to_markdown("page.html", main_content=False, root="~")
    for tool, parameter in ((to_markdown, "source"), (convertToMD, "input")):
        found: Any = tool
        assert found._files({parameter: "~/page.html"}) == [home / "page.html"]
        assert found._files({parameter: "no page"}) == []


def test_paths_of_a_pipelines_file_may_be_in_the_home(home: Path) -> None:
    Path("pipeline.yaml").write_text(
        "skill: {model: gpt-5-mini, prompt: '{text}'}\ninput: ~/rows.csv\n"
        "output: ~/out.csv\nrun: {store: ~/run.db}\n",
        encoding="utf-8",
    )
    found = build.read_pipeline(Path("pipeline.yaml"), None)
    assert found.input.path == str(home / "rows.csv")
    assert found.output.path == str(home / "out.csv")
    assert found.run.store == str(home / "run.db")


def test_what_isnt_trusted_reaches_the_home_by_no_name(home: Path) -> None:
    allowed = folders(".")
    for name in ("~", "~/rows.csv", Path("~/rows.csv")):
        with pytest.raises(InvalidInput, match="isn't trusted"):
            check_beneath(name, allowed)
    assert named_folder("~/*.csv") == home
    check_beneath("~/rows.csv", folders("~"))


def test_a_certificate_may_be_in_the_home(home: Path) -> None:
    endpoint = model(client_options={"ca_file": "~/ca.pem", "client_cert": "~/own.pem"}).endpoint(
        {}
    )
    assert endpoint.tls is not None
    assert endpoint.tls.ca_file == str(home / "ca.pem")
    assert endpoint.tls.client_cert == (str(home / "own.pem"),)
