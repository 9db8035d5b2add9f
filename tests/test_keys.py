"""A key goes to its provider and nowhere else: its bytes stand in nothing that is shown or written."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import socket
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest

from flowpool import Chain, Model, Pool, Skill
from flowpool.errors import (
    AttemptTimeout,
    AuthFailed,
    BadRequest,
    CallError,
    ConnectFailed,
    InvalidInput,
    InvalidReply,
    ServerError,
)
from flowpool.http.transport import HttpTransport
from flowpool.masking import mask_of
from flowpool.pool import arun_one
from flowpool.run.environment import Environment
from flowpool.values import Endpoint, HttpRequest, HttpResponse, Secret, Timeouts

KEY = "key-canary-7f3a"
MODELS = ["gpt-5-mini", "claude-haiku-4-5", "gemini-2.5-flash", "openai-responses/gpt-5-mini"]
NAMES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
URLS = ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL")


class Echo:
    """A server that answers with what it was sent, key and all, or doesn't answer.

    A context of asyncio: `async with Echo(401) as server: server.url`.
    """

    def __init__(
        self, status: int | None, template: str = '{"error": {"message": "Bad key: %s"}}'
    ) -> None:
        self.status = status
        self.template = template
        self.keys: list[str] = []
        self.url = ""

    async def __aenter__(self) -> Echo:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
            await reader.readexactly(int(fields["content-length"]))
            self.keys += [value for value in fields.values() if KEY in value]
            if self.status is None:
                await reader.read()  # until the client goes away
                return
            body = (self.template % head.replace("\r\n", "; ").replace('"', "'")).encode()
            writer.write(
                f"HTTP/1.1 {self.status} Answer\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        finally:
            writer.close()


def told(error: BaseException) -> Iterator[str]:
    """Everything that a failure shows, to people, logs and trackers that record local variables."""
    seen: BaseException | None = error
    while seen is not None:
        yield str(seen)
        yield repr(seen)
        yield repr(seen.args)
        yield repr(vars(seen))
        yield "\n".join(getattr(seen, "__notes__", ()))
        seen = seen.__cause__ or seen.__context__
    yield "".join(traceback.format_exception(error))
    yield "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    yield repr(pickle.dumps(error))
    yield repr(copy.copy(error))


def without_key(*texts: str) -> bool:
    """Whether the key stands in none of the texts; by itself it puts none of them in a report."""
    for text in texts:
        where = text.find(KEY)
        if where >= 0:
            shown = text[max(0, where - 200) : where + 60].replace(KEY, "<THE KEY>")
            pytest.fail(f"the key stands in: ...{shown}...", pytrace=False)
    return True


def environ(url: str) -> dict[str, str]:
    base = dict.fromkeys(URLS, url)
    return {**base, "OPENAI_BASE_URL": url + "/v1", **dict.fromkeys(NAMES, KEY)}


async def failure_of(skill: Skill, url: str) -> Exception:
    transport = HttpTransport()
    try:
        await arun_one(
            skill, {"text": "x"}, environment=Environment(transport, environ(url), Random(0))
        )
    except Exception as error:
        return error
    finally:
        await transport.aclose()
    raise AssertionError("it should have failed")


@contextmanager
def silence(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Checks that what is logged and printed meanwhile holds no key."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert without_key(caplog.text, *capsys.readouterr())


ANSWERS: list[tuple[int, str, type[CallError]]] = [
    (401, '{"error": {"message": "Bad key: %s", "type": "x", "code": "y"}}', AuthFailed),
    (401, "Bad key: %s", AuthFailed),
    (400, '{"error": {"message": "%s", "status": "INVALID"}}', BadRequest),
    (500, "<html>%s</html>", ServerError),
    (200, "not JSON: %s", InvalidReply),
    (200, '{"surprise": "%s"}', InvalidReply),
    (200, '["%s"]', InvalidReply),
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("status", "template", "kind"), ANSWERS, ids=lambda value: str(value)[:20])
def test_a_provider_that_repeats_the_key_is_not_repeated(
    status: int,
    template: str,
    kind: type[CallError],
    model: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def run() -> tuple[Exception, list[str]]:
        async with Echo(status, template) as server:
            return await failure_of(
                Skill(model, prompt="{text}", retries=0), server.url
            ), server.keys

    with silence(caplog, capsys):
        error, keys = asyncio.run(run())
    assert keys, "the server was sent the key"
    assert isinstance(error, kind)
    assert without_key(*told(error))


@pytest.mark.parametrize("model", MODELS)
def test_a_call_without_an_answer_does_not_show_the_key(
    model: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async def hangs() -> Exception:
        async with Echo(None) as server:
            return await failure_of(
                Skill(model, prompt="{text}", retries=0, timeout=0.05), server.url
            )

    async def refused() -> Exception:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        return await failure_of(Skill(model, prompt="{text}", retries=0), url)

    with silence(caplog, capsys):
        late, unreached = asyncio.run(hangs()), asyncio.run(refused())
    assert isinstance(late, AttemptTimeout)
    assert isinstance(unreached, ConnectFailed)
    assert without_key(*told(late), *told(unreached))


def test_a_missing_key_does_not_show_the_others() -> None:
    async def run() -> Exception:
        model = Model("mistral-small", api_key=None)
        return await failure_of(Skill(model, prompt="{text}"), "http://127.0.0.1:9")

    error = asyncio.run(run())
    assert isinstance(error, InvalidInput)
    assert "MISTRAL_API_KEY" in str(error)
    assert without_key(*told(error))


@pytest.mark.parametrize("bad", [KEY + "\nx", KEY + " x", KEY + "\x00", "é" + KEY])
def test_a_broken_key_is_refused_unseen(bad: str) -> None:
    model = Model("gpt-5-mini", api_key=bad)
    hold = [bad]
    del bad  # this frame's own variables are shown too
    try:
        model.endpoint({})
    except InvalidInput as error:
        hold.clear()
        caught = error
    assert without_key(str(caught), repr(caught), "".join(traceback.format_exception(caught)))


def test_a_bug_in_a_step_does_not_show_the_key() -> None:
    async def buggy(text: str) -> str:
        raise RuntimeError("a bug")

    async def run() -> Exception:
        chain = Chain([(buggy, "a"), (Skill("gpt-5-mini", prompt="{a}"), "b")])
        transport = HttpTransport()
        try:
            environment = Environment(transport, environ("http://127.0.0.1:9"), Random(0))
            await arun_one(chain, {"text": "x"}, environment=environment)
        except Exception as error:
            return error
        finally:
            del environment
            await transport.aclose()
        raise AssertionError

    assert without_key(*told(asyncio.run(run())))


# What is held


def test_no_object_shows_the_key() -> None:
    client = {"default_headers": {"Authorization": f"Bearer {KEY}"}, "api_key": KEY}
    model = Model("gpt-5-mini", None, client)
    skill = Skill(model, prompt="{text}")
    endpoint = model.endpoint({})
    environment = Environment(HttpTransport(), environ("http://127.0.0.1:9"), Random(0))
    pool = Pool(skill, [{"text": "x"}], environment=environment)
    header = ("authorization", f"Bearer {KEY}")
    for thing in (
        *(
            model,
            skill,
            Chain([skill]),
            pool,
            endpoint,
            endpoint.key,
            environment,
            environment.transport,
        ),
        Endpoint("openai", "openai-chat", "http://h", Secret(KEY), (header,)),
        HttpRequest("POST", "http://h/v1", (header,), b"{}"),
        *(pool.results, pool.results.records, pool.history, pool.status, pool.snapshot),
    ):
        assert without_key(repr(thing), str(thing), f"{thing}")


def test_what_holds_a_key_cannot_be_pickled() -> None:
    headers = {"default_headers": {"X-Gateway": KEY}}
    for thing in (
        Secret(KEY),
        Model("gpt-5-mini", api_key=KEY),
        Model("gpt-5-mini", None, headers),
        Skill(Model("gpt-5-mini", api_key=KEY), prompt="x"),
        Model("gpt-5-mini", api_key=KEY).endpoint({}),
    ):
        with pytest.raises(TypeError, match="pickle") as caught:
            pickle.dumps(thing)
        assert without_key(str(caught.value))


def test_saved_files_hold_no_key(tmp_path: Path) -> None:
    client: dict[str, Any] = {"api_key": KEY, "default_headers": {"X-Gateway": KEY}}
    inner = Chain([Skill(Model("gpt-5-mini", None, client), prompt="x")])
    Chain([(inner, "a"), (Skill(Model("gpt-5", api_key=KEY), prompt="x"), "b")]).save(
        tmp_path / "c.yaml"
    )
    assert without_key((tmp_path / "c.yaml").read_text())
    Chain.load(tmp_path / "c.yaml", api_key=KEY).save(tmp_path / "d.yaml")
    assert without_key((tmp_path / "d.yaml").read_text())


# A whole run


@pytest.mark.parametrize("progress", [True, "callable"])
def test_a_failed_runs_traces_hold_no_key(
    progress: Any,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snapshots: list[Any] = []
    tell: bool | Callable[[Any], None] = progress is True or snapshots.append
    screen = StringIO()

    async def run() -> Pool:
        async with Echo(401) as server:
            transport = HttpTransport()
            skill = Skill(["gpt-5-mini", "claude-haiku-4-5"], prompt="{text}")
            chain = Chain([(skill, "a"), (skill, "b")])
            environment = Environment(transport, environ(server.url), Random(0))
            pool = Pool(
                chain, [{"text": str(n)} for n in range(9)], progress=tell, environment=environment
            )
            await pool.arun()
            await transport.aclose()
            return pool

    with silence(caplog, capsys):
        monkeypatch.setattr(sys, "stderr", screen)
        pool = asyncio.run(run())
        monkeypatch.undo()
    results = pool.results
    assert len(results.failed) == 9
    for error in results.errors:
        assert without_key(*told(error))
    assert without_key(
        *(
            repr(results.records),
            repr(pool.history),
            repr(pool),
            repr(snapshots),
            screen.getvalue(),
        ),
        *(repr(pickle.dumps(results.records)), repr(pickle.dumps(results))),
    )


def test_an_answer_that_repeats_the_key_is_cleaned() -> None:
    answer = '{"choices": [{"message": {"content": "You sent %s"}, "finish_reason": "stop"}]}'

    async def run() -> Any:
        async with Echo(200, answer) as server:
            transport = HttpTransport()
            try:
                environment = Environment(transport, environ(server.url), Random(0))
                return await arun_one(Skill("gpt-5-mini", prompt="x"), environment=environment)
            finally:
                await transport.aclose()

    text = asyncio.run(run())
    assert "Bearer ***" in text
    assert without_key(text)


# However it is written

ODD = "key-canary/7f3a+x=z"


def escaped(form: str, text: str) -> str:
    """A text as JSON, a URL or HTML may have it."""
    return {
        "slashes": text.replace("/", "\\/"),
        "unicode": text.replace("/", "\\u002F").replace("+", "\\u002b").replace("=", "\\u003D"),
        "all": "".join(f"\\u{ord(char):04x}" for char in text),
        "twice": text.replace("/", "\\\\\\/"),
        "url": quote(text, safe=""),
        "html": text.replace("+", "&#43;").replace("=", "&#61;"),
    }[form]


@pytest.mark.parametrize("form", ["slashes", "unicode", "all", "twice", "url", "html"])
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_key_is_taken_out_in_whatever_form_it_is_written(form: str, status: int) -> None:
    said = f'{{"error": {{"message": "You sent: {escaped(form, ODD)}, so no."}}}}'
    cleaned = mask_of(Endpoint("openai", "openai-chat", "http://h", Secret(ODD))).answer(
        HttpResponse(
            status, {"x-request-id": f"r-{ODD}", "x-b": quote(ODD, safe="")}, said.encode()
        )
    )
    assert json.loads(cleaned.body) == {"error": {"message": "You sent: ***, so no."}}
    assert cleaned.headers == {"x-request-id": "r-***", "x-b": "***"}


def test_the_words_beside_a_key_stay_as_they_are() -> None:
    mask = mask_of(Endpoint("openai", "openai-chat", "http://h", Secret(ODD)))
    body = rb'{"text": "50% \u00e9t\u00e9 <a href=\"x\/y\"> &#39; key-canary"}'
    assert mask.answer(HttpResponse(200, {"a": "b"}, body)) == HttpResponse(200, {"a": "b"}, body)


def test_headers_of_ones_own_are_taken_out_of_failures_and_those_that_hold_keys_of_answers() -> (
    None
):
    headers = (("x-api-token", "token-canary"), ("x-title", "My-Application 2026-11-28"))
    mask = mask_of(Endpoint("openai", "openai-chat", "http://h", Secret(""), headers))
    body = b"token-canary My-Application 2026-11-28"
    assert mask.answer(HttpResponse(200, {}, body)).body == b"*** My-Application 2026-11-28"
    assert mask.answer(HttpResponse(401, {}, body)).body == b"*** *** ***"
    short = mask_of(Endpoint("openai", "openai-chat", "http://h", Secret("any"), (("x", "a"),)))
    assert short.answer(HttpResponse(401, {}, b"any a")).body == b"any a"


@pytest.mark.parametrize("model", MODELS)
def test_a_request_id_of_an_answer_holds_no_key(model: str, tmp_path: Path) -> None:
    answers = {
        "gpt-5-mini": '{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}',
        "claude-haiku-4-5": '{"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn"}',
        "gemini-2.5-flash": '{"candidates": [{"content": {"parts": [{"text": "x"}]}}]}',
        "openai-responses/gpt-5-mini": '{"status": "completed", "output": [{"type": "message", '
        '"content": [{"type": "output_text", "text": "x"}]}]}',
    }

    class Echoing:
        async def send(self, request: HttpRequest, timeouts: object) -> HttpResponse:
            sent = dict(request.headers)
            return HttpResponse(200, {"x-request-id": f"{sent}"}, answers[model].encode())

        async def aclose(self) -> None:
            pass

    async def run() -> None:
        environment = Environment(Echoing(), environ("http://h"), Random(0))
        pool = Pool(
            Skill(model, prompt="{text}"),
            [{"text": "x"}],
            store=tmp_path / "run.db",
            environment=environment,
        )
        assert await pool.arun() == ["x"]

    asyncio.run(run())
    assert KEY.encode() not in (tmp_path / "run.db").read_bytes()
    with closing(sqlite3.connect(tmp_path / "run.db")) as store:
        ids = [str(row) for row in store.execute("select request_id from attempts")]
    assert ids
    assert without_key(*ids)


@pytest.mark.parametrize("model", [*MODELS, "command-a-03-2025"])
def test_no_frame_of_a_request_that_cannot_be_made_shows_the_key(model: str) -> None:
    async def run() -> Exception:
        skill = Skill(Model(model, {"odd": object()}, api_key=KEY), prompt="{text}", retries=0)
        return await failure_of(skill, "http://127.0.0.1:9")

    error = asyncio.run(run())
    assert isinstance(error, InvalidInput)
    assert without_key(*told(error))


def test_no_frame_of_a_refused_header_or_address_shows_it() -> None:
    async def run(request: HttpRequest) -> Exception:
        transport = HttpTransport()
        try:
            await transport.send(request, Timeouts())
        except InvalidInput as error:
            return error
        finally:
            await transport.aclose()
        raise AssertionError

    headers = (("authorization", f"Bearer {KEY}"), ("x-bad", f"{KEY}\n"))
    for request in (
        HttpRequest("POST", "http://h/v1", headers),
        HttpRequest("GET", f"http://user:{KEY}@h:0/", ()),
    ):
        error = asyncio.run(run(request))
        texts = [text for text in told(error) if "test_keys.py" not in text]
        assert without_key(*texts)


@pytest.mark.parametrize("name", ["key", "api_key", "api-key", "access_token", "subscription-key"])
def test_a_key_in_an_address_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="holds a key in its query") as caught:
        Model("gpt-5-mini", base_url=f"https://gate.test/v1?{name}={KEY}")
    assert without_key(str(caught.value))
    Model("gpt-5-mini", base_url="https://gate.test/v1?api-version=2026-01-01-preview&monkey=x")
