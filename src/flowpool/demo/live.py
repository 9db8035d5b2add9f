"""`flowpool demo --model NAME`: a small job on a real model. Says what it will cost, and what it did cost.

The web pages still come from this machine; nothing is fetched from anyone else.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from flowpool import prices
from flowpool.chain import Chain
from flowpool.demo import corpus, jobs
from flowpool.demo.jobs import Item, Timed
from flowpool.demo.report import comparison, results_file, write_results
from flowpool.demo.screen import WIDTH, DemoScreen, columns, shorten
from flowpool.errors import FlowpoolError
from flowpool.model import Model
from flowpool.results import Results
from flowpool.simulator import SimServer
from flowpool.skill import Skill
from flowpool.values import NO_USAGE, Usage
from flowpool.views.words import dollars

# Texts of the two jobs: few enough to cost cents.
FEW, MANY = 5, 20
# About, in English; a sentence and a half is the answer.
_CHARS_A_TOKEN, _ANSWER_TOKENS = 4, 80
_HEAD, _WIDTHS = ("job", "way", "took", "items/s"), (36, 13, 9, 7)


class NoAnswer(FlowpoolError):
    """Not one call of a job was answered: there is nothing to compare."""


def run_live_demo(name: str, output: Path, pages: int) -> int:
    """Runs the demo on the model `name`, with its key from the environment; returns the exit code."""
    model = Model(name)
    model.endpoint(os.environ)  # refuses now, in one line, what lacks a key
    target = results_file(output)
    pages = min(pages, len(corpus.pages()))
    screen = DemoScreen()
    jobs.bypass_proxies(os.environ)
    with tempfile.TemporaryDirectory(prefix="flowpool-demo-") as folder:
        jobs.write_pages(Path(folder))
        with SimServer(pages_dir=folder) as site:
            try:
                _Live(screen, model).run(target, jobs.page_items(pages, site.url))
            except NoAnswer as error:
                screen.say(str(error))
                return 1
    return 0


class _Live:
    """One run of the live demo, and what it has used so far."""

    def __init__(self, screen: DemoScreen, model: Model) -> None:
        self._screen = screen
        self._model = model
        self._usage = NO_USAGE
        self._cost: float | None = None
        self._timed: list[Timed] = []

    def run(self, target: Path, pages: list[Item]) -> None:
        summarise = jobs.summariser(self._model)
        reader = jobs.page_reader(summarise)
        few, many = jobs.text_items(FEW), jobs.text_items(MANY)
        self._introduce(2 * len(few) + 3 * len(many) + 2 * len(pages))
        self._job(f"{FEW} texts: summarise", summarise, few)
        self._job(f"{MANY} texts: summarise", summarise, many, by_tens=True)
        results = self._job(f"{len(pages)} pages: {reader.name}", reader, pages)
        write_results(target, pages, results)
        self._conclude(target, results)

    def _introduce(self, calls: int) -> None:
        screen, model = self._screen, self._model
        screen.line("flowpool demo: the same work, one item after another and pooled\n")
        texts = corpus.texts()
        tokens = sum(map(len, texts)) // len(texts) // _CHARS_A_TOKEN * calls
        rates = prices.rates(model.provider, model.model)
        cost = (
            "its price is unknown here"
            if rates is None
            else f"about {dollars(rates.cost(Usage(tokens, _ANSWER_TOKENS * calls)))}, by estimate"
        )
        screen.say(
            f"The model is {model.model} at {model.provider}. This makes {calls} calls with about "
            f"{tokens:,} tokens to read: {cost} (more if it reasons). "
            "One by one is a pool of one at a time here. Ctrl-C ends it."
        )
        screen.line("")
        screen.line(columns(_HEAD, _WIDTHS, left=2))

    def _job(
        self, job: str, runner: Skill | Chain, items: list[Item], *, by_tens: bool = False
    ) -> Results:
        """Runs a job each way; the results are the pooled ones."""
        # A pool of one at a time is a loop, but its results know their tokens.
        self._measure(job, runner, items, jobs.LOOP, 1)
        if by_tens:
            self._measure(job, runner, items, jobs.TENS, 10)
        return self._measure(job, runner, items, jobs.POOL, len(items))

    def _measure(
        self, job: str, runner: Skill | Chain, items: list[Item], way: str, max_flows: int
    ) -> Results:
        screen = self._screen
        with screen.working(f"{job}, {way}", len(items)) as tell:
            results, seconds = jobs.pooled(runner, items, tell, max_flows)
        self._usage += results.usage
        if results.cost is not None:
            self._cost = (self._cost or 0.0) + results.cost
        errors = results.errors
        if len(errors) == len(items):
            raise NoAnswer(f"No call was answered; the first: {_in_words(errors[0])}")
        timed = Timed(job, len(items), way, seconds)
        self._timed.append(timed)
        screen.line(columns(timed.cells(), _WIDTHS, left=2))
        if errors:
            screen.say(f"{len(errors)} failed, the first with {_in_words(errors[0])}")
        return results

    def _conclude(self, target: Path, summaries: list[Any]) -> None:
        screen, used = self._screen, self._usage
        screen.line("")
        comparison(screen, self._timed)
        screen.line("")
        cost = "" if self._cost is None else f", which cost about {dollars(self._cost)}"
        screen.say(
            f"{used.input_tokens:,} tokens were read and {used.output_tokens:,} written{cost}."
        )
        screen.line(f"The summaries are in {target}. One of them, by {self._model.model}:")
        screen.line(shorten(str(next(filter(None, summaries), "")), WIDTH, indent=2))


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
