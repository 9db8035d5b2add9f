"""A run's data, as a store or a pool has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.made_run import BEGAN, MadeRun

from flowpool import Chain, Pool, Prices, Skill, Status
from flowpool.errors import InvalidInput
from flowpool.report.reading import run_in_store, run_of_session
from flowpool.store.file import open_store
from flowpool.store.reading import Reader
from flowpool.store.rows import Batch, EventRow
from flowpool.tools import fetch, to_markdown


def test_a_stores_run_has_all_that_the_store_says_of_it(made: Path) -> None:
    run = run_in_store(made)
    with Reader(made) as reader:
        info = reader.runs()[0]
        assert run.counts == reader.counts(info.id)
        assert run.spend.paid == pytest.approx(reader.spent(info.id).cost)
        assert len(run.attempts) == sum(1 for _ in reader.attempts(info.id))
        assert [(g.error, g.count) for g in run.errors] == [
            (one.error, one.count) for one in reader.troubles(info.id)
        ]
    assert len(run.items) == 400
    assert run.runner == "gpt-5-mini 'Sort this ticket: {ticket}'"
    assert run.source == "run.db"
    assert [event.kind for event in run.events] == ["begin", "change", "change", "end"]
    assert run.samples[-1].lanes[0].name == "openai/gpt-5-mini"
    assert run.bottlenecks[-1].fix == "a second key would halve the time"


def test_attempts_come_in_the_order_of_their_start(made: Path) -> None:
    starts = [attempt.started for attempt in run_in_store(made).attempts]
    assert starts == sorted(starts)


def test_cached_input_saved_what_it_would_have_cost_by_the_price_list(made: Path) -> None:
    run = run_in_store(made)
    assert run.usage.cached_input_tokens > 0
    assert run.spend.cached == pytest.approx(run.usage.cached_input_tokens * (0.25 - 0.025) / 1e6)
    assert run.spend.list_price == pytest.approx((run.spend.paid or 0.0) + run.spend.cached)


def test_every_group_of_errors_says_what_to_do(made: Path) -> None:
    assert {group.error: bool(group.fix) for group in run_in_store(made).errors} == dict.fromkeys(
        ("RateLimited", "BadRequest", "AttemptTimeout", "InvalidOutput"), True
    )


def test_items_that_had_ended_before_the_last_begin_were_recalled(tmp_path: Path) -> None:
    store = tmp_path / "run.db"
    MadeRun(50, failing=0.0).write(store)
    assert run_in_store(store).recalled == 0
    with open_store(store) as opened:
        opened.write(1, Batch(events=[EventRow(BEGAN + 3600.0, "begin", b"{}")]))
    run = run_in_store(store)
    assert run.recalled == 50
    assert run.spend.recalled == pytest.approx(run.spend.paid)


def test_a_chain_has_what_its_steps_gave_and_its_functions_by_name(tmp_path: Path) -> None:
    chain = Chain([(fetch, "page", {"url": "address"}), (to_markdown, "text", {"source": "page"})])
    pool = Pool(
        chain, [{"address": "nowhere"}], store=tmp_path / "run.db", retries=0, progress=False
    )
    pool.run()
    run = run_in_store(tmp_path / "run.db")
    assert run.runner == "fetch -> to_markdown"
    assert [(attempt.lane, attempt.model) for attempt in run.attempts] == [("fetch", "")]

    pool = Pool(
        Chain([(len, "size", {"obj": "word"}), (str, "text", {"object": "size"})]),
        [{"word": "ada"}],
        store=tmp_path / "other.db",
    )
    pool.run()
    assert list(run_in_store(tmp_path / "other.db").items[0].steps.values()) == [3]


def test_a_pool_without_a_store_has_its_items_and_no_attempts(simulate) -> None:
    sim = simulate()
    model = sim.model(prices=Prices(input=1.0, output=2.0))
    pool = sim.pool(Skill(model, prompt="{text}"), [{"text": "a"}, {"text": "[[sim: 400]]"}])
    sim.run(pool)
    run = run_of_session(pool._session, pool.runner)
    assert not run.has_attempts
    assert run.attempts == ()
    assert [item.status for item in run.items] == [Status.DONE, Status.FAILED]
    assert run.items[0].seconds == pytest.approx(1.0)
    assert [group.error for group in run.errors] == ["BadRequest"]
    assert run.spend.paid


def test_a_run_that_never_began_is_empty(simulate) -> None:
    pool = simulate().pool(items=2)
    run = run_of_session(pool._session, pool.runner)
    assert (run.began, run.ended) == (None, None)
    assert [item.status for item in run.items] == [Status.PENDING] * 2


def test_a_store_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no store" * 200)
    with pytest.raises(InvalidInput):
        run_in_store(tmp_path / "text.db")
