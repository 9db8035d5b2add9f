"""What isn't trusted (a file, a store, a row, a step's output) reaches no key, and no file but its own."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path, PurePath
from random import Random
from typing import Any

import pytest
from tests.helpers import Recorder

from flowpool import Chain, File, Image, Model, Pool, Skill, Status, read
from flowpool.cli import main
from flowpool.errors import InvalidInput
from flowpool.folders import folders, is_beneath, named_folder
from flowpool.pipeline import build
from flowpool.pool import Environment
from flowpool.simulator import SimTransport, SimulatedProvider, run_virtual
from flowpool.tools import to_markdown

PNG = b"\x89PNG\r\n\x1a\npixels"
KEYS = {
    "OPENAI_API_KEY": "key-canary",
    "MISTRAL_API_KEY": "key-canary",
    "AZURE_OPENAI_API_KEY": "key-canary",
}
ELSEWHERE = r"isn't \w[\w-]*'s own address.*--trusted"
OUTSIDE = r"is outside of .*--trusted"


def skill_file(folder: Path, text: str) -> Path:
    path = folder / "skill.yaml"
    path.write_text(text)
    return path


def loaded(folder: Path, model: str, *, trusted: bool = False) -> Model:
    path = skill_file(folder, f'model: {model}\nprompt: "{{text}}"\n')
    skill = build.read(path, trusted=trusted)
    assert isinstance(skill, Skill)
    return skill.models[0]


def run(runner: Any, items: Any) -> tuple[list[Any], list[dict[str, Any]]]:
    """The records of a run, and what the provider was asked."""
    transport = Recorder(SimTransport(SimulatedProvider()))
    environment = Environment(transport, {}, Random(0))
    pool = Pool(runner, items, environment=environment, progress=False)
    has_workers = isinstance(runner, Chain) and any(
        step.runner.name == "to_markdown" for stage in runner.stages for step in stage
    )
    if has_workers:  # processes know no virtual time
        pool.run()
    else:
        run_virtual(pool.arun())
    return list(pool.results.records), transport.bodies


# A key of the environment goes to its provider


@pytest.mark.parametrize(
    "model",
    [
        "{name: gpt-5-mini, base_url: 'https://elsewhere.test/v1'}",
        "{name: gpt-5-mini, base_url: 'http://api.openai.com/v1'}",
        "{name: gpt-5-mini, base_url: 'https://api.openai.com:8443/v1'}",
        "{name: gpt-5-mini, base_url: 'https://api.openai.com.elsewhere.test/v1'}",
        "{name: m, provider: mistral, base_url: 'https://api.openai.com/v1'}",
        "{name: m, provider: azure, base_url: 'https://mine.openai.azure.com'}",
        "{name: 'any-llm:openai/gpt-5', base_url: 'https://elsewhere.test/v1'}",
        "{spread: [gpt-5-mini, {name: gpt-5, base_url: 'https://elsewhere.test/v1'}]}",
    ],
)
def test_a_file_that_is_not_trusted_sends_no_key_to_another_address(
    model: str, tmp_path: Path
) -> None:
    path = skill_file(tmp_path, f'model: {model}\nprompt: "{{text}}"\n')
    skill, trusted = build.read(path), build.read(path, trusted=True)
    assert isinstance(skill, Skill)
    assert isinstance(trusted, Skill)
    with pytest.raises(InvalidInput, match=ELSEWHERE):
        [one.endpoint(KEYS) for one in skill.models]
    for one in trusted.models:
        assert one.endpoint(KEYS).key or one.provider == "any-llm"


@pytest.mark.parametrize(
    ("model", "environ"),
    [
        ("gpt-5-mini", {}),
        ("{name: gpt-5-mini, base_url: 'https://api.openai.com/v2'}", {}),
        (
            "{name: gpt-5-mini, base_url: 'https://gate.test/a/v1'}",
            {"OPENAI_BASE_URL": "https://gate.test/a/v1/"},
        ),
        (
            "{name: m, provider: azure, base_url: 'https://mine.openai.azure.com/openai/v1'}",
            {"AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com"},
        ),
    ],
)
def test_the_providers_own_address_and_the_environments_get_it(
    model: str, environ: dict[str, str], tmp_path: Path
) -> None:
    assert loaded(tmp_path, model).endpoint(KEYS | environ).key


def test_another_account_of_a_gateway_that_the_environment_names_does_not(tmp_path: Path) -> None:
    model = loaded(tmp_path, "{name: gpt-5-mini, base_url: 'https://gate.test/b/v1'}")
    with pytest.raises(InvalidInput, match="or set OPENAI_BASE_URL to it"):
        model.endpoint(KEYS | {"OPENAI_BASE_URL": "https://gate.test/a/v1"})


def test_a_server_that_needs_no_key_may_be_named_by_any_file(tmp_path: Path) -> None:
    for model in (
        "{name: qwen3, base_url: 'http://localhost:8000/v1'}",
        "{name: m, provider: ollama, base_url: 'http://localhost:11434/v1'}",
        "{name: gpt-5-mini, base_url: 'http://localhost:8000/v1'}",
    ):
        environ = {} if "gpt" in model else KEYS
        assert not loaded(tmp_path, model).endpoint(environ).key


def test_a_store_sends_no_key_elsewhere_either(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    model = Model("gpt-5-mini", base_url="https://elsewhere.test/v1", api_key="x" * 9)
    pool = Pool(Skill(model, prompt="{text}"), [{"text": "a"}], store=path, deadline=1e-9)
    run_virtual(_with(pool, {}).arun())
    with pytest.raises(InvalidInput, match=ELSEWHERE):
        Pool.load(path, environment=_environment(KEYS), progress=False).resume()


def _environment(environ: dict[str, str]) -> Environment:
    return Environment(SimTransport(SimulatedProvider()), environ, Random(0))


def _with(pool: Pool, environ: dict[str, str]) -> Pool:
    pool._session._environment = _environment(environ)
    return pool


def test_what_opens_more_in_a_step_needs_trust(tmp_path: Path) -> None:
    path = skill_file(tmp_path, "steps:\n  - tool: fetch\n    options: {allow_private: true}\n")
    with pytest.raises(InvalidInput, match=r"line 3: .*allow_private.*--trusted"):
        Chain.load(path)
    assert Chain.load(path, trusted=True)


# Paths stay under the file's folder


def test_a_path_is_beneath_a_folder_only_where_its_links_lead_there(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "out").symlink_to(tmp_path)
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in" / "loop")
    allowed = folders(tmp_path / "in")
    beneath = ["a.csv", "x/../a.csv", "."]
    beyond = ["../a.csv", "out/a.csv", "x/../../a.csv", "/etc/passwd", "a\0.csv"]
    assert all(is_beneath(tmp_path / "in" / name, allowed) for name in beneath)
    assert not any(is_beneath(tmp_path / "in" / name, allowed) for name in beyond)


def test_what_the_command_line_names_opens_its_folder(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    named = [str(tmp_path), f"{tmp_path}/rows.csv", f"{tmp_path}/*.csv", f"{tmp_path}/**/x/*.csv"]
    assert [named_folder(name) for name in named] == [tmp_path] * 4


@pytest.mark.parametrize(
    ("part", "option"),
    [
        ("input: {path}/rows.csv", ("-i", "{path}/rows.csv")),
        ("input: {path}/*.csv", ("-i", "{path}/*.csv")),
        ("input: ../outside/rows.csv", ("-i", "{path}/rows.csv")),
        ("input: link.csv", ("-i", "{path}/rows.csv")),
        ("input: docs", ("-i", "{path}/rows.csv")),
        ("output: {{path: ../outside/kept.csv, overwrite: true}}", ("-o", "own.csv", "--force")),
        ("run: {{store: '../outside/run.db'}}", ("--store", "{path}/run.db")),
    ],
)
def test_a_pipelines_paths_stay_in_its_folder_unless_the_command_line_names_them(
    part: str, option: tuple[str, ...], tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    outside, own = tmp_path / "outside", tmp_path / "own"
    outside.mkdir()
    (own / "docs").mkdir(parents=True)
    (outside / "rows.csv").write_text("text\nhello\n")
    (outside / "kept.csv").write_text("mine\n")
    (own / "link.csv").symlink_to(outside / "rows.csv")
    (own / "docs" / "a.md").symlink_to(outside / "rows.csv")
    (own / "rows.csv").write_text("text\nhello\n")
    monkeypatch.chdir(own)
    skill = "skill: {model: {name: m, base_url: 'http://127.0.0.1:9/v1'}, prompt: '{text}'}"
    rest = "" if part.startswith("input") else "\ninput: rows.csv"
    Path("p.yaml").write_text(f"{part.format(path=outside)}\n{skill}{rest}\n")
    assert main(["run", "p.yaml", "--dry-run"]) == 2
    assert re.search(OUTSIDE, capsys.readouterr().err)
    words = [one.format(path=outside) for one in option]
    assert main(["run", "p.yaml", "--dry-run", *words]) == 0
    if "docs" not in part:
        assert main(["run", "p.yaml", "--dry-run", "--trusted"]) == 0
    assert (outside / "kept.csv").read_text() == "mine\n"


def test_a_store_reads_no_file_outside_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n' * 3)
    store = tmp_path / "kept" / "run.db"
    store.parent.mkdir()
    pool = Pool(_skill("{text}"), read(tmp_path / "rows.jsonl"), store=store, deadline=1e-9)
    run_virtual(_with(pool, {}).arun())
    with pytest.raises(InvalidInput, match=OUTSIDE):
        Pool.load(store)
    assert Pool.load(store, trusted=True)
    assert main(["export", str(store), str(tmp_path / "o.csv")]) == 0  # reads nothing of it


def _skill(*prompt: Any) -> Skill:
    return Skill(Model("m", base_url="http://sim.test/v1"), prompt=list(prompt))


@pytest.mark.parametrize("part", ["image: {path}", "type: image, path: '{path}'"])
def test_a_file_attaches_only_what_its_folder_has(part: str, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "p.png").write_bytes(PNG)
    (own / "p.png").write_bytes(PNG)
    (own / "link.png").symlink_to(tmp_path / "p.png")
    head = "model: {name: m, base_url: 'http://sim.test/v1'}\nprompt: ["
    for name in (tmp_path / "p.png", own / "link.png", own / ".." / "p.png"):
        path = skill_file(own, f"{head}{{{part.format(path=name)}}}]\n")
        with pytest.raises(InvalidInput, match=OUTSIDE):
            run(build.read(path), [{}])
        assert len(run(build.read(path, trusted=True), [{}])[1]) == 1
    path = skill_file(own, f"{head}{{{part.format(path=own / 'p.png')}}}]\n")
    assert len(run(build.read(path), [{}])[1]) == 1


def test_nor_does_a_row_lead_out_of_it(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for folder in (tmp_path, own):
        (folder / "p.png").write_bytes(PNG)
        (folder / "a.txt").write_text("secret words")
    text = "model: {name: m, base_url: 'http://sim.test/v1'}\nprompt: [{image: '{photo}'}]\n"
    skill = build.read(skill_file(own, text))
    chain = Chain.load(
        skill_file(own, "steps:\n  - tool: to_markdown\n    inputs: {source: photo}\n")
    )
    for runner, name in ((skill, "p.png"), (chain, "a.txt")):
        good, bad = run(runner, [{"photo": str(f / name)} for f in (own, tmp_path)])[0]
        assert good.status is Status.DONE
        assert re.search(OUTSIDE, str(bad.error))


def test_a_prompt_that_is_kept_to_a_folder_is_described_as_it_was_written(tmp_path: Path) -> None:
    skill = build.read(skill_file(tmp_path, "model: gpt-5\nprompt: [{image: '{photo}'}]\n"))
    assert build.describe(skill)["prompt"] == [{"image": "{photo}"}]


# What came out of a step is never a path


def test_a_steps_text_is_never_the_path_of_an_attachment(tmp_path: Path) -> None:
    photo = tmp_path / "p.png"
    photo.write_bytes(PNG)

    def says(name: str) -> dict[str, str]:
        return dict.fromkeys(("path", "a.path", "is it?"), str(photo)) | {"name": "p.png"}

    def makes(name: str) -> PurePath:
        return photo

    for prompt in ("{path}", "{said.path}", "{a.path}", "{is it?}", f"{tmp_path}/{{name}}"):
        records, bodies = run(
            Chain([(says, "said"), (_skill(Image(prompt)), "out")]), [{"name": "x"}]
        )
        assert "came out of a step, and text from there is never a path" in str(records[0].error)
        assert bodies == []
    for one in ("path", "a.path", "is it?"):
        aliased = Chain([(says, "said"), (_skill(File("{f}")), "out", {"f": one})])
        assert "never a path" in str(run(aliased, [{"name": "x"}])[0][0].error)
    nested = Chain([(says, "said"), (Chain([_skill(Image("{path}"))]), "out")])
    assert "never a path" in str(run(nested, [{"name": "x"}])[0][0].error)
    for runner in (
        Chain([(makes, "path"), (_skill(Image("{path}")), "out")]),
        Chain([(says, "said"), (_skill(Image("{photo}")), "out")]),
        Chain([(says, "said"), (_skill(Image("{said.photo}")), "out")]),
    ):
        given = dict.fromkeys(("photo", "said.photo"), str(photo))
        records, bodies = run(runner, [{"name": "x", **given}])
        assert (records[0].error, len(bodies)) == (None, 1)


def test_a_page_whose_words_are_a_path_stays_these_words(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("secret words")

    def page(name: str) -> str:
        return str(path)

    chain = Chain([(page, "page"), (to_markdown, "text", {"source": "page"})])
    assert run(chain, [{"name": "x"}])[0][0].output == str(path)
    own = Chain([(to_markdown, "text", {"source": "path"})])
    assert run(own, [{"path": str(path)}])[0][0].output == "secret words"


# root=: what an item names stays there


def test_an_items_paths_begin_in_the_root_and_stay_there(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for folder in (tmp_path, photos):
        (folder / "p.png").write_bytes(PNG)
        (folder / "a.md").write_text("words")
    names: list[Any] = ["p.png", photos / "p.png", "../p.png", str(tmp_path / "p.png")]
    names.append(tmp_path / "p.png")
    records, bodies = run(
        _skill(Image("{photo}", root=photos)), [{"photo": name} for name in names]
    )
    assert [record.status.name for record in records] == ["DONE"] * 2 + ["FAILED"] * 3
    assert all("outside of its root" in str(record.error) for record in records[2:])
    assert len(bodies) == 2
    assert to_markdown("a.md", root=photos) == "words"
    for name in ("../a.md", str(tmp_path / "a.md"), tmp_path / "a.md"):
        with pytest.raises(InvalidInput, match="outside of its root"):
            to_markdown(name, root=photos)
    kept = Chain([(to_markdown, "text", {"source": "path"}, {"root": str(photos)})])
    records, _ = run(kept, [{"path": name} for name in ("a.md", "../a.md", tmp_path / "a.md")])
    assert [record.status.name for record in records] == ["DONE", "FAILED", "FAILED"]


def test_a_root_is_saved_with_its_chain(tmp_path: Path) -> None:
    Chain([_skill(Image("{photo}", root="photos"))]).save(tmp_path / "c.yaml")
    again = Chain.load(tmp_path / "c.yaml", trusted=True).stages[0][0].runner
    assert isinstance(again, Skill)
    assert again.attachments == (Image("{photo}", root="photos"),)


# Databases


def test_a_query_writes_and_opens_no_other_file(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    target = tmp_path / "written.csv"
    (tmp_path / "a.txt").write_text("secret")
    for words in (f"copy (select 1) to '{target}'", "attach '/tmp/x.db'", "select 1; select 2"):
        with pytest.raises(InvalidInput, match="write a SELECT"):
            read(sql=words)
    with duckdb.connect(str(tmp_path / "d.duckdb")) as database:
        database.execute(f"create view v as select * from read_text('{tmp_path}/a.txt')")
    with pytest.raises(InvalidInput, match="disabled by configuration"):
        list(read(tmp_path / "d.duckdb"))
    with closing(sqlite3.connect(tmp_path / "s.db")) as database:
        database.execute("create table t (a)")
    for words in (f"vacuum into '{target}'", f"attach '{target}' as other"):
        with pytest.raises(InvalidInput, match=r"write a SELECT|not authorized"):
            read(tmp_path / "s.db", sql=words)
    assert not target.exists()


def test_a_query_without_a_database_needs_trust(tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "written.csv"
    skill = "skill: {model: {name: m, base_url: 'http://127.0.0.1:9/v1'}, prompt: '{text}'}"
    for words in ("select 'a' as text", f"copy (select 1) to '{target}'"):
        path = skill_file(tmp_path, f'input: {{sql: "{words}"}}\n{skill}\n')
        assert main(["run", str(path), "--dry-run"]) == 2
        assert "sql without a database may read and write any file" in capsys.readouterr().err
    assert main(["run", str(path), "--dry-run", "--trusted"]) == 2
    assert not target.exists()
    assert main(["run", str(path), "--dry-run", "--sql", "select 'a' as text"]) == 0
