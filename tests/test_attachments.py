"""Images and files in prompts: read beside the loop, sent in each wire's form, refused before they cost."""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.helpers import Recorder

from flowpool import Chain, File, Image, Model, Pool, Skill
from flowpool.attachments import MAX_BYTES, Attachment, type_of
from flowpool.calls import attachments as reader
from flowpool.calls.route import MEDIA_SIZE, size_of
from flowpool.errors import InvalidInput, InvalidItem
from flowpool.pool import Environment
from flowpool.simulator import SimTransport, SimulatedProvider, run_virtual
from flowpool.values import Media, Message, Status, Text

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
JPEG = b"\xff\xd8\xff" + b"pixels"
PDF = b"%PDF-1.7 words"


def inline(data: bytes) -> str:
    return base64.b64encode(data).decode()


def recorder() -> Recorder:
    return Recorder(SimTransport(SimulatedProvider()))


def run(skill: Any, items: Any, **settings: Any) -> tuple[Pool, list[dict[str, Any]]]:
    transport = recorder()
    environment = Environment(transport, {}, Random(0))
    pool = Pool(skill, items, environment=environment, progress=False, **settings)
    run_virtual(pool.arun())
    return pool, transport.bodies


def model(name: str = "m", **settings: Any) -> Model:
    return Model(name, base_url="http://sim.test/v1", **settings)


def content(body: dict[str, Any]) -> Any:
    return body["messages"][0]["content"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    return path


# What may stand for an image


def test_a_prompt_may_hold_a_path_an_address_and_bytes(photo: Path) -> None:
    prompt = ["What", Image("{photo}"), "and", Image("http://host/{name}.jpg"), Image(JPEG)]
    _, bodies = run(Skill(model(), prompt=prompt), [{"photo": str(photo), "name": "b"}])
    assert content(bodies[0]) == [
        {"type": "text", "text": "What"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{inline(PNG)}"}},
        {"type": "text", "text": "and"},
        {"type": "image_url", "image_url": {"url": "http://host/b.jpg"}},
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{inline(JPEG)}"}},
    ]


SOURCES: list[Any] = [
    PNG,
    bytearray(PNG),
    memoryview(PNG),
    f"data:image/png;base64,{inline(PNG)}",
    Image(PNG),
    Media("image/png", data=inline(PNG)),
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: type(source).__name__)
def test_an_items_variable_holds_any_of_them(source: Any) -> None:
    for name in ("page.photo", "Photo (front)"):
        skill = Skill(model(), prompt=["See", Image(f"{{{name}}}")])
        _, bodies = run(skill, [{"page": {"photo": source}, "Photo (front)": source}])
        assert content(bodies[0])[1]["image_url"]["url"].endswith(inline(PNG))


def test_a_path_may_be_made_of_variables(photo: Path) -> None:
    skill = Skill(model(), prompt=["See", Image(f"{photo.parent}/{{name}}.png")])
    assert skill.names == {"name"}
    pool, bodies = run(skill, [{"name": "photo"}, {"name": "other"}])
    assert len(bodies) == 1
    error = str(pool._session.records()[1].error)
    assert error.startswith("image ")
    assert error.endswith(": no such file.")


WIRES: dict[str, tuple[dict[str, Any], Any]] = {
    "chat": (
        {},
        [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{inline(PNG)}"}},
            {
                "type": "file",
                "file": {
                    "filename": "a.pdf",
                    "file_data": f"data:application/pdf;base64,{inline(PDF)}",
                },
            },
        ],
    ),
    "responses": (
        {"provider": "openai-responses"},
        [
            {
                "type": "input_image",
                "image_url": f"data:image/png;base64,{inline(PNG)}",
                "detail": "auto",
            },
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": f"data:application/pdf;base64,{inline(PDF)}",
            },
        ],
    ),
    "anthropic": (
        {"provider": "anthropic"},
        [
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": inline(PNG)},
            },
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": inline(PDF)},
                "title": "a.pdf",
            },
        ],
    ),
    "gemini": (
        {"provider": "google"},
        [
            {"inlineData": {"mimeType": "image/png", "data": inline(PNG)}},
            {"inlineData": {"mimeType": "application/pdf", "data": inline(PDF)}},
        ],
    ),
}


