"""`pool.watch()` and `Pool(..., watch=True)`."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import subprocess
import sys
import urllib.request
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from tests.helpers import until

from flowpool import Pool
from flowpool.errors import InvalidInput
from flowpool.watch import serving

ITEMS = [{"text": f"text {n}"} for n in range(20)]


def upper(text: str) -> str:
    return text.upper()


def look(address: str) -> Any:
    with urllib.request.urlopen(f"{address}view", timeout=10) as answer:
        return json.loads(answer.read())


def test_a_pool_is_watched_before_and_after_its_run_at_one_address() -> None:
    pool = Pool(upper, ITEMS, name="loud")
    address = pool.watch()
    assert look(address)["verdict"] == "The run has not begun."
    pool.run()
    assert pool.watch() == address
    until(lambda: look(address)["verdict"] == "The run has ended.")


def test_nothing_is_opened_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    pool = Pool(upper, ITEMS)
    pool.watch()
    assert opened == []
    address = pool.watch(open=True)
    [file] = [Path(unquote(urlsplit(one).path)) for one in opened]
    assert urlsplit(opened[0]).scheme == "file"
    assert f'content="0; url={address}"' in file.read_text()


@pytest.mark.skipif(os.name != "posix", reason="no modes of files here")
def test_the_address_is_in_no_command_line_and_in_a_file_for_its_user_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    pool = Pool(upper, ITEMS)
    token = pool.watch(open=True).split("/")[3]
    file = Path(urlsplit(opened[0]).path)
    assert token not in opened[0]
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0
    del pool
    gc.collect()
    until(lambda: not file.parent.exists())


def test_in_a_notebook_the_address_is_a_link() -> None:
    address = serving.PageAddress('http://127.0.0.1:1/a"b/')
    assert 'href="http://127.0.0.1:1/a&quot;b/"' in address._repr_html_()


def test_watch_true_says_the_address_once_and_a_short_run_is_as_without(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pool = Pool(upper, ITEMS, watch=True, name="loud", progress=False)
    assert pool.run()[0] == "TEXT 0"
    assert pool.run()[0] == "TEXT 0"
    said = capsys.readouterr().err
    assert said == f"loud: Watch it at {pool.watch()}\n"


def test_a_stream_and_an_async_run_say_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(list(Pool(upper, ITEMS, watch=True, progress=False).stream())) == 20
    assert "Watch it at http://127.0.0.1:" in capsys.readouterr().err
    asyncio.run(Pool(upper, ITEMS, watch=True, progress=False).arun())
    assert "Watch it at http://127.0.0.1:" in capsys.readouterr().err


def test_a_run_that_cant_be_watched_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(serving, "PageServer", refuse)
    assert Pool(upper, ITEMS, watch=True, progress=False).run()[0] == "TEXT 0"
    assert "can't be watched: Too many open files" in capsys.readouterr().err


def test_the_page_ends_with_its_pool() -> None:
    pool = Pool(upper, ITEMS)
    url = urlsplit(pool.watch())
    assert url.port is not None
    del pool
    gc.collect()

    def is_refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", url.port), 5).close()
        except ConnectionRefusedError:
            return True
        except ConnectionError:  # it is about to be
            return False
        return False

    until(is_refused)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_serves_a_page_of_its_own_and_leaves_the_parents_alone() -> None:
    code = (
        "import os, sys, urllib.request\n"
        "from flowpool import Pool\n"
        "pool = Pool(str.upper, ['a'])\n"
        "address = pool.watch()\n"
        "child = os.fork()\n"
        "own = pool.watch()\n"
        "assert (own == address) == bool(child)\n"
        "assert urllib.request.urlopen(own + 'view', timeout=10).status == 200\n"
        "if not child: os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert urllib.request.urlopen(own + 'view', timeout=10).status == 200\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_watch_takes_true_or_false() -> None:
    with pytest.raises(InvalidInput, match=r"watch='yes': use True or False"):
        Pool(upper, ITEMS, watch="yes")  # type: ignore[call-overload]
