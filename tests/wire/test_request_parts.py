"""What the wires promise about requests beyond their exact form."""

from __future__ import annotations

import msgspec
import pytest

from flowpool.errors import InvalidInput
from flowpool.providers import PROVIDERS as TABLE
from flowpool.providers import resolve
from flowpool.values import Call, Endpoint, Media, Message, OutputFormat, Secret, Text
from flowpool.wire import WIRES

# The first provider of each wire that carries its requests over HTTP.
PROVIDERS = [
    next(name for name, row in TABLE.items() if row.wire == wire)
    for wire in WIRES
    if wire != "any-llm"
]


def asked(text: str = "Hi", **options) -> Call:
    return Call("m", (Message("user", (Text(text),)),), options)


def with_part(part) -> Call:
    return Call("m", (Message("user", (part,)),), {})


def build(provider: str, call: Call):
    endpoint = resolve(provider, None, "key-canary", {})
    return WIRES[endpoint.wire].build(call, endpoint)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_all_calls_of_an_endpoint_share_one_tuple_of_headers(provider) -> None:
    first = build(provider, asked("one"))
    second = build(provider, asked("two"))
    assert first.headers is second.headers


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_request_shows_no_header_values(provider) -> None:
    request = build(provider, asked())
    assert "key-canary" in str(request.headers)
    assert "key-canary" not in repr(request)
    assert "key-canary" not in f"{request} {resolve(provider, None, 'key-canary', {})}"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_endpoint_without_a_key_sends_none(provider) -> None:
    endpoint = resolve(provider, "http://127.0.0.1:9", None, {})
    headers = dict(WIRES[endpoint.wire].build(asked(), endpoint).headers)
    assert headers.keys() <= {"content-type", "accept", "anthropic-version"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_endpoints_own_headers_replace_the_wires(provider) -> None:
    endpoint = resolve(provider, None, "k", {}, (("Accept", "text/plain"), ("X-Team", "one")))
    headers = WIRES[endpoint.wire].build(asked(), endpoint).headers
    assert [value for name, value in headers if name == "accept"] == ["text/plain"]
    assert ("x-team", "one") in headers


@pytest.mark.parametrize("wire", [name for name in WIRES if name != "any-llm"])
def test_a_provider_outside_the_table_speaks_its_wire_plainly(wire) -> None:
    endpoint = Endpoint("elsewhere", wire, "http://127.0.0.1:9/v1", Secret("key-canary"))
    request = WIRES[wire].build(asked(max_tokens=5), endpoint)
    assert "key-canary" in str(request.headers)
    assert request.url.startswith("http://127.0.0.1:9/v1")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_half_a_character_is_refused_with_the_fix(provider) -> None:
    with pytest.raises(InvalidInput, match="lone surrogate"):
        build(provider, asked("\ud83d"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_option_that_is_no_json_is_named(provider) -> None:
    with pytest.raises(InvalidInput, match="option 'wrong'"):
        build(provider, asked(wrong=object()))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("option", ["stream", "background"])
def test_an_answer_that_isnt_whole_is_never_asked_for(provider, option) -> None:
    with pytest.raises(InvalidInput, match=f"remove {option}"):
        build(provider, Call("m", asked().messages, {option: True}))
    build(provider, Call("m", asked().messages, {option: False}))


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_a_call_with_only_a_system_message_is_refused_where_one_must_ask(provider) -> None:
    with pytest.raises(InvalidInput, match="add one"):
        build(provider, Call("m", (Message("system", (Text("Be brief."),)),), {}))


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_an_image_in_a_system_message_is_refused(provider) -> None:
    image = Message("system", (Media("image/png", data="AAAA"),))
    with pytest.raises(InvalidInput, match="put it into a user message"):
        build(provider, Call("m", (image, Message("user", (Text("Hi"),))), {}))


@pytest.mark.parametrize(
    ("provider", "media"),
    [
        ("openai", Media("application/pdf", url="https://example.com/a.pdf")),
        ("openai", Media("video/mp4", data="AAAA")),
        ("openai", Media("text/plain", url="https://example.com/a.txt")),
        ("openai-responses", Media("audio/mpeg", data="AAAA")),
        ("anthropic", Media("audio/mpeg", data="AAAA")),
        ("cohere", Media("application/pdf", data="AAAA")),
    ],
)
def test_media_that_a_wire_cant_carry_are_refused_with_the_fix(provider, media) -> None:
    with pytest.raises(InvalidInput, match=f"takes no {media.media_type} by"):
        build(provider, with_part(media))


def test_a_text_file_that_isnt_base64_is_refused() -> None:
    with pytest.raises(InvalidInput, match="isn't UTF-8 in base64"):
        build("openai", with_part(Media("text/plain", data="not base64!")))


def test_a_schema_is_never_changed_in_place() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {}}}}
    before = msgspec.json.encode(schema)
    call = Call(
        "m", (Message("user", (Text("Hi"),)),), {}, OutputFormat("json_schema", schema=schema)
    )
    for provider in PROVIDERS:
        build(provider, call)
    assert msgspec.json.encode(schema) == before


def test_options_are_never_changed_in_place() -> None:
    options = {"stop": "END", "seed": 1, "generationConfig": {"topK": 3}, "max_tokens": 5}
    call = Call("m", (Message("user", (Text("Hi"),)),), options, OutputFormat("json"))
    for provider in ("openai", "anthropic", "google"):
        build(provider, call)
    assert options == {
        "stop": "END",
        "seed": 1,
        "generationConfig": {"topK": 3},
        "max_tokens": 5,
    }
