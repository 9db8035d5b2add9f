"""A user's script as strict type checkers see it. `tests/typing/test_script.py` has mypy read it; it isn't run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal, assert_type

from flowpool import Chain, Limits, Model, Pool, Record, Results, Skill, Status, read, tool


@dataclass
class Review:
    mood: Literal["good", "bad"]
    stars: int


model = Model("gpt-5-mini", options={"max_tokens": 100})
skill = Skill(model, prompt="Read this review: {text}", output=Review, retries=3)
text = Skill("claude-haiku-4-5", prompt="Summarise: {text}")
choice = Skill("gpt-5-mini", prompt="Spam? {text}", output={"choices": ["spam", "ham"]})
either = Skill("gpt-5-mini", prompt="Good? {text}", output=Literal["good", "bad"])

assert_type(skill, Skill[Review])
assert_type(text, Skill[str])
assert_type(choice, Skill[Any])
assert_type(either, Skill[Any])
assert_type(skill.run({"text": "Nice."}), Review)
assert_type(text.run({"text": "Nice."}), str)

pool = Pool(skill, read("reviews.csv"), limits=Limits(rpm=60), store="run.db")
assert_type(pool, Pool[Review])
results = pool.run()
assert_type(results, Results[Review | None])
assert_type(results[0], Review | None)
assert_type(results[:10], Results[Review | None])
assert_type(results.failed, list[Record[Review | None]])
whole = results.raise_if_incomplete()
assert_type(whole, Results[Review])
stars = [review.stars for review in whole]
for record in pool.stream(ordered=True):
    assert_type(record, Record[Review])
    assert_type(record.output, Review | None)
    if record.status is Status.DONE and record.output is not None:
        print(record.output.mood)
for review in pool.results:
    if review is not None:
        print(review.stars)


def report(records: list[Record[Any]], results: Results, record: Record) -> None:
    """Without an argument the outputs may be anything."""
    print(records, results, record)


@tool
def words(text: str, least: int = 0) -> int:
    """Counts the words of a text."""
    return max(least, len(text.split()))


@tool(max_flows=2)
async def page(url: str) -> str:
    """Gets a page."""
    await asyncio.sleep(0)
    return url


assert_type(words("to be"), int)
assert_type(words("to be", least=3), int)
assert_type(Pool(words, [{"text": "a"}]).run(), Results[int | None])
assert_type(Pool(page, [{"url": "a"}], 4).run(), Results[str | None])


def square(n: int) -> int:
    return n * n


async def cube(n: int) -> int:
    return n**3


assert_type(Pool(square, [{"n": 2}], progress=False).run().raise_if_incomplete(), Results[int])
assert_type(Pool(cube, [{"n": 2}]).run(), Results[int | None])

chain = Chain([(page, "text"), (skill, "review"), choice])
assert_type(Pool(chain, [{"url": "a"}]).run(), Results[Any | None])


async def main() -> None:
    assert_type(await page("https://a.test"), str)
    results = await Pool(text, [{"text": "a"}]).arun()
    assert_type(results, Results[str | None])
    async for record in Pool(text, [{"text": "a"}]).astream():
        assert_type(record.output, str | None)
    results.write("out.csv")


asyncio.run(main())
