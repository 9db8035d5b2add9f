"""What a runner needs of an item, told before anything is paid."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest

from flowpool import Chain, Model, Skill
from flowpool.chain import as_runner
from flowpool.errors import InvalidInput
from flowpool.plan import ItemCheck, Plan


class Page(TypedDict):
    title: str
    html: str


def page(url: str) -> Page:
    return {"title": url, "html": ""}


def anything(url: str) -> dict[str, Any]:
    return {}


def text_of(url: str) -> str:
    return url


def other_of(page_text: str, url: str) -> str:
    return page_text + url


def skill(prompt: str, **settings: Any) -> Skill:
    return Skill(Model("m", base_url="http://sim.test/v1"), prompt=prompt, **settings)


def lacking(runner: Any, *names: str) -> str | None:
    found = Plan(as_runner(runner)).lacks(names)
    return found[1] if found else None


def test_a_prompts_names_must_come_from_somewhere() -> None:
    assert lacking(skill("{a} {b}"), "a") == "b"
    assert lacking(skill("{a} {b}"), "a", "b") is None
    assert lacking(skill("{a} {b}", variables={"b": "x"}), "a") is None
    assert lacking(Chain([skill("{a} {b}")], {"b": "x"}), "a") is None


def test_a_steps_output_and_map_count() -> None:
    assert lacking(Chain([(text_of, "said"), skill("{said}")]), "url") is None
    assert lacking(Chain([(text_of, "said", {"url": "link"}), skill("{said}")]), "link") is None
    assert lacking(Chain([(text_of, "said", {"url": "link"})]), "url") == "link"
    assert lacking(Chain([(text_of, "said"), skill("{other}")]), "url") == "other"


def test_a_typed_dict_tells_what_it_adds_and_a_plain_dict_does_not() -> None:
    assert lacking(Chain([(page, "page"), skill("{title}")]), "url") is None
    assert lacking(Chain([(page, "page"), skill("{author}")]), "url") == "author"
    assert lacking(Chain([(anything, "page"), skill("{author}")]), "url") is None


def test_steps_side_by_side_see_what_came_before_them_only() -> None:
    both = [(text_of, "a"), (skill("{a}"), "b")]
    assert lacking(Chain([both]), "url") == "a"
    assert lacking(Chain([both[:1], both[1]]), "url") is None


def test_an_options_default_counts() -> None:
    def cut(text: str, length: int) -> str:
        return text[:length]

    assert lacking(Chain([(cut, "x")]), "text") == "length"
    assert lacking(Chain([(cut, "x", {}, {"length": 3})]), "text") is None


def test_an_item_is_refused_in_one_line_with_the_fix() -> None:
    check = ItemCheck(Plan(as_runner(skill("{text}"))), ["shared"])
    check.check({"text": 1}, 0)
    with pytest.raises(InvalidInput) as caught:
        check.check({"body": 1}, 4)
    assert str(caught.value) == (
        "items[4] has no 'text', which 'skill' needs (it has: body, shared): "
        r"add it to the item, or pass it in run(variables=...); \{text} would be the braces themselves."
    )
    near = ItemCheck(Plan(as_runner(skill("{text}"))), [])
    with pytest.raises(
        InvalidInput, match=r"it has: txt\): if 'txt' is it, say columns=\{'text': 'txt'\}\."
    ):
        near.check({"txt": 1}, 0)
    chain = ItemCheck(Plan(Chain([(text_of, "page"), (other_of, "b")])), [])
    with pytest.raises(
        InvalidInput, match=r"say which variable it is in the step's map, as \{'page_text': ...\}"
    ):
        chain.check({"url": 1}, 0)
    with pytest.raises(InvalidInput, match=r"say columns=\{'page_text': 'Page text'\}"):
        chain.check({"url": 1, "Page text": "x"}, 0)
    with pytest.raises(InvalidInput, match=r"items\[2\] is 'word', not a dict.*\{'text': 'word'\}"):
        check.check("word", 2)
    with pytest.raises(InvalidInput, match="variable names are text"):
        check.check({3: "x"}, 0)


def same(runner: Any, *names: str, shared: tuple[str, ...] = ()) -> bool:
    return Plan(as_runner(runner)).constant(names, shared) is not None


def test_a_prompt_varies_by_an_items_own_variables_and_by_what_steps_make_of_them() -> None:
    assert same(skill("Tell a joke"), "text")
    assert same(skill("{topic}"), "text", shared=("topic",))
    assert same(skill("{topic}", variables={"topic": "x"}), "text")
    assert same(Chain([skill("{topic}")], {"topic": "x"}), "text")
    assert same(Chain([(skill("{said}"), "x", {"said": "topic"})], {"topic": "x"}), "text")
    assert same(Chain([(skill("Tell a joke"), "joke"), skill("{joke}")]), "text")
    assert same(Chain([Chain([skill("Tell a joke")])]), "text")
    assert not same(skill("{text}"), "text")
    assert not same(skill("{topic}"), "topic", shared=("topic",))
    assert not same(skill("{topic}", variables={"topic": "x"}), "topic")
    assert not same(skill("{a: 1}"), "a: 1")
    assert not same(Chain([(text_of, "said"), skill("{said}")]), "url")
    assert not same(Chain([(page, "page"), skill("{title}")]), "url")
    assert not same(Chain([(anything, "page"), skill("{author}")]), "url")
    assert not same(Chain([Chain([skill("{text}")])]), "text")


def test_a_prompt_that_no_variable_enters_is_refused_unless_it_is_meant() -> None:
    plan = Plan(as_runner(skill("Tell a joke")))
    check = ItemCheck(plan, ["lang"])
    says = (
        r"nothing in the prompt of 'skill' varies: write a variable into it \(there are: \{text\}\)"
    )
    with pytest.raises(InvalidInput, match=rf"items\[0\]: {says}, or say constant_prompt=True"):
        check.check({"text": 1}, 0)
    with pytest.raises(InvalidInput, match=f"rows.csv: {says}"):
        check.check_columns(["text"], "rows.csv")
    check.check({}, 0)  # a hundred of these ask for a hundred jokes
    ItemCheck(plan, (), constant_prompt=True).check({"text": 1}, 0)


def test_braces_that_are_nearly_a_variable_are_refused_before_an_item_is_run() -> None:
    check = ItemCheck(Plan(as_runner(skill("{id} { text }"))), ())
    with pytest.raises(InvalidInput, match=r"items\[3\]: 'skill': \{ text \} in the prompt is no"):
        check.check({"id": 1, "text": 1}, 3)
    with pytest.raises(InvalidInput, match=r"rows.csv: 'skill': .* write \{text\} for its value"):
        check.check_columns(["id", "text"], "rows.csv")
    chain = Chain([(anything, "page"), (skill("{url} {{ page }}"), "said")])
    with pytest.raises(InvalidInput, match=r"write \{page\} for its value"):
        ItemCheck(Plan(chain), ()).check({"url": 1}, 0)
