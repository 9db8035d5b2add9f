"""The settings of a run: what each may be, how they are changed, and what a store keeps of them."""

from __future__ import annotations

from typing import Any

import pytest

from flowpool import Limits
from flowpool.errors import InvalidInput
from flowpool.pool import Pool
from flowpool.settings import Settings, restored

WRONG: list[tuple[str, Any, str]] = [
    ("max_flows", 0, 'use 1 or more, or "auto"'),
    ("max_flows", True, "use 1 or more"),
    ("timeout", 0, "use seconds above 0"),
    ("timeout", float("inf"), "use seconds above 0"),
    ("retries", -1, "use 0 or more"),
    ("retries", 1.5, "use 0 or more"),
    ("limits", {"rpm": 3}, "use Limits(rpm="),
    ("deadline", "60", "use seconds above 0"),
    ("on_error", "ignore", "use one of 'raise', 'stop', 'collect', 'skip'"),
    ("on_error", None, "use one of"),
    ("max_cost", 0.0, "use dollars above 0"),
    ("max_tokens_total", 0, "use 1 or more"),
    ("dedupe", "yes", "use True or False"),
]
RIGHT: dict[str, Any] = {
    "max_flows": 1,
    "timeout": 0.5,
    "retries": 0,
    "limits": Limits(rpm=3, concurrent=2),
    "deadline": 60.0,
    "on_error": "stop",
    "max_cost": 0.01,
    "max_tokens_total": 1,
    "dedupe": True,
}


@pytest.mark.parametrize(("name", "value", "fix"), WRONG)
def test_what_can_not_be_meant_is_refused_by_name_with_the_fix(
    name: str, value: Any, fix: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        Pool(len, [{"obj": "a"}], **{name: value})
    assert str(refused.value).startswith(f"{name}={value!r}: ")
    assert fix in str(refused.value)


@pytest.mark.parametrize("name", RIGHT)
def test_the_least_that_can_be_meant_is_taken(name: str) -> None:
    assert getattr(Settings.checked(**{name: RIGHT[name]}), name) == RIGHT[name]


def test_auto_is_no_number_of_flows() -> None:
    assert Settings.checked(max_flows="auto").max_flows is None


def test_a_change_of_none_leaves_a_setting_as_it_is() -> None:
    changed = Settings(max_cost=1.0, timeout=5.0).changed(max_cost=2.0, timeout=None)
    assert changed == Settings(max_cost=2.0, timeout=5.0)


def test_a_change_is_checked_too() -> None:
    with pytest.raises(InvalidInput, match="max_cost=-1: use dollars above 0"):
        Settings().changed(max_cost=-1)


def test_what_a_store_keeps_makes_the_same_settings_again() -> None:
    settings = Settings.checked(**RIGHT, tracing=True)
    kept = settings.stored()
    assert "tracing" not in kept, "how a run is traced is each process's own affair"
    assert Settings.checked(**restored(kept)) == Settings.checked(**RIGHT)


def test_settings_that_are_unset_are_not_kept_as_given() -> None:
    assert restored(Settings().stored()) == {
        "on_error": "collect",
        "dedupe": False,
        "constant_prompt": False,
        "on_empty": "ask",
    }
