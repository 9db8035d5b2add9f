"""Where the files are, for whom, and what their names tell."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowpool.sharing.directory import (
    cache_directory,
    fingerprint_of,
    make_private,
    read_salt,
    write_whole,
)
from flowpool.values import Endpoint, Secret


def endpoint(
    key: str = "key-canary", url: str = "http://h/v1", *headers: tuple[str, str]
) -> Endpoint:
    return Endpoint("openai", "openai-chat", url, Secret(key), headers)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_each_system_has_its_place_and_no_home_has_none() -> None:
    home = {"HOME": "/home/ann"}
    assert cache_directory(home, "linux") == Path("/home/ann/.cache/flowpool")
    assert cache_directory(home, "darwin") == Path("/home/ann/Library/Caches/flowpool")
    assert cache_directory({**home, "XDG_CACHE_HOME": "/c"}, "linux") == Path("/c/flowpool")
    assert cache_directory({**home, "XDG_CACHE_HOME": "c"}, "linux") == Path(
        "/home/ann/.cache/flowpool"
    )
    local = {"LOCALAPPDATA": "/local"}
    assert cache_directory(local, "win32") == Path("/local/flowpool/cache")
    assert cache_directory({}, "linux") is None
    assert cache_directory({}, "win32") is None


def test_two_users_have_two_directories() -> None:
    ann, bob = ({"HOME": f"/home/{name}"} for name in ("ann", "bob"))
    assert cache_directory(ann, "linux") != cache_directory(bob, "linux")


def test_a_directory_is_for_its_user_alone(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    make_private(directory)
    assert (mode(tmp_path / "a"), mode(directory)) == (0o700, 0o700)
    directory.chmod(0o777)
    make_private(directory)
    assert mode(directory) == 0o700


def test_another_users_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(PermissionError, match="another user's"):
        make_private(tmp_path)
    with pytest.raises(PermissionError, match="another user's"):
        make_private(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="is no directory"):
            make_private(path)


def test_a_file_is_put_in_place_whole_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_whole(path, b"first")
    write_whole(path, b"second", over=False)
    assert path.read_bytes() == b"first"
    write_whole(path, b"third")
    assert path.read_bytes() == b"third"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_salt_is_made_once_kept_and_mended(tmp_path: Path) -> None:
    salt = read_salt(tmp_path)
    assert len(salt) == 32
    assert read_salt(tmp_path) == salt
    (tmp_path / "salt").write_bytes(b"short")
    mended = read_salt(tmp_path)
    assert len(mended) == 32
    assert read_salt(tmp_path) == mended != salt
    assert mode(tmp_path / "salt") == 0o600


def test_those_who_make_the_salt_at_once_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        salts = set(threads.map(read_salt, [tmp_path / "flowpool"] * 8))
    assert len(salts) == 1


def test_a_file_system_without_links_has_a_salt_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert read_salt(tmp_path) == read_salt(tmp_path) == (tmp_path / "salt").read_bytes()


def test_without_a_place_the_salt_is_the_process_s(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert read_salt(None) == read_salt(tmp_path / "file" / "x")


def test_a_fingerprint_tells_limits_apart() -> None:
    salt = bytes(32)
    same = {fingerprint_of(salt, endpoint(), "m") for _ in range(2)}
    assert len(same) == 1
    assert len(same.pop()) == 16
    kinds = [
        fingerprint_of(salt, endpoint(), "m"),
        fingerprint_of(salt, endpoint(), "m2"),
        fingerprint_of(salt, endpoint("other"), "m"),
        fingerprint_of(salt, endpoint("key-canary", "http://h2/v1"), "m"),
        fingerprint_of(salt, endpoint("key-canary", "http://h/v1", ("x-account", "7")), "m"),
        fingerprint_of(salt, endpoint("key-canarym"), ""),
        fingerprint_of(bytes(31) + b"\x01", endpoint(), "m"),
    ]
    assert len(set(kinds)) == len(kinds)


def test_the_order_of_headers_makes_no_other_limit() -> None:
    one, two = ("x-a", "1"), ("x-b", "2")
    first = fingerprint_of(b"", endpoint("k", "http://h", one, two), "m")
    assert first == fingerprint_of(b"", endpoint("k", "http://h", two, one), "m")
