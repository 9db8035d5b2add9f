"""Costly figures are found anew no more often than they are worth."""

from __future__ import annotations

from flowpool.watch.paced import SHARE, STANDS, Paced


class Figure:
    """A figure that takes `seconds` to find, of something at `version`."""

    def __init__(self) -> None:
        self.now, self.seconds, self.version, self.found = 100.0, 0.0, 1, 0
        self.get = Paced(self._find, lambda: self.version, lambda: self.now)

    def _find(self) -> int:
        self.now += self.seconds
        self.found += 1
        return self.found


def test_a_figure_of_what_hasnt_changed_is_never_found_again() -> None:
    figure = Figure()
    assert [figure.get(), figure.get()] == [1, 1]
    figure.now += 1e6
    assert figure.get() == 1


def test_one_that_took_long_stands_so_long_that_it_takes_its_share_of_the_time() -> None:
    figure = Figure()
    figure.seconds = 3.0
    figure.get()
    figure.version += 1
    figure.now += 0.9 * 3.0 / SHARE
    assert figure.get() == 1
    figure.now += 0.2 * 3.0 / SHARE
    assert figure.get() == 2


def test_one_that_takes_nothing_is_found_again_soon() -> None:
    figure = Figure()
    figure.get()
    figure.version += 1
    assert figure.get() == 1
    figure.now += STANDS
    assert figure.get() == 2
