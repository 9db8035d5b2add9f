"""What a run's log says, a line of JSON an event: how items end, what failed, what is waited for and until when."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import threading
import time
import weakref
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.helpers import until

from flowpool import Chain, Limits, Pool, Spread, tool
from flowpool.errors import BadRequest, InvalidInput, InvalidOutput, RateLimited
from flowpool.record import Record
from flowpool.run.event_log import EventLog, as_json
from flowpool.simulator import Fixed
from flowpool.values import Prices, Status

KEY = "sk-canary-0123456789"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def upper(text: str) -> str:
    return text.upper()


def events(path: Path, kind: str | None = None) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [event for event in found if kind in (None, event["event"])]


def seconds_between(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def test_a_log_has_the_beginning_each_item_and_the_end(simulate, path: Path) -> None:
    sim = simulate()
    sim.run(sim.pool(items=3, max_flows=2, log=path, name="moods", limits=Limits(rpm=600)))
    begin, *items, end = (event for event in events(path) if event["event"] != "bottleneck")
    assert {event["run"] for event in (begin, *items, end)} == {"moods"}
    assert (begin["event"], begin["total"], begin["pid"]) == ("begin", 3, os.getpid())
    assert begin["settings"]["max_flows"] == 2
    assert begin["settings"]["limits"] == {"rpm": 600}
    assert [event["item"] for event in items] == [0, 1, 2]
    first = items[0]
    assert (first["status"], first["seconds"], first["attempts"]) == ("done", 1.0, 1)
    assert first["input_tokens"] > 0
    assert seconds_between(begin["at"], first["at"]) == 1.0
    assert (end["event"], end["done"], end["failed"], end["seconds"]) == ("end", 3, 0, 2.0)
    assert end["reason"] == ""
    assert datetime.fromisoformat(end["at"]).tzinfo is not None


def test_what_holds_the_run_back_is_in_it(simulate, path: Path) -> None:
    sim = simulate()
    sim.run(sim.pool(items=150, log=path, limits=Limits(rpm=60)))
    assert [event["words"] for event in events(path, "bottleneck")]
    assert events(path, "sample") == []


def test_a_lane_that_falls_ill_and_recovers_is_in_it(simulate, path: Path) -> None:
    sim = simulate(outages=((5.0, 40.0),))
    sim.run(sim.pool(items=100, max_flows=4, log=path))
    first, *_, last = events(path, "lane")
    assert (first["lane"], first["state"]) == ("custom/m", "outage")
    assert first["error"]
    assert (last["state"], last["error"]) == ("well", "")


def test_a_failed_attempt_says_what_it_waits_for_and_until_when(simulate, path: Path) -> None:
    sim = simulate()
    sim.run(sim.pool(items=[{"text": "[[sim: 500 times=2]] a"}], log=path, retries=3))
    first, second = events(path, "attempt")
    assert (first["item"], first["step"], first["status"]) == (0, "1.result", 500)
    assert (first["error"], first["seconds"], first["next"]) == ("ServerError", 0.0, "wait")
    assert seconds_between(first["at"], first["until"]) == pytest.approx(first["wait"], abs=0.002)
    assert seconds_between(first["until"], second["at"]) == pytest.approx(0.0, abs=0.01)
    assert events(path, "item")[0]["attempts"] == 3


def test_a_run_that_is_put_off_for_hours_says_until_when(simulate, path: Path) -> None:
    sim = simulate()
    sim.run(sim.pool(items=[{"text": "[[sim: 429 times=1 retry-after=14400]] a"}], log=path))
    [attempt] = events(path, "attempt")
    assert (attempt["next"], attempt["retry_after"]) == ("queue", 14400)
    assert seconds_between(attempt["at"], attempt["until"]) == pytest.approx(14400, abs=0.01)
    assert events(path, "item")[0]["status"] == "done"


@pytest.mark.parametrize(
    ("fault", "settings", "why"),
    [
        ("400", {}, "not retryable"),
        ("500", {"retries": 1}, "retries used up"),
        ("500", {"retries": 0}, "retries used up"),
        ("429 retry-after=100000", {}, "out of patience"),
    ],
)
def test_an_attempt_that_is_given_up_says_why(
    simulate, path: Path, fault: str, settings: Any, why: str
) -> None:
    sim = simulate()
    sim.run(sim.pool(items=[{"text": f"[[sim: {fault}]] a"}], log=path, **settings))
    last = events(path, "attempt")[-1]
    assert (last["next"], last["why"]) == ("none", why)
    [item] = events(path, "item")
    assert (item["status"], item["error"]) == ("failed", last["error"])


def test_a_call_that_goes_to_another_model_says_so(simulate, path: Path) -> None:
    sim = simulate()
    both = Spread([sim.model("a"), sim.model("b")])
    sim.run(sim.pool(sim.skill(model=both), [{"text": "[[sim: 503 times=1]] x"}], log=path))
    [attempt] = events(path, "attempt")
    assert attempt["next"] == "another"
    assert attempt["models"] != [attempt["lane"]]
    models = sim.skill(model=[sim.model("a"), sim.model("b")])
    sim.run(sim.pool(models, [{"text": "[[sim: 500 model=a]] x"}] * 9, retries=0, log=path))
    assert events(path, "item")[-1]["status"] == "done"


def test_an_answer_that_doesnt_fit_is_a_failed_attempt_too(simulate, path: Path) -> None:
    sim = simulate()
    skill = sim.skill(output={"fields": {"n": "integer"}}, output_retries=1)
    sim.run(sim.pool(skill, [{"text": "[[sim: say=no]] secret"}], log=path))
    said = [(one["error"], one["next"], one.get("why")) for one in events(path, "attempt")]
    assert said == [
        ("InvalidOutput", "ask_again", None),
        ("InvalidOutput", "none", "retries used up"),
    ]


def test_a_functions_failures_are_in_it(simulate, path: Path) -> None:
    calls: list[str] = []

    @tool(name="look-up")
    def look_up(text: str) -> str:
        calls.append(text)
        if len(calls) == 1:
            raise RateLimited("busy", retry_after=0.5)
        if text == "bad":
            raise ValueError("no such\nthing")
        return text

    Pool(look_up, [{"text": "good"}, {"text": "bad"}], max_flows=1, retries=1, log=path).run()
    first, *_, last = events(path, "attempt")
    assert (first["lane"], first["error"], first["next"]) == ("look-up", "RateLimited", "wait")
    assert first["wait"] >= 0.5
    assert (last["error"], last["message"], last["next"]) == ("ValueError", "…", "none")
    ends = {one["item"]: one["status"] for one in events(path, "item")}
    assert ends == {0: "done", 1: "failed"}


def test_no_prompt_answer_or_key_is_in_it(simulate, path: Path) -> None:
    sim = simulate()
    model = sim.model(api_key=KEY)
    chain = Chain([(sim.skill("one {text}", model), "a"), (sim.skill("two {a}", model), "b")])
    items = [{"text": f"[[sim: {fault}]] canary"} for fault in ("500 times=1", "401", "say=bird")]
    sim.run(sim.pool(chain, items, log=path, retries=1))
    text = path.read_text()
    assert "canary" not in text
    assert "bird" not in text
    assert events(path, "attempt")


def test_nothing_that_errors_may_repeat_of_a_prompt_or_an_answer_is_in_it(
    simulate, path: Path
) -> None:
    sim = simulate()
    model = sim.model(api_key=KEY)
    skill = sim.skill(model=model, output={"fields": {"n": "integer"}}, output_retries=1)
    faults = ('say={"n": "canary"}', "400", "401")
    items = [{"text": f"[[sim: {fault}]] x"} for fault in faults]
    sim.run(sim.pool(skill, items, log=path, retries=0, max_flows=1))
    said = {one["error"]: one for one in events(path, "attempt")}
    assert said.keys() == {"InvalidOutput", "BadRequest", "AuthFailed"}
    assert {one["message"] for one in said.values()} == {"…"}
    assert said["BadRequest"]["status"] == 400
    assert said["AuthFailed"]["fix"] == "check the API key and what it may use"
    assert "canary" not in path.read_text()


def test_an_item_waits_for_the_disk_with_its_figures_alone(path: Path) -> None:
    log = EventLog(str(path), "job", lambda: 0.0, 0.0)
    log._is_due = True  # nobody writes
    output, error = Output(), BadRequest("no", partial="x" * 1000)
    failed = Record(1, {}, Status.FAILED, error=error)
    for record in (Record(0, output, Status.DONE, output), failed):
        log.ended(record)
    log.witness(0).unfit(Route(), InvalidOutput("no", partial="x"), 1)
    kept: list[Any] = [weakref.ref(output), weakref.ref(error)]
    del output, error, record, failed
    gc.collect()
    assert [one() for one in kept] == [None, None]


class Output:
    pass


class Route:
    step_path = "1.result"
    lane = SimpleNamespace(name="a/b")


def test_an_event_that_cant_be_written_costs_no_other_its_line(path: Path) -> None:
    def broken() -> Any:
        raise ValueError

    async def main() -> None:
        log = EventLog(str(path), "job\ud800", asyncio.get_running_loop().time, 0.0)
        log.tell("change", {"what": 1})
        log.tell("lane", broken)
        log.happened("change", as_json({"what": "\ud800"}))
        await log.close()

    asyncio.run(main())
    first, unreadable, last = events(path)
    assert (first["what"], last["what"], first["run"]) == (1, "\\ud800", "job\\ud800")
    assert (unreadable["event"], unreadable["unreadable"]) == ("lane", "ValueError")


def test_costs_of_items_sum_up_to_the_runs(simulate, path: Path) -> None:
    sim = simulate()
    model = sim.model(prices=Prices(input=0.013, output=0.017))
    sim.run(sim.pool(sim.skill(model=model), items=200, log=path))
    total = math.fsum(one["cost"] for one in events(path, "item"))
    assert total == pytest.approx(events(path, "end")[0]["cost"], rel=1e-9)
    assert 0.0 < total < 0.001


def test_words_of_others_are_safe_to_show(path: Path) -> None:
    def raising(text: str) -> str:
        raise ValueError("a\x1b[31m red\u202e\ud800 word " + "x" * 5000)

    Pool(raising, [{"text": "a"}], name="n\x1b[31m", log=path).run()
    text = path.read_bytes().decode("utf-8")
    assert "\x1b" not in text
    assert "\u202e" not in text
    [item] = events(path, "item")
    assert item["run"] == "n\\x1b[31m"
    assert (item["error"], item["message"]) == ("StepFailed", "…")


def test_a_log_is_added_to_and_mends_a_line_that_was_cut(path: Path) -> None:
    path.write_text('{"event": "item", "st')
    for _ in range(2):
        Pool(upper, [{"text": "a"}], log=str(path)).run()
    cut, *lines = path.read_text().splitlines()
    assert cut == '{"event": "item", "st'
    assert [json.loads(line)["event"] for line in lines] == ["begin", "item", "end"] * 2


def test_a_run_that_is_stopped_says_why_at_its_end(simulate, path: Path) -> None:
    sim = simulate()
    sim.run(sim.pool(items=50, max_flows=1, deadline=5.5, log=path))
    [end] = events(path, "end")
    assert end["done"] == 5
    assert "stopped at 5 of 50" in end["reason"]
    assert events(path, "item")[-1]["status"] == "cancelled"


def test_a_run_that_cant_begin_says_so(path: Path) -> None:
    def rows() -> Any:
        yield {"text": "a"}
        raise OSError("the table is gone")

    with pytest.raises(OSError, match="gone"):
        Pool(upper, rows(), log=path).run()
    assert "reading the items failed: …" in events(path, "end")[0]["reason"]


def test_with_a_store_an_item_is_told_of_once_it_is_safe_and_never_again(
    simulate, path: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        sim = simulate()
        sim.run(sim.pool(items=3, log=path, store=tmp_path / "run.db"))
    assert [one["item"] for one in events(path, "item")] == [0, 1, 2]
    assert [one["recalled"] for one in events(path, "end")] == [0, 3]


def test_a_log_of_its_own_costs_a_run_without_one_nothing() -> None:
    pool = Pool(upper, [{"text": "a"}])
    pool.run()
    assert not [one for one in threading.enumerate() if one.name == "flowpool-log"]


def test_a_full_disk_is_warned_of_once_and_the_run_goes_on() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no full device here")
    pool = Pool(slow, [{"n": n} for n in range(6)], max_flows=1, log="/dev/full")
    with pytest.warns(RuntimeWarning, match=r"/dev/full can't be written \(No space") as caught:
        assert pool.run() == list(range(6))
    assert len(caught) == 1


def slow(n: int) -> int:
    time.sleep(0.1)
    return n


def test_a_log_that_cant_be_opened_any_more_costs_no_run(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    pool = Pool(lambda n: folder.rmdir(), [{"n": 1}], log=folder / "run.jsonl")
    with pytest.warns(RuntimeWarning, match=r"run\.jsonl can't be written \(No such file"):
        assert pool.run().failed == []


def test_what_no_log_can_be_is_refused_before_anything_is_paid(tmp_path: Path) -> None:
    rows = [{"text": "a"}]
    for log in ("", 3, True, "s3://bucket/run.jsonl"):
        with pytest.raises(InvalidInput, match="name a file"):
            Pool(upper, rows, log=log)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="there is no folder"):
        Pool(upper, rows, log=tmp_path / "no" / "run.jsonl").run()
    with pytest.raises(InvalidInput, match="is a folder"):
        Pool(upper, rows, log=tmp_path).run()
    store = tmp_path / "run.db"
    with pytest.raises(InvalidInput, match="store, input or output"):
        Pool(upper, rows, log=store, store=store).run()
    read = tmp_path / "rows.jsonl"
    read.write_text('{"text": "a"}\n')
    with pytest.raises(InvalidInput, match="store, input or output"):
        Pool(upper, read, log=read).run()
    with pytest.raises(InvalidInput, match="store, input or output"):
        Pool(upper, rows, log=tmp_path / "o.jsonl").write(tmp_path / "o.jsonl")


def test_a_dash_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Pool(upper, [{"text": "a"}], log="-").run()
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["begin", "item", "end"]


def test_what_happens_beside_the_items_may_be_said_from_any_thread(path: Path) -> None:
    async def main() -> None:
        log = EventLog(str(path), "job", asyncio.get_running_loop().time, 0.0)
        says = [threading.Thread(target=log.tell, args=("change", {"what": n})) for n in range(50)]
        for one in says:
            one.start()
        for one in says:
            one.join()
        await log.close()
        log.tell("change", {"what": "too late"})

    asyncio.run(main())
    assert sorted(event["what"] for event in events(path)) == list(range(50))


def test_a_disk_that_hangs_bounds_what_waits_for_it(path: Path) -> None:
    os.mkfifo(path)

    async def main() -> None:
        log = EventLog(str(path), "job", asyncio.get_running_loop().time, 0.0)
        log.LAST = 0.2
        began = time.monotonic()
        for n in range(log.MOST + 500):  # nobody reads the pipe: its opening blocks
            log.tell("item", {"item": n})
        with pytest.warns(RuntimeWarning, match="takes too long"):
            await log.close()
        assert time.monotonic() - began < 5.0

    asyncio.run(main())
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # lets the thread go
    os.close(reader)


def test_lines_are_there_while_the_run_goes_on(path: Path) -> None:
    go = threading.Event()

    def wait(n: int) -> int:
        if n:
            go.wait(10)
        return n

    thread = threading.Thread(target=Pool(wait, [{"n": 0}, {"n": 1}], log=path).run)
    thread.start()
    try:
        until(lambda: path.exists() and len(events(path, "item")) == 1, 5.0)
    finally:
        go.set()
        thread.join()


def test_many_quick_items_all_have_their_line(simulate, path: Path) -> None:
    sim = simulate(latency=Fixed(0.01))
    sim.run(sim.pool(items=3000, log=path))
    assert sorted(one["item"] for one in events(path, "item")) == list(range(3000))
