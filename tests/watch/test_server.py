"""The live page's server, over real sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.watch.stores import HOSTILE, Live, live, make_store

from flowpool.watch import server
from flowpool.watch.server import FILES, MOST_STRANGERS, PageServer
from flowpool.watch.source import StoreSource


class Served:
    """A page's server, and requests to it as anybody may make them."""

    def __init__(self, folder: Path) -> None:
        make_store(folder / "run.db")
        self.process = Live(live())
        source = StoreSource(folder / "run.db", look=self.process.look, order=self.process.order)
        self.page = PageServer(source)
        url = urlsplit(self.page.address)
        assert url.hostname == "127.0.0.1"
        assert url.port is not None
        self.port, self.path = url.port, url.path

    def ask(
        self, method: str, part: str, body: Any = None, path: str | None = None, **headers: str
    ) -> tuple[int, Any, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named.setdefault("Content-Type", "application/json")
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, f"{path or self.path}{part}", body, named)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.headers.get_content_type() == "application/json":
            return answer.status, json.loads(content), answer
        return answer.status, content, answer

    def order(self, body: Any, **headers: str) -> tuple[int, Any]:
        own = {"X_Flowpool_Token": self.page.token, "Origin": f"http://127.0.0.1:{self.port}"}
        return self.ask("POST", "order", body, **own | headers)[:2]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.page.close()


def test_the_page_and_how_the_run_stands_are_there_for_who_has_the_address(served: Served) -> None:
    status, content, _ = served.ask("GET", "")
    assert status == 200
    assert content.startswith(b"<!doctype html>")
    status, now, _ = served.ask("GET", "view")
    assert status == 200
    assert (now["name"], now["state"], now["counts"]) == ("reviews", "running", "203 of 400")
    assert now["verdict"].startswith("limited by tokens of openai/gpt-5-mini")


def test_every_part_of_the_page_is_served_with_its_type(served: Served) -> None:
    for name, (_, _, kind) in FILES.items():
        status, content, answer = served.ask("GET", name)
        assert (status, answer.headers["Content-Type"]) == (200, kind)
        assert content


def test_every_answer_forbids_what_the_page_doesnt_need(served: Served) -> None:
    for part in ("", "view", "nothing"):
        headers = served.ask("GET", part)[2].headers
        assert headers["Content-Security-Policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Server"] is None


@pytest.mark.parametrize("path", ["/", "/wrong/", "/view", "/wrong/view", "/../view"])
def test_a_wrong_token_gets_403_and_learns_nothing(served: Served, path: str) -> None:
    status, content, _ = served.ask("GET", "", path=path)
    assert (status, content) == (403, {"error": "Open the address that the run has said."})


def test_a_foreign_host_gets_403(served: Served) -> None:
    assert served.ask("GET", "view", Host="evil.example")[0] == 403
    assert served.order({"what": "stop"}, Host="evil.example")[0] == 403
    assert served.process.orders == []


def test_a_foreign_origin_gets_403(served: Served) -> None:
    assert served.ask("GET", "view", Origin="http://evil.example")[0] == 403
    assert served.order({"what": "stop"}, Origin="http://evil.example")[0] == 403
    assert served.process.orders == []


def test_get_changes_nothing(served: Served) -> None:
    for part in ("order", "order?what=stop", "stop", "pause"):
        assert served.ask("GET", part)[0] == 404
    assert served.process.orders == []


def test_an_order_needs_the_token_in_a_header_too(served: Served) -> None:
    assert served.ask("POST", "order", {"what": "stop"})[0] == 403
    assert served.order({"what": "stop"}, X_Flowpool_Token="wrong")[0] == 403
    assert served.process.orders == []


def test_orders_get_to_the_run(served: Served) -> None:
    assert served.order({"what": "pause"}) == (200, {"said": "done: pause"})
    assert served.order({"what": "set", "max_flows": 50}) == (200, {"said": "done: set"})
    assert served.process.orders == [("pause", {}), ("set", {"max_flows": 50})]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        {"what": "cancel all"},
        {"what": "set", "max_flows": "x"},
        {"what": "set", "other": 1},
    ],
)
def test_what_is_no_order_is_refused(served: Served, body: Any) -> None:
    assert served.order(body)[0] == 400
    assert served.process.orders == []


def test_an_order_of_another_type_or_a_huge_one_is_refused(served: Served) -> None:
    assert served.order({"what": "stop"}, Content_Type="text/plain")[0] == 415
    assert served.order(b"x" * 5000)[0] == 413
    assert served.process.orders == []


def test_other_methods_are_refused(served: Served) -> None:
    for method in ("PUT", "DELETE", "OPTIONS"):
        status, _, answer = served.ask(method, "view")
        assert status == 501
        assert answer.headers["Access-Control-Allow-Origin"] is None


def test_names_and_errors_of_others_are_words(served: Served) -> None:
    _, now, _ = served.ask("GET", "view")
    [words] = [one["words"] for one in now["failures"] if "script" in one["words"]]
    assert "<script>alert(1)</script> \\x1b[31mred \\u202eright to left" in words
    assert HOSTILE not in json.dumps(now, ensure_ascii=False)


def strangers(served: Served, number: int) -> list[socket.socket]:
    """Connections that have begun a request without the token."""
    found = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(number)]
    for connection in found:
        connection.settimeout(10)
        connection.sendall(b"GET / HTTP/1.1\r\n")
    return found


def test_strangers_that_hold_all_connections_keep_nobody_out(served: Served) -> None:
    held = strangers(served, 2 * MOST_STRANGERS)
    for _ in range(3):
        assert served.ask("GET", "view")[0] == 200
    for connection in held:
        connection.close()


def test_strangers_dont_end_a_connection_that_has_shown_the_token(served: Served) -> None:
    known = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    known.request("GET", f"{served.path}view")
    known.getresponse().read()
    kept = known.sock
    held = strangers(served, 2 * MOST_STRANGERS)
    known.request("GET", f"{served.path}view")
    assert known.getresponse().status == 200
    assert known.sock is kept
    known.close()
    for connection in held:
        connection.close()


def test_a_byte_now_and_then_keeps_no_connection_open(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "FIRST", 0.5)
    [slow] = strangers(served, 1)
    began = time.monotonic()
    with contextlib.suppress(OSError):
        while time.monotonic() - began < 10:
            slow.sendall(b"a")
            threading.Event().wait(0.1)
    slow.close()
    assert time.monotonic() - began < 5


def test_the_machines_name_is_not_asked_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda *_: pytest.fail("it may take seconds"))
    PageServer(served.page.source).close()


def test_an_address_in_use_twice_has_another_token(served: Served, tmp_path: Path) -> None:
    another = PageServer(served.page.source)
    assert another.token != served.page.token
    another.close()
