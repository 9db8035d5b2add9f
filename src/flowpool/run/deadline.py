"""The moment at which a run ends whatever its steps are doing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `end` after so many seconds, and each second from then on: some code swallows its cancellation.

    What swallows every one is given up after `TRIES`: `give_up` ends the run without it. While it is held, the time
    stands still.
    """

    # Seconds between two tries: seldom enough to cost nothing, soon enough for who waits.
    AGAIN = 1.0
    # A step that tidies up is cut in it by each try: so many are enough for one that means to end.
    TRIES = 5

    def __init__(
        self, seconds: float, end: Callable[[str], None], give_up: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + seconds
        self._reason = f"the run's deadline of {seconds:g} s passed"
        self._end = end
        self._give_up = give_up
        self._tries = 0
        self._left: float | None = None  # seconds, while it is held
        self._timer = self._loop.call_at(self._at, self._insist)

    def ends(self) -> bool:
        """Ends the run if its time is over. For those who run while the loop is too busy to say so."""
        is_over = self._left is None and self._loop.time() >= self._at
        if is_over:
            self._end(self._reason)
        return is_over

    def hold(self) -> None:
        """Ends nothing until `go`, which gives as many seconds as are left now."""
        if self._tries == 0 and self._left is None:
            self._left = self._at - self._loop.time()
            self._timer.cancel()

    def go(self) -> None:
        """The time goes on."""
        if self._left is not None:
            self._at = self._loop.time() + self._left
            self._left = None
            self._timer = self._loop.call_at(self._at, self._insist)

    def close(self) -> None:
        self._timer.cancel()

    def _insist(self) -> None:
        if self._tries > self.TRIES:
            self._give_up()
            return
        self._tries += 1
        self._timer = self._loop.call_later(self.AGAIN, self._insist)
        self._end(self._reason)
