"""`flowpool demo` on the embedded provider: real documents over real sockets, one by one and pooled.

Every figure that is printed was measured in this very run; latencies are scaled, and it says so.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from flowpool.chain import Chain
from flowpool.demo import corpus, jobs
from flowpool.demo.jobs import Item, Timed
from flowpool.demo.report import comparison, results_file, write_results
from flowpool.demo.screen import WIDTH, DemoScreen, columns, shorten
from flowpool.model import Model
from flowpool.pool import DONE, Pool
from flowpool.results import Results
from flowpool.simulator import Fixed, SimServer
from flowpool.skill import Skill

# Seconds of a typical call and page, and how many times faster they are here, so that the slow way fits a minute.
CALL, PAGE, SCALE = 2.0, 0.5, 20
# Texts among which failures are planted, and summaries that are shown at the end.
FAILING, SHOWN = 20, 3
# What four of the prompts tell the provider to do. With one retry, only the first is healed by it.
PLANTED = (
    "[[sim: 429 retry-after=0.2 times=1]]",
    "[[sim: 500 times=2]]",
    "[[sim: 502 times=2]]",
    "[[sim: 400 times=1]]",
)
_HEAD, _WIDTHS = ("job", "way", "took", "items/s", "at once"), (36, 13, 8, 7, 7)


class Books:
    """The provider's own counts, added up over the jobs; each job starts with an empty ledger."""

    def __init__(self, sim: SimServer) -> None:
        self._sim = sim
        self.requests = self.answers = self.again = self.pages = 0

    @property
    def calls(self) -> int:
        """The calls of the job under way."""
        calls: int = self._sim.ledger()["requests"]
        return calls

    def close_job(self) -> int:
        """Adds the job that ended; returns the most calls that it had in flight."""
        books = self._sim.ledger()
        self._sim.reset()
        self.requests += books["requests"]
        self.answers += books["answers"]
        self.again += books["answered_again"]
        self.pages += books["pages"]
        peak: int = books["peak_in_flight"]
        return peak


class Stage:
    """What all parts of the demo need: the screen, the provider's books, and what was timed so far."""

    def __init__(self, screen: DemoScreen, books: Books) -> None:
        self.screen = screen
        self.books = books
        self.timed: list[Timed] = []

    def one_by_one(self, job: str, runner: Skill | Chain, items: list[Item]) -> None:
        with self.screen.working(f"{job}, {jobs.LOOP}", len(items)) as tell:
            _, seconds = jobs.one_by_one(runner, items, tell)
        self._note(job, len(items), jobs.LOOP, seconds)

    def pooled(
        self,
        job: str,
        runner: Skill | Chain,
        items: list[Item],
        max_flows: Any,
        way: str = jobs.POOL,
    ) -> Results:
        with self.screen.working(f"{job}, {way}", len(items)) as tell:
            results, seconds = jobs.pooled(runner, items, tell, max_flows)
        self._note(job, len(items), way, seconds)
        if results.errors:
            self.screen.say(f"{len(results.errors)} failed, the first with: {results.errors[0]}")
        return results

    def _note(self, job: str, items: int, way: str, seconds: float) -> None:
        timed = Timed(job, items, way, seconds, self.books.close_job())
        self.timed.append(timed)
        self.screen.line(columns(timed.cells(), _WIDTHS, left=2))


def run_demo(output: Path, pages: int, seed: int, scale: float = SCALE) -> int:
    """Runs the demo and prints it; returns the exit code.

    output: a directory for the results, made if it isn't there. pages: how many to fetch, at most those
    there are. seed: chooses the items that fail. scale: how many times faster the provider is than a
    typical one.
    """
    target = results_file(output)
    pages = min(pages, len(corpus.pages()))
    screen = DemoScreen()
    jobs.bypass_proxies(os.environ)
    with tempfile.TemporaryDirectory(prefix="flowpool-demo-") as folder:
        jobs.write_pages(Path(folder))
        latency = Fixed(CALL / scale)
        with SimServer(
            latency=latency, seed=seed, pages_dir=folder, page_latency=PAGE / scale
        ) as sim:
            stage = Stage(screen, Books(sim))
            model = Model("flowpool-sim", base_url=f"{sim.url}/v1")
            summarise = jobs.summariser(model)
            _introduce(screen, sim.url, scale)
            _texts(stage, summarise)
            items = jobs.page_items(pages, sim.url)
            results = _pages(stage, summarise, items)
            _failures(stage, summarise, seed)
            write_results(target, items, results)
            _conclude(stage, target, results)
    return 0


