from __future__ import annotations

import asyncio
import re
import threading
from random import Random
from typing import Any

import pytest

from flowpool import Chain, Pool, Skill, tool
from flowpool.errors import InvalidInput, InvalidItem, StepFailed, StepTimeout
from flowpool.pool import DONE, FAILED, arun_one
from flowpool.run.environment import Environment
from flowpool.simulator import SimTransport, SimulatedProvider, run_virtual


def through(chain: Chain, variables: dict | None = None, on_step_error: Any = None) -> Any:
    environment = Environment(
        SimTransport(SimulatedProvider()), {"OPENAI_API_KEY": "key-canary"}, Random(0)
    )
    return run_virtual(arun_one(chain, variables, on_step_error, environment))


async def page(url: str) -> dict[str, Any]:
    return {"url": url, "title": f"Title of {url}", "links": [{"to": "a"}, {"to": "b"}]}


async def upper(text: str) -> str:
    return text.upper()


async def join(left: str, right: str = "?") -> str:
    return f"{left}+{right}"


async def fails(text: str) -> str:
    raise ValueError(f"not {text}")


# What steps see


def test_steps_of_every_length_run_in_order() -> None:
    chain = Chain(
        [
            upper,
            (join, "joined", {"left": "result"}),
            (join, "again", {"left": "joined"}, {"right": "!"}),
            (upper, "end", {"text": "again"}),
        ]
    )
    assert through(chain, {"text": "a"}) == "A+?+!"
    assert chain.accumulated == {
        "text": "a",
        "result": "A",
        "joined": "A+?",
        "again": "A+?+!",
        "end": "A+?+!",
    }


def test_a_dict_stands_under_its_key_and_is_spread() -> None:
    chain = Chain([(page, "page"), (upper, "up", {"text": "title"})])
    assert through(chain, {"url": "x"}) == "TITLE OF X"
    assert chain.accumulated["page"]["title"] == chain.accumulated["title"] == "Title of x"


def test_dotted_sources_reach_into_earlier_outputs() -> None:
    chain = Chain([(page, "page"), (upper, "up", {"text": "page.links.1.to"})])
    assert through(chain, {"url": "x"}) == "B"


def test_an_alias_is_for_its_step_only() -> None:
    chain = Chain([(upper, "up", {"text": "word"})])
    assert through(chain, {"word": "x", "text": "mine"}) == "X"
    assert chain.accumulated == {"word": "x", "text": "mine", "up": "X"}


def test_an_alias_names_a_skills_variable() -> None:
    skill = Skill("gpt-5-mini", prompt="Say: {text}")
    chain = Chain([(page, "page"), (skill, "said", {"text": "page.title"})])
    assert through(chain, {"url": "x"}) == "Title of x"


def test_a_skills_json_is_spread_too() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    output = {"format": {"type": "json_schema", "schema": schema}}
    skill = Skill("gpt-5-mini", prompt="Where?\n\n{text}", output=output)
    chain = Chain([(skill, "found"), (upper, "up", {"text": "city"})])
    assert through(chain, {"text": "Paris is large."}) == "PARIS IS LARGE."


def test_variables_of_the_chain_are_defaults_that_items_override() -> None:
    chain = Chain([(join, "out")], variables={"left": "l", "right": "r"})
    assert through(chain) == "l+r"
    assert through(chain, {"right": "mine"}) == "l+mine"


def test_steps_in_a_list_run_side_by_side() -> None:
    met = asyncio.Barrier(2)

    async def one(text: str) -> str:
        await met.wait()
        return text + "1"

    async def two(text: str) -> str:
        await met.wait()
        return text + "2"

    chain = Chain([[(one, "a"), (two, "b")], (join, "out", {"left": "a", "right": "b"})])
    assert through(chain, {"text": "x"}) == "x1+x2"


def test_side_by_side_steps_do_not_see_each_others_outputs() -> None:
    chain = Chain([[(upper, "a"), (upper, "b", {"text": "a"})]])
    with pytest.raises(InvalidInput, match="no 'a'"):
        through(chain, {"text": "x"})


def test_a_last_stage_side_by_side_gives_a_dict_by_key() -> None:
    assert through(Chain([[(upper, "a"), (join, "b")]]), {"text": "x", "left": "l"}) == {
        "a": "X",
        "b": "l+?",
    }


def test_a_chain_is_a_step_whose_variables_stay_its_own() -> None:
    inner = Chain([(upper, "up"), (join, "inner_out", {"left": "up"})], variables={"right": "in"})
    chain = Chain([(inner, "nested", {"text": "word"}), (upper, "end", {"text": "nested"})])
    assert through(chain, {"word": "x"}) == "X+IN"
    assert "up" not in chain.accumulated
    assert chain.accumulated["nested"] == "X+in"


def test_step_options_are_a_tools_further_arguments_and_variables_win() -> None:
    chain = Chain([(join, "out", None, {"right": "option"})])
    assert through(chain, {"left": "l"}) == "l+option"
    assert through(chain, {"left": "l", "right": "variable"}) == "l+variable"


