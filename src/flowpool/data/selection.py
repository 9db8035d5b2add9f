"""Which rows of a source are wanted, and what their columns are called: `columns`, `where`, `sample`, `limit`."""

from __future__ import annotations

import random
from array import array
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import Struct

from flowpool.braces import near
from flowpool.data.filter import Condition, condition
from flowpool.data.reading import RowCursor
from flowpool.errors import InvalidInput, wrong_separator

Numbered = tuple[int, Any]


class Selection(Struct, frozen=True):
    """What is wanted of a source's rows, in this order: those that `where` holds for, of which a sample, renamed,
    of which `first` to `last`.

    `names` maps a column of the data to the variable that it becomes; `sample` is a number of rows (0: all) or
    a share below 1.
    """

    names: Mapping[str, str] = {}
    where: Condition | None = None
    sample: float = 0
    seed: int = 0
    first: int = 0
    last: int | None = None

    @property
    def is_all(self) -> bool:
        """Whether it changes nothing."""
        return not (self.names or self.where or self.sample or self.first or self.last is not None)

    def length(self, whole: int | None) -> int | None:
        """How many rows of `whole` it leaves, where that is known without reading them."""
        if whole is None or self.where is not None or 0 < self.sample < 1:
            return None
        count = min(whole, int(self.sample)) if self.sample else whole
        return max(0, (count if self.last is None else min(count, self.last)) - self.first)

    def columns(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """The variables that columns of these names become."""
        if names is None or not self.names:
            return names
        taken = set(self.names.values())
        kept = (self.names.get(name, None if name in taken else name) for name in names)
        return tuple(name for name in kept if name is not None)

    def lacks(self, columns: Collection[Any]) -> str:
        """What is wrong where one of the columns that get another name isn't there; else empty."""
        lacking = next((name for name in self.names if name not in columns), None)
        if lacking is None:
            return ""
        found = [*map(str, columns)]
        meant = near(str(lacking), found)
        fix = wrong_separator(found) or (meant and f"did you mean {meant!r}")
        there = ", ".join(found) or "none"
        return f"no column {lacking!r} (there are: {there}){fix and ': ' + fix}."

    def of(
        self, rows: Iterator[Any], reading: RowCursor, positions: array[int] | None
    ) -> Iterator[Any]:
        """The wanted ones of `rows`; where each stood is added to `positions`."""
        numbered: Iterator[Numbered] = enumerate(rows)
        if self.where is not None:
            numbered = self._matching(numbered, self.where, reading)
        if self.names:
            numbered = self._renamed(numbered, reading)
        if self.sample:
            numbered = self._sampled(numbered)
        try:
            for position, row in islice(numbered, self.first, self.last):
                if positions is not None:
                    positions.append(position)
                yield row
        finally:  # a file is closed as soon as enough of it was read
            if isinstance(rows, Generator):
                rows.close()

    def _matching(
        self, numbered: Iterable[Numbered], where: Condition, reading: RowCursor
    ) -> Iterator[Numbered]:
        for pair in numbered:
            try:
                holds = where(pair[1])
            except InvalidInput as error:
                reading.bad(str(error))
            except Exception as error:
                reading.bad(f"where raised {error!r}.")
            else:
                if holds:
                    yield pair

    def _renamed(self, numbered: Iterable[Numbered], reading: RowCursor) -> Iterator[Numbered]:
        names, taken = self.names, set(self.names.values())
        for position, row in numbered:
            if problem := self.lacks(row):
                reading.bad(problem)
                continue
            yield (
                position,
                {
                    names.get(name, name): value
                    for name, value in row.items()
                    if name in names or name not in taken
                },
            )

    def _sampled(self, numbered: Iterable[Numbered]) -> Iterator[Numbered]:
        chance = random.Random(self.seed)
        if self.sample < 1:
            return (pair for pair in numbered if chance.random() < self.sample)
        return _reservoir(numbered, int(self.sample), chance)


ALL = Selection()


def _reservoir(
    numbered: Iterable[Numbered], size: int, chance: random.Random
) -> Iterator[Numbered]:
    """`size` rows, each as likely as any other, in their order. Reads all rows and keeps `size`."""
    kept: list[Numbered] = []
    for count, pair in enumerate(numbered):
        if count < size:
            kept.append(pair)
        elif (slot := chance.randrange(count + 1)) < size:
            kept[slot] = pair
    return iter(sorted(kept, key=lambda pair: pair[0]))


def selection(
    columns: Mapping[str, str] | None,
    where: Any,
    sample: Any,
    seed: int,
    limit: Any,
) -> Selection:
    """The selection that these arguments of `read` mean; raises `InvalidInput` for one that can't be meant."""
    names = {}
    if columns is not None and not isinstance(columns, Mapping):
        raise InvalidInput(
            f"columns={columns!r}: use {{the prompt's variable: the data's column}}."
        )
    for variable, column in (columns or {}).items():
        if not isinstance(variable, str) or column in names:
            raise InvalidInput(
                f"columns={columns!r}: use {{the prompt's variable: the data's column}}."
            )
        names[column] = variable
    if where is not None and not callable(where):
        if not isinstance(where, str):
            raise InvalidInput(f"where={where!r}: use a condition in words or a function of a row.")
        where = condition(where)
    if sample is not None and not (_is_count(sample) or _is_share(sample)):
        raise InvalidInput(f"sample={sample!r}: use a number of rows, or a share such as 0.01.")
    first, last = _span(limit)
    return Selection(names, where, sample or 0, seed, first, last)


def _span(limit: Any) -> tuple[int, int | None]:
    if limit is None:
        return 0, None
    if _is_count(limit):
        return 0, limit
    if isinstance(limit, slice) and limit.step in (None, 1):
        first, last = limit.start or 0, limit.stop
        if _is_count(first + 1) and (last is None or (_is_count(last) and last > first)):
            return first, last
    raise InvalidInput(f"limit={limit!r}: use a number of rows, or slice(10, 20) for some of them.")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < 1
