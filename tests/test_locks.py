"""requirements/ has what pyproject.toml asks for, each package by version and hash, and names no registry."""

from __future__ import annotations

import re
import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
PACKAGES = runpy.run_path(str(PROJECT / "tools" / "packages.py"))
RECIPES = PACKAGES["RECIPES"]
_NAME = re.compile(r"^[A-Za-z0-9._-]+")


def lock_of(name: str) -> str:
    return (PROJECT / "requirements" / f"{name}.txt").read_text()


def versions_in(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE))


def plain(requirement: str) -> str:
    found = _NAME.match(requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def wanted_by(recipe: Any) -> Iterator[str]:
    for group in recipe.groups:
        yield from of_group(group)
    if recipe.project:
        yield from map(plain, PYPROJECT["project"]["dependencies"])
    for extra in recipe.extras:
        yield from of_extra(extra)


def of_extra(name: str) -> Iterator[str]:
    """An extra may ask for another: `flowpool[pages]`."""
    for wanted in PYPROJECT["project"]["optional-dependencies"][name]:
        other = re.fullmatch(r"flowpool\[(\w+)\]", wanted)
        yield from [plain(wanted)] if other is None else of_extra(other[1])


def of_group(name: str) -> Iterator[str]:
    for entry in PYPROJECT["dependency-groups"][name]:
        if isinstance(entry, str):
            yield plain(entry)
        else:
            yield from of_group(entry["include-group"])


@pytest.mark.parametrize("name", RECIPES)
def test_a_lock_has_every_package_that_is_asked_for(name: str) -> None:
    assert set(wanted_by(RECIPES[name])) <= versions_in(lock_of(name)).keys(), (
        "run: make lock KEEP=--keep"
    )


@pytest.mark.parametrize("name", RECIPES)
def test_each_package_of_a_lock_has_hashes_and_no_address(name: str) -> None:
    lock = lock_of(name)
    packages = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in lock


@pytest.mark.parametrize("name", [name for name in RECIPES if RECIPES[name].keeps_to])
def test_locks_of_one_environment_agree(name: str) -> None:
    ours, others = versions_in(lock_of(name)), versions_in(lock_of(RECIPES[name].keeps_to))
    assert {package: ours[package] for package in ours.keys() & others} == {
        package: others[package] for package in ours.keys() & others
    }


def test_uv_takes_packages_from_where_pip_is_told() -> None:
    listed = (
        ":env:.index-url='http://second.test/simple'\n"
        "global.index-url='http://first.test/simple'\n"
        "global.extra-index-url='http://a.test\\nhttp://b.test'\n"
        "install.find-links='/wheels /more'\n"
        "list.format='columns'\n"
    )
    assert PACKAGES["as_uv_has_it"](listed) == {
        "UV_DEFAULT_INDEX": "http://second.test/simple",
        "UV_INDEX": "http://a.test http://b.test",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    assert PACKAGES["as_uv_has_it"]("") == {}
