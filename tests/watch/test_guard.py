"""Who may have the page, and who may change a run by it."""

from __future__ import annotations

import pytest

from flowpool.watch.guard import TOKEN_HEADER, is_own, may_change, part_of

HOST = {"host": "127.0.0.1:4000"}


@pytest.mark.parametrize("path", ["/", "/secret", "//secret/", "/secre/", "/secret2/", "/é/x", ""])
def test_a_path_without_the_token_has_no_part(path: str) -> None:
    assert part_of(path, "secret") is None


@pytest.mark.parametrize("host", ["127.0.0.1:4000", "localhost:80", "LOCALHOST", "[::1]:4000"])
def test_this_machine_by_name_may_ask_also_through_a_forwarded_port(host: str) -> None:
    assert is_own({"host": host})


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:4000",
        "127.0.0.1.evil.example",
        "",
        "127.0.0.1:4000@evil",
        "localhost.",
        "127.0.0.1:4000, evil",
    ],
)
def test_another_name_that_leads_here_may_not(host: str) -> None:
    assert not is_own({"host": host})


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:4000", "http://127.0.0.1:1"]
)
def test_another_sites_page_may_not(origin: str) -> None:
    assert not is_own({**HOST, "origin": origin})


def test_only_who_has_the_token_in_a_header_may_change() -> None:
    own = {**HOST, "origin": "http://127.0.0.1:4000"}
    assert may_change({**own, TOKEN_HEADER: "secret"}, "secret")
    assert not may_change(own, "secret")
    assert not may_change({**own, TOKEN_HEADER: "other"}, "secret")
    assert not may_change({**own, TOKEN_HEADER: "secret", "sec-fetch-site": "cross-site"}, "secret")