# Failing steps


def test_a_failing_step_fails_the_chain_and_says_which() -> None:
    chain = Chain([(upper, "up"), (fails, "end", {"text": "up"})])
    with pytest.raises(StepFailed, match="fails: ValueError: not X") as caught:
        through(chain, {"text": "x"})
    assert isinstance(caught.value.__cause__, ValueError)
    assert "in the step 'fails' (end)" in caught.value.__notes__
    assert [entry.get("error") for entry in chain.history] == [None, "fails: ValueError: not X"]


def test_stop_ends_with_the_last_good_output() -> None:
    chain = Chain([(upper, "up"), (fails, "end"), (upper, "never")], on_step_error="stop")
    assert through(chain, {"text": "x"}) == "X"
    assert len(chain.history) == 2


def test_skip_goes_on_without_the_step() -> None:
    chain = Chain([(upper, "up"), (fails, "gone"), (join, "end", {"left": "up"})])
    assert through(chain, {"text": "x"}, "skip") == "X+?"
    assert "gone" not in chain.accumulated


def test_skip_warns_of_each_step_that_was_left_out() -> None:
    chain = Chain([(fails, "gone"), (upper, "end")], on_step_error="skip")
    with pytest.warns(RuntimeWarning, match=r"step 0 \(fails\) was skipped: .*not x"):
        assert chain.run({"text": "x"}) == "X"
    with pytest.warns(RuntimeWarning, match="was skipped"):
        assert asyncio.run(chain.arun({"text": "x"})) == "X"


def test_the_call_can_say_what_a_failing_step_does() -> None:
    chain = Chain([(upper, "up"), (fails, "end")])
    assert chain.run({"text": "x"}, on_step_error="stop") == "X"
    with pytest.raises(StepFailed):
        chain.run({"text": "x"})


def test_a_nested_chain_keeps_its_own_rule_for_failing_steps() -> None:
    inner = Chain([(upper, "up"), (fails, "end")], on_step_error="stop")
    assert (
        through(Chain([(inner, "inner"), (upper, "out", {"text": "inner"})]), {"text": "x"}) == "X"
    )


def test_a_source_that_an_output_lacks_fails_the_step() -> None:
    chain = Chain([(page, "page"), (upper, "up", {"text": "page.body"})])
    with pytest.raises(InvalidItem, match=r"'page.body': 'body' isn't in 'page', a dict"):
        through(chain, {"url": "x"})


# Options


def test_max_flows_caps_the_calls_of_a_step() -> None:
    running, most = 0, 0

    async def counted(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.1)
        running -= 1
        return n

    pool = Pool(Chain([(counted, "n2", None, {"max_flows": 3})]), [{"n": n} for n in range(12)])
    assert run_virtual(pool.arun()) == list(range(12))
    assert most == 3


def test_a_steps_timeout_is_its_own() -> None:
    async def slow(n: int) -> int:
        await asyncio.sleep(n)
        return n

    pool = Pool(Chain([(slow, "out", None, {"timeout": 5})]), [{"n": 1}, {"n": 9}])
    assert run_virtual(pool.arun()) == [1, None]
    assert isinstance(pool.results.errors[0], StepTimeout)
    assert "no result within 5 s (raise the step's timeout)" in str(pool.results.errors[0])


def test_a_steps_retries_are_its_own() -> None:
    tries: list[str] = []

    async def flaky(text: str) -> str:
        tries.append(text)
        if len(tries) < 3:
            raise OSError("not yet")
        return text

    assert through(Chain([(flaky, "out", None, {"retries": 2})]), {"text": "x"}) == "x"
    tries.clear()
    with pytest.raises(StepFailed, match="not yet"):
        through(Chain([(flaky, "out")]), {"text": "x"})


def test_items_overlap_their_steps() -> None:
    # Item 2's first step ends before item 1's second one: steps don't wait for each other's items.
    async def first(n: int) -> int:
        await asyncio.sleep(1)
        return n

    async def second(result: int) -> int:
        await asyncio.sleep(1)
        return result

    async def run() -> float:
        steps: list[Any] = [
            (first, "result", None, {"max_flows": 1}),
            (second, "end", None, {"max_flows": 1}),
        ]
        pool = Pool(Chain(steps), [{"n": n} for n in range(5)])
        await pool.arun()
        assert pool.status[DONE] == 5
        return asyncio.get_running_loop().time()

    assert run_virtual(run()) == 6.0


# Alone


def test_run_works_inside_a_running_loop_and_from_several_threads() -> None:
    chain = Chain([(upper, "up")])

    async def inside() -> Any:
        return chain.run({"text": "a"})

    assert asyncio.run(inside()) == "A"
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(Chain([upper]).run({"text": "b"})))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["B"] * 4


def test_history_has_a_dict_for_each_step() -> None:
    chain = Chain([(upper, "up"), (join, "end", {"left": "up"}, {"right": "!"})])
    through(chain, {"text": "x"})
    first, second = chain.history
    assert (first["step"], first["name"], first["output"], first["output_key"]) == (
        0,
        "upper",
        "X",
        "up",
    )
    assert second["input"]["left"] == "X"
    assert second["options"] == {"right": "!"}
    assert "error" not in second


