"""The simulator on real sockets, spoken to by hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest
from tests.helpers import until

from flowpool.simulator import PROFILES, Profile, SimServer, SimulatedProvider, serve

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture(scope="module")
def server(tmp_path_factory: Any) -> Any:
    pages = tmp_path_factory.mktemp("pages")
    (pages / "dam.html").write_text("<h1>The dam</h1>")
    with SimServer("free", pages_dir=pages) as running:
        yield running


@pytest.fixture
def sim(server: Any) -> Any:
    server.reset(PROFILES["free"])
    return server


def connect(sim: Any) -> Any:
    host, port = sim.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    return contextlib.closing(connection)


def post(text: str, extra: str = "", path: str = "/v1/chat/completions") -> Any:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]})
    head = f"POST {path} HTTP/1.1\r\nHost: sim\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return (head + body).encode()


def promised_length(head: bytes) -> int:
    found = re.search(rb"content-length: (\d+)", head)
    assert found
    return int(found[1])


def read_answer(connection: Any) -> Any:
    """One whole answer: status, headers, body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or pytest.fail(f"closed early: {data!r}")
    head, _, body = data.partition(b"\r\n\r\n")
    length = promised_length(head)
    while len(body) < length:
        body += connection.recv(65536) or pytest.fail("closed early")
    return int(head.split()[1]), head.decode().lower(), body


def get(sim: Any, path: str, method: str = "GET") -> Any:
    with connect(sim) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: sim\r\n\r\n".encode())
        return read_answer(connection)


def test_one_connection_serves_many_requests(sim) -> None:
    with connect(sim) as connection:
        for text in ("One", "Two"):
            connection.sendall(post(text))
            status, _, body = read_answer(connection)
            assert status == 200
            assert json.loads(body)["choices"][0]["message"]["content"] == text
    assert sim.ledger()["answers"] == 2


def test_requests_sent_ahead_are_answered_in_order(sim) -> None:
    with connect(sim) as connection:
        connection.sendall(post("[[sim: latency=0.05]]One") + post("Two", "Connection: close\r\n"))
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
    assert data.index(b'"One"') < data.index(b'"Two"')
    assert b"connection: close" in data


def test_a_chunked_body_is_read(sim) -> None:
    head, _, body = post("Hello").partition(b"\r\n\r\n")
    head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
    with connect(sim) as connection:
        connection.sendall(head + b"\r\n\r\n")
        for piece in (body[:10], body[10:]):
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        assert read_answer(connection)[0] == 200


def test_what_is_no_http_is_a_400_and_the_end(sim) -> None:
    with connect(sim) as connection:
        connection.sendall(b"hello?\r\n\r\n")
        assert read_answer(connection)[0] == 400
        assert connection.recv(10) == b""


def test_a_reset_is_a_real_one(sim) -> None:
    with connect(sim) as connection:
        connection.sendall(post("[[sim: reset]]"))
        with pytest.raises(ConnectionResetError):
            connection.recv(10)


def test_a_cut_body_is_shorter_than_promised(sim) -> None:
    with connect(sim) as connection:
        connection.sendall(post("[[sim: cut]] Hello"))
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    promised = promised_length(head)
    assert 0 < len(body) < promised
    assert sim.ledger()["cut"] == 1


def test_a_slow_body_comes_in_pieces_and_whole(sim) -> None:
    with connect(sim) as connection:
        connection.sendall(post("[[sim: slow=0.1]] Hello"))
        pieces: list[bytes] = []
        while not pieces or not pieces[-1].endswith(b"}}}"):
            pieces.append(connection.recv(65536))
    assert len(pieces) > 3
    body = b"".join(pieces).partition(b"\r\n\r\n")[2]
    assert json.loads(body)["choices"]


def test_a_client_that_leaves_a_stalled_call_frees_its_slot(sim) -> None:
    sim.reset(Profile(slots=1))
    with connect(sim) as stalled, connect(sim) as waiting:
        stalled.sendall(post("[[sim: stall]]"))
        until(lambda: sim.ledger()["requests"] == 1)
        waiting.sendall(post("Hello"))
        until(lambda: sim.ledger()["queued"] == 1)
        stalled.close()
        assert read_answer(waiting)[0] == 200
    books = sim.ledger()
    assert (books["abandoned"], books["answers"], books["queued"]) == (1, 1, 0)


