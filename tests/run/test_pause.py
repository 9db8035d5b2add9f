"""How long a run was paused."""

from __future__ import annotations

from flowpool.run.pause import Pause


def test_pauses_add_up_also_while_one_is_on() -> None:
    now = 10.0
    pause = Pause(lambda: now)
    assert pause.seconds() == 0.0
    pause.begin()
    now = 13.0
    assert pause.seconds() == 3.0
    assert pause.end() == 3.0
    now = 20.0
    assert pause.seconds() == 3.0
    pause.begin()
    now = 25.0
    assert (pause.seconds(), pause.end(), pause.seconds()) == (8.0, 5.0, 8.0)