def test_the_repr_shows_the_steps() -> None:
    assert repr(Chain([upper, [(join, "a"), (page, "b")]])) == "Chain(upper -> join+page)"


# Bad input

BAD: list[tuple[Any, dict[str, Any], str]] = [
    ([], {}, "pass a list with at least one step"),
    (None, {}, "pass a list with at least one step"),
    ("fetch", {}, "pass a list with at least one step"),
    (upper, {}, "pass a list with at least one step"),
    ([5], {}, "steps[0]: 5 can't be run: pass a Skill, a Chain, a Tool or a function"),
    ([upper, ("fetch", "page")], {}, "steps[1]: 'fetch' can't be run"),
    ([(upper, "a", {}, {}, 5)], {}, "a step is (runner, key, inputs, options), not 5 values"),
    ([(upper, 5)], {}, "steps[0]: the output key is a name, not 5"),
    ([(upper, "")], {}, "the output key is a name, not ''"),
    ([(upper, "a", "text")], {}, "steps[0]: inputs {parameter: variable} is a dict, not 'text'"),
    ([(upper, "a", {"text": 5})], {}, "inputs map names to names, not 'text': 5"),
    ([(upper, "a", {}, 5)], {}, "steps[0]: options is a dict, not 5"),
    ([(upper, "a", {}, {"max_flows": 0})], {}, "steps[0]: max_flows=0: use 1 or more"),
    ([(upper, "a", {}, {"max_flows": 1.5})], {}, "max_flows=1.5"),
    ([(upper, "a", {}, {"timeout": 0})], {}, "steps[0]: timeout=0: use seconds above 0"),
    ([(upper, "a", {}, {"timeout": "5"})], {}, "timeout='5'"),
    ([(upper, "a", {}, {"retries": -1})], {}, "steps[0]: retries=-1: use 0 or more"),
    ([[]], {}, "steps[0]: a list of steps to run side by side needs at least one"),
    ([[upper, join]], {}, "two steps side by side store under 'result': give each its own key"),
    ([upper, [(upper, "a"), (5, "b")]], {}, "steps[1][1]: 5 can't be run"),
    ([upper], {"on_step_error": "ignore"}, "use one of 'raise', 'stop', 'skip'"),
    ([upper], {"variables": ["a"]}, "variables is a dict of values by name, not list"),
    ([upper], {"name": 5}, "name and description are text, not 5"),
]


@pytest.mark.parametrize(("steps", "named", "says"), BAD, ids=[says for *_, says in BAD])
def test_a_chain_that_cannot_work_is_refused_in_one_line(
    steps: Any, named: dict, says: str
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)) as caught:
        Chain(steps, **named)
    assert "\n" not in str(caught.value)


def test_a_skills_step_takes_only_the_options_of_steps() -> None:
    skill = Skill("gpt-5-mini", prompt="x")
    assert Chain([(skill, "a", {}, {"max_flows": 1, "timeout": 5, "retries": 0})])
    with pytest.raises(
        InvalidInput, match=r"steps\[0\]: the option 'max_flow' is not known: use max"
    ):
        Chain([(skill, "a", {}, {"max_flow": 1})])
    with pytest.raises(InvalidInput, match="is not known"):
        Chain([(Chain([skill]), "a", {}, {"temperature": 1})])


@pytest.mark.parametrize(
    ("steps", "variables", "says"),
    [
        ([(upper, "up", {"text": "word"})], {"text": "x"}, "no 'word', which 'upper' needs"),
        ([upper, (join, "out")], {"text": "x"}, "no 'left', which 'join' needs"),
        ([(Chain([upper]), "in", {"word": "text"})], {"word": "x"}, "no 'text'"),
        ([(Skill("gpt-5-mini", prompt="{a} {b}"), "s")], {"a": "x"}, "no 'b', which 'skill' needs"),
    ],
)
def test_a_variable_that_no_step_can_have_is_refused_before_the_first(
    steps: list, variables: dict, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        through(Chain(steps), variables)


def test_run_refuses_what_it_cannot_read() -> None:
    chain = Chain([upper])
    with pytest.raises(InvalidInput, match="use one of 'raise', 'stop', 'skip'"):
        chain.run({"text": "x"}, on_step_error="no")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="pass variables by name"):
        chain.run("x")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="pass variables by name"):
        asyncio.run(chain.arun([("text", "x")]))  # type: ignore[arg-type]


def test_a_failing_item_does_not_stop_the_others() -> None:
    @tool
    async def picky(n: int) -> int:
        if n % 2:
            raise ValueError("odd")
        return n

    pool = Pool(Chain([(picky, "n2")]), [{"n": n} for n in range(10)])
    assert run_virtual(pool.arun()) == [n if n % 2 == 0 else None for n in range(10)]
    assert (pool.status[DONE], pool.status[FAILED]) == (5, 5)
