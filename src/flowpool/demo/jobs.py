"""The demo's jobs: what is run, and a clock around it. Knows no screen and no server."""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from flowpool.chain import Chain
from flowpool.demo import corpus
from flowpool.model import Model
from flowpool.pool import Pool
from flowpool.results import Results
from flowpool.skill import Skill
from flowpool.tools import fetch, to_markdown

Item = dict[str, str]
Tell = Callable[[int], None]
LOOP, TENS, POOL = "one by one", "ten at a time", "pooled"
PROMPT = "Summarise in one sentence:\n\n{text}"


class Timed(Struct, frozen=True):
    """A job that was run: how, and how long it took. `in_flight`: most calls at once, as the provider saw it."""

    job: str
    items: int
    way: str
    seconds: float
    in_flight: int | None = None

    def cells(self) -> tuple[str, ...]:
        """How a table shows it."""
        rate = self.items / self.seconds
        cells = (self.job, self.way, f"{self.seconds:.2f} s", f"{rate:,.{1 if rate < 100 else 0}f}")
        return cells if self.in_flight is None else (*cells, f"{self.in_flight:,}")


def summariser(model: Model) -> Skill:
    return Skill(model, prompt=PROMPT, name="summarise")


def page_reader(summarise: Skill) -> Chain:
    """Fetches a page of this machine, takes its text out and summarises that."""
    return Chain(
        [
            (fetch, "page", {"url": "source"}, {"allow_private": True}),
            (to_markdown, "text", {"source": "page"}),
            (summarise, "summary"),
        ],
        name="fetch, convert, summarise",
    )


def text_items(n: int) -> list[Item]:
    return [{"text": text} for text in corpus.texts(n)]


def page_items(n: int, site: str) -> list[Item]:
    return [{"source": f"{site}/pages/{page.name}"} for page in corpus.pages()[:n]]


def write_pages(folder: Path) -> None:
    """Writes every page of the demo's site as a file of HTML."""
    for page in corpus.pages():
        (folder / f"{page.name}.html").write_text(corpus.html(page), encoding="utf-8")


def bypass_proxies(environ: MutableMapping[str, str]) -> None:
    """Keeps a proxy of the environment from being asked for what is on this machine."""
    others = environ.get("no_proxy", environ.get("NO_PROXY", ""))
    environ["no_proxy"] = ",".join(filter(None, (others, "127.0.0.1")))


def one_by_one(runner: Skill | Chain, items: Sequence[Item], tell: Tell) -> tuple[list[Any], float]:
    """The outputs of a plain loop, and its seconds; `tell` is given the number done."""
    start = time.perf_counter()
    outputs = []
    for item in items:
        outputs.append(runner.run(item))
        tell(len(outputs))
    return outputs, time.perf_counter() - start


def pooled(
    runner: Skill | Chain, items: Sequence[Item], tell: Tell, max_flows: int | Literal["auto"]
) -> tuple[Results, float]:
    """The results of one pool, and its seconds."""
    start = time.perf_counter()
    pool = Pool(runner, items, max_flows, progress=lambda now: tell(now.done))
    return pool.run(), time.perf_counter() - start
