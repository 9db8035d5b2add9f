"""Where items come from: how far they are read, in which thread, and what is kept for a later run."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flowpool import Pool, Status
from flowpool.errors import InvalidInput
from flowpool.run.source import AsyncSource, Source, ThreadSource
from flowpool.store.reading import Reader


async def taken(source: Source, count: int) -> list[Any]:
    return [await source.take_later() for _ in range(count)]


async def opened(source: Source, count: int) -> list[Any]:
    source.open()
    try:
        return await taken(source, count)
    finally:
        await source.close(False)


def test_items_are_numbered_and_put_back_ones_come_first_in_order() -> None:
    source = Source(iter("abc"), 3)
    assert [source.take() for _ in range(2)] == [(0, "a"), (1, "b")]
    source.put_back([(1, "b"), (0, "a")])
    assert (source.left, source.again) == (3, [(0, "a"), (1, "b")])
    assert [source.take() for _ in range(4)] == [(0, "a"), (1, "b"), (2, "c"), None]
    assert source.left == 0


def test_an_iterator_is_read_in_one_thread_that_is_not_the_loops() -> None:
    idents = set()

    def rows() -> Any:
        for n in range(20):
            idents.add(threading.get_ident())
            yield n

    source = ThreadSource(rows())
    assert asyncio.run(opened(source, 21)) == [*enumerate(range(20)), None]
    assert len(idents) == 1
    assert threading.get_ident() not in idents


def test_no_more_is_read_than_is_waited_for() -> None:
    read = []

    def rows() -> Any:
        for n in range(100):
            read.append(n)
            yield n

    async def scene() -> Any:
        source = ThreadSource(rows())
        source.open()
        for _ in range(5):
            await asyncio.gather(*(source.take_later() for _ in range(4)))
        await source.close(False)

    asyncio.run(scene())
    assert len(read) == 20


def test_release_ends_every_wait_and_the_late_item_is_the_next_runs_first() -> None:
    come = threading.Event()

    def rows() -> Any:
        yield "a"
        come.wait(5)
        yield "b"
        yield "c"

    source = ThreadSource(rows())

    async def first() -> Any:
        source.open()
        waits = [asyncio.ensure_future(source.take_later()) for _ in range(3)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        source.release()
        results = await asyncio.gather(*waits)
        await source.close(False)
        return results

    assert sorted(asyncio.run(first()), key=str) == [(0, "a"), None, None]
    come.set()
    assert asyncio.run(opened(source, 3)) == [(1, "b"), (2, "c"), None]


def test_an_exception_comes_after_the_items_before_it_and_once() -> None:
    def rows() -> Any:
        yield "a"
        raise LookupError("line 2")

    async def scene(source) -> Any:
        source.open()
        assert await source.take_later() == (0, "a")
        with pytest.raises(LookupError):
            await source.take_later()
        assert await source.take_later() is None
        await source.close(False)

    async def later() -> Any:
        for row in rows():
            yield row

    asyncio.run(scene(ThreadSource(rows())))
    asyncio.run(scene(AsyncSource(later())))


def test_an_async_source_is_read_one_by_one_and_goes_on_in_the_next_run() -> None:
    async def rows() -> Any:
        for n in range(4):
            await asyncio.sleep(0.001)
            yield n

    async def scene() -> Any:
        source = AsyncSource(rows())
        source.open()
        wait = asyncio.ensure_future(source.take_later())
        await asyncio.sleep(0)
        source.release()
        assert await wait is None
        await source.close(False)
        return await opened(source, 5)

    assert asyncio.run(scene()) == [(0, 0), (1, 1), (2, 2), (3, 3), None]


def test_an_async_read_that_was_cut_is_said_not_swallowed() -> None:
    async def rows() -> Any:
        await asyncio.sleep(60)
        yield 1

    async def scene() -> Any:
        source = AsyncSource(rows())
        source.open()
        wait = asyncio.ensure_future(source.take_later())
        await asyncio.sleep(0.001)
        source.release()
        await source.close(True)
        await wait
        assert len(asyncio.all_tasks()) == 1
        source.open()
        with pytest.raises(InvalidInput, match="make a new Pool"):
            await source.take_later()

    asyncio.run(scene())


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, KeyboardInterrupt, BaseException])
def test_whatever_a_source_raises_is_no_end_of_its_items(kind: type[BaseException]) -> None:
    async def later() -> Any:
        yield "a"
        raise kind("line 2")

    def rows() -> Any:
        yield "a"
        raise kind("line 2")

    async def scene(source: Source) -> None:
        source.open()
        assert await source.take_later() == (0, "a")
        with pytest.raises(InvalidInput, match=f"reading the items raised {kind.__name__}"):
            await source.take_later()
        await source.close(False)

    def on_a_thread(make: Any) -> None:
        # As a pool's runs are: on the main thread a KeyboardInterrupt is the user's.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(scene(make()))).result(10)

    on_a_thread(lambda: AsyncSource(later()))
    on_a_thread(lambda: ThreadSource(rows()))


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, KeyboardInterrupt])
def test_a_run_of_a_source_that_breaks_is_not_complete(
    kind: type[BaseException], tmp_path: Path
) -> None:
    async def later() -> Any:
        for n in range(4):
            yield {"text": f"{n}"}
        raise kind

    pool = Pool(lambda text: text, later(), store=tmp_path / "run.db", progress=False)
    with pytest.raises(InvalidInput, match="reading the items raised"):
        pool.run()
    assert pool.status[Status.DONE] == 4
    with Reader(tmp_path / "run.db") as reader:
        assert not reader.runs()[0].complete