def _introduce(screen: DemoScreen, url: str, scale: float) -> None:
    screen.line("flowpool demo: the same work, one item after another and pooled\n")
    screen.say(
        f"The provider is flowpool-sim: a process of its own at {url}, which serves real documents and an "
        "embedded model that answers with extracts of them. It is no LLM, and needs no key."
    )
    screen.say(
        f"A call takes {CALL / scale:g} s and a page {PAGE / scale:g} s: 1/{scale:g} of a typical {CALL:g} s and "
        f"{PAGE:g} s, so that the slow way fits into a minute too. All else takes its real time."
    )
    screen.line("")
    screen.line(columns(_HEAD, _WIDTHS, left=2))


def _texts(stage: Stage, summarise: Skill) -> None:
    few, many = jobs.text_items(5), jobs.text_items(50)
    job = "5 texts: summarise"
    stage.one_by_one(job, summarise, few)
    stage.pooled(job, summarise, few, 5)
    job = "50 texts: summarise"
    stage.one_by_one(job, summarise, many)
    stage.pooled(job, summarise, many, 10, jobs.TENS)
    stage.pooled(job, summarise, many, 50)


def _pages(stage: Stage, summarise: Skill, items: list[Item]) -> Results:
    reader = jobs.page_reader(summarise)
    job = f"{len(items)} pages: {reader.name}"
    stage.one_by_one(job, reader, items)
    return stage.pooled(job, reader, items, "auto")


def _failures(stage: Stage, summarise: Skill, seed: int) -> None:
    """Plants failures, shows what became of them, and mends them."""
    screen = stage.screen
    items = jobs.text_items(FAILING)
    for index, directive in zip(failing_items(seed), PLANTED, strict=True):
        items[index]["text"] += f"\n\n{directive}"
    screen.line("")
    screen.say(
        f"Now {FAILING} texts, {len(PLANTED)} of which make the provider fail: one answers 429 (too fast) and "
        "heals with a retry, three fail for longer than this pool's one retry lasts."
    )
    pool = Pool(summarise, items, retries=1, progress=False)
    results = pool.run()
    screen.line(f"pool.run()   {pool.status}")
    for record in results.failed:
        attempts = _times(record.attempts, "attempt")
        error = f"{type(record.error).__name__} ({attempts}): {record.error}"
        screen.line(shorten(f"items[{record.index}] {error}", WIDTH, indent=2))
    for record in results.records:
        if record.status is DONE and record.attempts > 1:
            screen.line(f"  items[{record.index}] done, at attempt {record.attempts}")
    before = stage.books.calls
    pool.retry()
    calls = stage.books.calls - before
    screen.line(f"pool.retry() {pool.status}")
    screen.line(f"  {_times(calls, 'call')} made: what was done isn't asked, or paid, again")
    stage.books.close_job()


def failing_items(seed: int) -> list[int]:
    """The indices of the texts that make the provider fail, one for each planted failure."""
    return sorted(Random(seed).sample(range(FAILING), len(PLANTED)))


def _times(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _conclude(stage: Stage, target: Path, results: Results) -> None:
    screen, books = stage.screen, stage.books
    screen.line("")
    comparison(screen, stage.timed)
    screen.line("")
    screen.say(
        f"By the provider's own books: {books.requests:,} calls, {books.answers:,} answered, "
        f"{books.again:,} answered twice within a job; {books.pages:,} pages served."
    )
    screen.say(
        f"The summaries are in {target}. They are by flowpool-sim, an embedded model that extracts sentences, "
        "not by an LLM. The first:"
    )
    for page, summary in zip(corpus.pages()[:SHOWN], results, strict=False):
        screen.line(shorten(f"{page.title}: {summary}", WIDTH, indent=2))
    screen.line("\nNext:")
    screen.line("  flowpool demo --model gpt-5-mini      the same on a real model, with your key")
    screen.line("  flowpool run RUNNER.yaml --input rows.csv --output out.jsonl   your own rows")
