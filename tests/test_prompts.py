"""Prompts of any columns and any braces: refused before anything is paid, or each row's text is in what is sent."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.conftest import Simulation
from tests.helpers import Recorder

from flowpool.errors import InvalidInput

# What people write around a name, by habits of other templates.
HABITS = [
    *(
        "{%s}",
        "{ %s }",
        "{%s }",
        "{{%s}}",
        "{{ %s }}",
        "{{ %s | upper }}",
        "{%% if %s %%}",
        "${%s}",
    ),
    *(
        "{%s!r}",
        "{%s:>10}",
        "{%s.strip()}",
        "{%s[0]}",
        "{row['%s']}",
        '{"%s"}',
        "{%s, %s}",
        "{{{%s}}}",
    ),
    *("{%s=}", "{#%s}", "<{%s}>", '{"a": "{%s}"}'),
]
SHAPES = [str, str.upper, str.title, lambda name: name.replace("_", " ")]
COLUMNS = st.one_of(
    st.sampled_from(["text", "Review Text", "review-text", "文本", "2020", "user.name", "a", "Q1: How?"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}\\"), min_size=1, max_size=6).filter(
        lambda name: any(map(str.isalnum, name))
    ),
)  # fmt: skip
ANY_COLUMN = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
BRACES = st.text(st.sampled_from('{}\\ a:"x\n'), max_size=5)


def asked(prompt: str, rows: list[dict[str, str]]) -> list[str] | None:
    """The prompts that were sent; None where they were refused and nothing was asked."""
    sim = Simulation()
    sent = sim.environment.transport = Recorder(sim.environment.transport)
    try:
        sim.run(sim.pool(sim.skill(prompt), rows, max_flows=1))
    except InvalidInput:
        assert not sent.requests
        return None
    assert len(sent.requests) == len(rows)
    return [body["messages"][0]["content"] for body in sent.bodies]


@settings(deadline=None, derandomize=True, max_examples=400)
@given(COLUMNS, st.sampled_from(HABITS), st.sampled_from(SHAPES), BRACES, BRACES)
@example("text", "{ %s }", str, "", "")
def test_a_rows_text_is_in_what_is_sent_or_nothing_is(column, habit, shape, before, after) -> None:
    name = shape(column)
    written = habit % ((name,) * habit.count("%s"))
    rows = [{"other": f"other-{n}-", column: f"value-{n}-"} for n in range(3)]
    sent = asked(f"Look: {{other}} {before} {written} {after}", rows)
    if sent is not None:
        for n, prompt in enumerate(sent):
            assert f"other-{n}-" in prompt
            assert f"value-{n}-" in prompt, (written, prompt)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(COLUMNS | ANY_COLUMN, st.text(st.sampled_from('{}\\ tex_!:"%|'), max_size=30))
def test_a_prompt_that_nothing_enters_is_never_paid_for(column: str, prompt: str) -> None:
    rows = [{column: f"value-{n}-"} for n in range(3)]
    sent = asked(f"Say {prompt}", rows)
    assert sent is None or all(f"value-{n}-" in text for n, text in enumerate(sent))