@pytest.mark.parametrize("wire", WIRES)
def test_every_wire_has_its_form(wire: str, photo: Path, tmp_path: Path) -> None:
    settings, expected = WIRES[wire]
    (tmp_path / "a.pdf").write_bytes(PDF)
    prompt = ["See", Image("{photo}"), File("{paper}")]
    item = {"photo": photo, "paper": str(tmp_path / "a.pdf")}
    pool, [body] = run(Skill(model(**settings), prompt=prompt), [item])
    assert pool.status[Status.DONE] == 1
    said = body.get("messages") or body.get("input") or body.get("contents")
    assert said
    parts = said[0].get("content") or said[0]["parts"]
    assert parts[1:] == expected


def test_a_text_file_is_text_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Title\n")
    skill = Skill(model(), prompt=["Read", File(tmp_path / "notes.md")])
    _, [body] = run(skill, [{}])
    assert content(body)[1] == {"type": "text", "text": "# Title\n"}


@pytest.mark.parametrize(
    ("data", "ending", "kind"),
    [
        (PNG, "", "image/png"),
        (JPEG, ".png", "image/jpeg"),  # the bytes know better
        (b"GIF89a..", "", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", "", "audio/wav"),
        (PDF, ".bin", "application/pdf"),
        (b"a,b\n", ".csv", "text/csv"),
        (b'{"a": 1}', ".json", "text/plain"),
        ("é".encode(), "", "text/plain"),
        (b"\xff\xfe\x00", ".txt", ""),
        (b"not pixels", ".png", ""),
    ],
)
def test_the_type_is_told_by_the_bytes_then_by_the_ending(
    data: bytes, ending: str, kind: str
) -> None:
    assert type_of(data, ending) == kind


# What is refused


def test_a_missing_file_of_the_prompt_is_refused_before_any_call(tmp_path: Path) -> None:
    skill = Skill(model(), prompt=["See", Image(tmp_path / "no.png")], name="look")
    transport = recorder()
    pool = Pool(skill, [{}] * 3, environment=Environment(transport, {}, Random(0)), progress=False)
    with pytest.raises(InvalidInput, match=r"'look': image .*no\.png: no such file\."):
        run_virtual(pool.arun())
    assert not transport.bodies


def test_an_items_missing_file_fails_that_item_alone(photo: Path) -> None:
    skill = Skill(model(), prompt=["See", Image("{photo}")])
    pool, bodies = run(skill, [{"photo": "no.png"}, {"photo": str(photo)}])
    failed, done = pool._session.records()
    assert type(failed.error) is InvalidItem
    assert str(failed.error) == "image no.png: no such file."
    assert failed.attempts == 0
    assert done.status is Status.DONE
    assert len(bodies) == 1


def refusal(part: Attachment, **variables: Any) -> str:
    pool, bodies = run(Skill(model(), prompt=["See", part]), [variables | {"x": 1}])
    assert not bodies
    error = pool._session.records()[0].error
    assert type(error) is InvalidItem
    return str(error)


def test_what_can_not_be_sent_is_refused_with_the_fix(tmp_path: Path) -> None:
    def at(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    with (tmp_path / "big.png").open("wb") as big:
        big.truncate(MAX_BYTES + 1)
    cases: list[tuple[Attachment, Any, str]] = [
        (Image("{p}"), at("a.png", b""), "a.png: is empty"),
        (Image("{p}"), str(tmp_path / "big.png"), "has 20,000,001 bytes; at most 20,000,000"),
        (Image("{p}"), str(tmp_path), "is no file"),
        (Image("{p}"), "/dev/zero", "is no file"),
        (Image("{p}"), at("b.png", PDF), "is application/pdf, no image: use File"),
        (Image("{p}"), at("c.png", b"BM......"), "is image/bmp: convert it to PNG or JPEG"),
        (Image("{p}"), at("d.png", b"\x00\x01"), "its bytes tell no type"),
        (File("{p}"), at("e.docx", b"PK\x03\x04.."), "make text of it with to_markdown"),
        (File("{p}"), "data:application/pdf;base64,=!", "a data: address is"),
        (Image("{p}"), 5, "image '{p}' is 5: give a path, an address or bytes"),
        (Image("{p}"), None, "image '{p}' is None: give"),
        (Image("{p}"), " ", "image '{p}' is ' ': give"),
        (Image("{p}"), "a\0b", "embedded null"),
        (Image("{p}", media_type="image/tiff"), PNG, "image <14 bytes>: is image/tiff: convert"),
    ]
    for part, source, says in cases:
        told = refusal(part, p=source)
        assert says in told, told
        assert "\n" not in told


# How they are read


def test_files_are_read_in_threads_and_the_prompts_own_once(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b.png").write_bytes(PNG)
    read: list[tuple[str, str]] = []

    def spy(attachment: Attachment, really: Any = reader.read_file) -> Media:
        read.append((attachment.source.name, threading.current_thread().name))
        return really(attachment)  # type: ignore[no-any-return]

    monkeypatch.setattr(reader, "read_file", spy)
    skill = Skill(model(), prompt=["Same?", Image(photo), Image("{photo}")])
    pool, bodies = run(skill, [{"photo": tmp_path / "b.png"} for _ in range(20)])
    assert pool.status[Status.DONE] == len(bodies) == 20
    assert {thread for _, thread in read} == {"flowpool-files"}
    assert [name for name, _ in read].count("photo.png") == 1
    assert [name for name, _ in read].count("b.png") == 20


def test_a_pictures_bytes_are_not_taken_for_words() -> None:
    said = (Message("user", (Text("Hi"), Media("image/png", data="A" * 1_000_000))),)
    assert size_of(b"x" * 1_000_100, said) == 100 + MEDIA_SIZE


# Records, chains and files of definitions


def test_a_glob_of_pictures_is_a_pools_items(tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        (tmp_path / name).write_bytes(PNG + bytes(50))
    pool, bodies = run(Skill(model(), prompt=["See", Image("{path}")]), f"{tmp_path}/*.png")
    assert pool.status[Status.DONE] == len(bodies) == 2
    assert pool.history[0]["variables"]["name"] == "a.png"


def test_records_tell_paths_and_the_size_of_bytes(photo: Path) -> None:
    big = PNG + bytes(100_000)
    skill = Skill(model(), prompt=["See", Image("{a}"), Image("{b}"), Image("{c}")])
    pool, _ = run(skill, [{"a": str(photo), "b": big, "c": Image(big)}])
    told = {"a": str(photo), "b": "<100,014 bytes>", "c": "Image(<100,014 bytes>)"}
    assert pool.history[0]["variables"] == told
    assert pool._session.records()[0].variables["b"] is big
    assert len(repr(Media("image/png", data="A" * 1000))) < 60


def test_a_step_may_make_the_picture_of_the_next() -> None:
    async def draw(name: str) -> dict[str, bytes]:
        return {"picture": PNG + name.encode()}

    look = Skill(model(), prompt=["See", Image("{picture}")])
    pool, bodies = run(Chain([(draw, "drawn"), look]), [{"name": "a"}])
    assert pool.status[Status.DONE] == 1
    assert content(bodies[0])[1]["image_url"]["url"].endswith(inline(PNG + b"a"))


def test_a_conversation_holds_them_in_any_message(photo: Path) -> None:
    talk = [
        {"role": "user", "parts": ["First", {"image": "{photo}"}]},
        {"role": "assistant"},
        {"role": "user", "parts": ["And this?", {"file": "{paper}", "name": "paper.pdf"}]},
    ]
    skill = Skill(model(), {"messages": talk})
    assert skill.names == {"photo", "paper"}
    _, bodies = run(skill, [{"photo": photo, "paper": PDF}])
    assert len(bodies) == 2
    assert bodies[1]["messages"][2]["content"][1]["file"]["filename"] == "paper.pdf"


def test_they_are_saved_and_loaded_with_a_chain(photo: Path, tmp_path: Path) -> None:
    prompt = ["What is this?", Image("{photo}"), File(photo.parent / "a.pdf", name="a")]
    path = tmp_path / "chain.yaml"
    Chain([Skill(model(), prompt=prompt)]).save(path)
    assert "image: '{photo}'" in path.read_text()
    loaded = Chain.load(path, trusted=True).stages[0][0].runner
    assert isinstance(loaded, Skill)
    assert loaded.attachments == (
        Image("{photo}"),
        File(str(photo.parent / "a.pdf"), name="a"),
    )
    _, bodies = run(Skill(model(), prompt=loaded.definition()["prompt"][:2]), [{"photo": photo}])
    assert len(bodies) == 1