def test_a_client_that_leaves_the_queue_is_not_served(sim) -> None:
    sim.reset(Profile(slots=1))
    with connect(sim) as stalled:
        stalled.sendall(post("[[sim: stall]]"))
        until(lambda: sim.ledger()["requests"] == 1)
        with connect(sim) as leaving:
            leaving.sendall(post("Hello"))
            until(lambda: sim.ledger()["queued"] == 1)
        until(lambda: sim.ledger()["queued"] == 0)
    until(lambda: sim.ledger()["abandoned"] == 2)
    assert sim.ledger()["answers"] == 0


def test_limits_and_their_headers_hold_on_the_wire(sim) -> None:
    sim.reset(PROFILES["openai"].replace(rpm=60, depth=2, latency=PROFILES["free"].latency))
    with connect(sim) as connection:
        answers = []
        for n in range(3):
            connection.sendall(post(f"{n}"))
            answers.append(read_answer(connection))
    assert [status for status, _, _ in answers] == [200, 200, 429]
    assert "x-ratelimit-limit-requests: 2\r\n" in answers[0][1]
    assert "retry-after-ms: " in answers[2][1]
    assert sim.ledger()["throttled"] == 1


def test_a_burst_of_a_thousand_connections_is_served(sim) -> None:
    sim.reset(Profile(latency=PROFILES["free"].latency, answer_chars=20))
    host, port = sim.url.removeprefix("http://").split(":")

    async def one(n: int) -> Any:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(post(f"{n}", "Connection: close\r\n"))
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.startswith(b"HTTP/1.1 200 OK")

    async def burst() -> Any:
        return await asyncio.gather(*map(one, range(1000)))

    assert all(asyncio.run(burst()))
    books = sim.ledger()
    assert (books["answers"], books["prompts_answered"]) == (1000, 1000)


def test_pages_are_served_with_an_index(sim) -> None:
    assert get(sim, "/pages/dam.html")[2] == b"<h1>The dam</h1>"
    assert get(sim, "/pages/dam")[0] == 200
    assert b'href="/pages/dam.html"' in get(sim, "/pages/")[2]
    assert get(sim, "/pages/missing")[0] == 404
    assert get(sim, "/pages/../../etc/passwd")[0] == 404
    assert sim.ledger()["pages"] == 5


def test_a_person_can_read_the_books(sim) -> None:
    overview = get(sim, "/sim/")[2].decode()
    assert "0 requests" in overview
    assert get(sim, "/sim/elsewhere")[0] == 404
    assert get(sim, "/favicon.ico")[0] == 404


def test_a_reset_cuts_off_calls_under_way(sim) -> None:
    with connect(sim) as connection:
        connection.sendall(post("[[sim: stall]]"))
        until(lambda: sim.ledger()["requests"] == 1)
        sim.reset()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(10) == b""
    assert sim.ledger()["requests"] == 0


def test_serve_runs_on_the_callers_loop_and_closes_cleanly() -> None:
    async def main() -> Any:
        provider = SimulatedProvider(Profile(), seed=1)
        server = await serve(provider)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(post("Hello"))
        head = await reader.readuntil(b"\r\n\r\n")
        await server.aclose()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()
        return head, server.provider.ledger.answers

    head, answers = asyncio.run(main())
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert answers == 1


def test_the_server_dies_with_its_parent() -> None:
    script = (
        "import time\nfrom flowpool.simulator import SimServer\n"
        "with SimServer() as sim:\n    print(sim.url, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as parent:
        assert parent.stdout
        port = int(parent.stdout.readline().rsplit(b":", 1)[1])
        assert listens(port)
        parent.kill()
    until(lambda: not listens(port))


def listens(port: int) -> Any:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_for_a_person_it_says_how_to_use_it_and_what_happened() -> None:
    command = [sys.executable, "-m", "flowpool.simulator", "--port=0", "--profile=ollama"]
    with subprocess.Popen(
        [*command, "--latency=0", "--faults=500=0.0"],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(6)]
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert "ollama" in lines[0]
    assert re.search(r"export OPENAI_BASE_URL=http://127\.0\.0\.1:\d+/v1", lines[1])
    assert "0 requests" in rest
    assert process.returncode == 0


def test_what_cannot_be_served_is_said_in_one_line() -> None:
    command = [sys.executable, "-m", "flowpool.simulator", "--profile=skynet"]
    ended = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: profile 'skynet': use one of")
