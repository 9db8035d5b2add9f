"""Worlds as they are written and drawn, and the oracle's time for their work."""

from __future__ import annotations

import pytest

from flowpool.errors import InvalidInput
from flowpool.worlds import KINDS, draw_scene


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_written_in_numbers_is_the_same_scene(kind: str) -> None:
    for seed in range(5):
        scene = draw_scene(kind, seed)
        again = draw_scene(scene.spec, seed)
        assert again.spec == scene.spec
        assert again.words == scene.words
        assert again.calls() == scene.calls()
        assert again.oracle() == scene.oracle()


@pytest.mark.parametrize("kind", KINDS)
def test_each_world_of_a_scene_has_the_same_luck(kind: str) -> None:
    scene = draw_scene(kind, 3)
    one, other = scene.world(), scene.world()
    calls = scene.calls()[:100]
    assert [one.offer(n * 0.01, call) for n, call in enumerate(calls)] == [
        other.offer(n * 0.01, call) for n, call in enumerate(calls)
    ]


def test_given_numbers_are_taken_and_ranges_drawn_from() -> None:
    assert "most=20 " in draw_scene("cap most=20", 1).spec
    drawn = {draw_scene("cap most=4..8", seed).spec.split()[1] for seed in range(50)}
    assert drawn == {f"most={n}" for n in range(4, 9)}


def test_two_mechanisms_may_stand_behind_one_address() -> None:
    scene = draw_scene("cap most=20 latency=0.2 sigma=0 items=600 + chance share=0.1", 1)
    assert "at most 20 in flight" in scene.words
    assert "10.0%" in scene.words
    assert len(scene.world().gates) == 2


def test_any_world_is_one_of_any_kind_or_of_two() -> None:
    kinds = {len(draw_scene("any", seed).parts) for seed in range(30)}
    assert kinds == {1, 2}


def test_only_worlds_with_an_endless_queue_refuse_nothing() -> None:
    calm = {kind for kind in KINDS if not draw_scene(kind, 1).refuses}
    assert calm == {"calm", "slots", "halved", "batching"}


@pytest.mark.parametrize(
    ("spec", "fix"),
    [
        ("caps most=4", "use one of calm, bucket"),
        ("cap most", "is no NAME=VALUE"),
        ("cap least=4", "no parameter 'least'; it has most"),
        ("cap most=many", "write a number"),
        ("chance status=404", "use one of 429, 503, 529"),
        ("slots + batching", "two kinds of server"),
        ("", "write KIND NAME=VALUE"),
    ],
)
def test_what_cannot_be_read_says_how_to_write_it(spec: str, fix: str) -> None:
    with pytest.raises(InvalidInput, match=fix):
        draw_scene(spec, 0)


def test_work_of_a_wide_spread_varies_a_hundredfold_around_the_same_mean() -> None:
    narrow = [call.input for call in draw_scene("calm items=2000", 1).calls()]
    wide = [call.input for call in draw_scene("calm items=2000 spread=10", 1).calls()]
    assert max(wide) / min(wide) > 90
    assert sum(wide) / len(wide) == pytest.approx(100, rel=0.05)
    assert sum(narrow) / len(narrow) == pytest.approx(100, rel=0.02)
