"""When the user has paused a run, and for how long: that time counts for no deadline, patience or rate."""

from __future__ import annotations

from collections.abc import Callable


class Pause:
    """On from `begin` to `end`, any number of times. `now` gives the time in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._since: float | None = None
        self._before = 0.0

    def begin(self) -> None:
        """The run is paused from here on."""
        self._since = self._now()

    def end(self) -> float:
        """The run goes on; returns the seconds that this pause took."""
        assert self._since is not None
        seconds = self._now() - self._since
        self._before += seconds
        self._since = None
        return seconds

    def seconds(self) -> float:
        """How long it was on so far, in all."""
        return self._before + (0.0 if self._since is None else self._now() - self._since)
