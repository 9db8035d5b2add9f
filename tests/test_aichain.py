"""Scripts in the forms of AIchain 1.x run with the package's name in their imports changed."""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowpool.simulator import SimServer


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimServer]:
    with SimServer() as sim:
        yield sim


@pytest.fixture(autouse=True)
def _environment(simulator: SimServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    simulator.reset()
    monkeypatch.setenv("OPENAI_API_KEY", "key-canary")
    monkeypatch.setenv("OPENAI_BASE_URL", simulator.url + "/v1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-canary")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", simulator.url)
    monkeypatch.chdir(tmp_path)


def script(text: str) -> dict[str, Any]:
    """Runs a script; gives its variables, and what it printed as `printed`."""
    text = textwrap.dedent(text).replace("yait_aichain", "flowpool")
    names: dict[str, Any] = {"__name__": "__main__"}
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, "script.py", "exec"), names)
    return names | {"printed": out.getvalue()}


SKILL = """
from yait_aichain import Model, Skill
skill = Skill(
    Model("gpt-5-mini"),
    {"messages": [{"role": "user", "parts": ["Summarise:\\n\\n{text}"]}]},
)
"""


@pytest.mark.parametrize(
    "line",
    [
        "from yait_aichain import Model, Skill, Chain, Pool",
        "from yait_aichain.models import Model",
        "from yait_aichain.skills import Skill",
        "from yait_aichain.chain import Chain",
        "from yait_aichain.pool import Pool, PENDING, RUNNING, DONE, FAILED",
        "from yait_aichain.tools import Tool, ToolResult, convertToMD",
        "import yait_aichain.models, yait_aichain.skills, yait_aichain.chain, yait_aichain.tools",
    ],
)
def test_its_modules_and_names_are_there(line: str) -> None:
    script(line)


def test_the_statuses_are_its_numbers() -> None:
    names = script(
        "from yait_aichain.pool import PENDING, RUNNING, DONE, FAILED\n"
        "numbers = [PENDING, RUNNING, DONE, FAILED]"
    )
    assert names["numbers"] == [0, 1, 2, 3]


# Models and skills


def test_arguments_stand_in_its_order(simulator: SimServer) -> None:
    names = script(
        f"""
        from yait_aichain.models import Model
        from yait_aichain.skills import Skill
        model = Model("gpt-5-mini", {{"temperature": 0}}, {{"base_url": "{simulator.url}/v1"}}, "key-canary")
        skill = Skill(
            model,
            {{"messages": [{{"role": "user", "parts": ["Say: {{greeting}} {{name}}"]}}]}},
            {{"modalities": ["text"], "format": {{"type": "text"}}}},
            {{"greeting": "Hello"}},
            {{"max_tokens": 100}},
            "greeter",
            "Greets.",
            2,
            0.1,
        )
        answer = skill.run({{"name": "Ada"}})
        """
    )
    assert names["answer"] == "Hello Ada"
    skill = names["skill"]
    assert (skill.name, skill.description, skill.retries, skill.retry_delay) == (
        "greeter",
        "Greets.",
        2,
        0.1,
    )


def test_run_takes_variables_and_retries(simulator: SimServer) -> None:
    names = script(
        SKILL
        + textwrap.dedent(
            """
        one = skill.run({"text": "One sentence. "})
        two = skill.run({"text": "[[sim: 500 times=2]] Two sentences."}, 2, 0.01)
        three = skill.run(
            variables={"text": "[[sim: 500 times=1]] Three."}, max_retries=1, retry_delay=0
        )
        try:
            skill.run({"text": "[[sim: 500]] Never."}, max_retries=0)
        except Exception as error:
            failure = error
        """
        )
    )
    assert [names["one"], names["two"], names["three"]] == [
        "One sentence.",
        "Two sentences.",
        "Three.",
    ]
    assert names["failure"].status == 500
    assert simulator.ledger()["requests"] == 1 + 3 + 2 + 1


def test_retries_stand_on_the_skill(simulator: SimServer) -> None:
    names = script(
        """
        from yait_aichain import Model, Skill
        prompt = {"messages": [{"role": "user", "parts": ["[[sim: 503 times=2]] Fine words."]}]}
        answer = Skill(Model("gpt-5-mini"), input=prompt, max_retries=2, retry_delay=0.01).run()
        """
    )
    assert names["answer"] == "Fine words."
    assert simulator.ledger()["requests"] == 3


def test_several_models_are_fallbacks() -> None:
    names = script(
        """
        from yait_aichain import Model, Skill
        prompt = {"messages": [{"role": "user", "parts": ["[[sim: 400 model=gpt-5]] Fine words."]}]}
        answer = Skill([Model("gpt-5"), Model("claude-haiku-4-5")], prompt).run()
        """
    )
    assert names["answer"] == "Fine words."


def test_a_schema_gives_a_dict() -> None:
    names = script(
        """
        from yait_aichain import Model, Skill
        schema = {
            "type": "object",
            "properties": {"title": {"type": "string"}, "year": {"type": "integer"}},
            "required": ["title", "year"],
        }
        skill = Skill(
            Model("gpt-5-mini"),
            input={"messages": [{"role": "user", "parts": ["Read this.\\n\\n{text}"]}]},
            output={"modalities": ["text"], "format": {"type": "json_schema", "schema": schema}},
        )
        found = skill.run(variables={"text": "The book came out in 1984."})
        """
    )
    assert names["found"] == {"title": "The book came out in 1984.", "year": 1984}


def test_an_assistant_message_without_parts_is_generated(simulator: SimServer) -> None:
    names = script(
        """
        from yait_aichain import Model, Skill
        skill = Skill(Model("gpt-5-mini"), {"messages": [
            {"role": "system", "parts": ["Be brief."]},
            {"role": "user", "parts": ["Think: {topic}"]},
            {"role": "assistant"},
            {"role": "user", "parts": ["Say: enough"]},
        ]})
        answer = skill.run({"topic": "tea"})
        """
    )
    assert names["answer"] == "enough"
    assert simulator.ledger()["requests"] == 2


# Tools


def test_a_tool_is_called_for_a_result_or_run_for_an_output() -> None:
    names = script(
        """
        from yait_aichain.tools import Tool, ToolResult

        class Shout(Tool):
            name = "shout"
            description = "Writes it louder."
            parameters = {
                "type": "object",
                "properties": {"input": {"type": "string"}, "mark": {"type": "string"}},
                "required": ["input"],
            }

            def run(self, input, mark="!"):
                if not input:
                    raise ValueError("nothing to shout")
                return input.upper() + mark

        shout = Shout()
        output = shout.run(input="a")
        good = shout("a")
        marked = shout({"input": "a"}, {"mark": "?"})
        bad = shout("")
        is_result = isinstance(good, ToolResult)
        """
    )
    assert names["output"] == "A!"
    good, marked, bad = names["good"], names["marked"], names["bad"]
    assert (good.success, good.output, good.error) == (True, "A!", None)
    assert marked.output == "A?"
    assert (bad.success, bad.output, bad.error) == (False, None, "nothing to shout")
    assert names["is_result"]


def test_convert_to_md_takes_its_input() -> None:
    names = script(
        """
        from yait_aichain.tools import convertToMD
        page = "<html><body><h1>Tea</h1><p>It is <b>hot</b>.</p></body></html>"
        text = convertToMD.run(input=page)
        parameters = convertToMD.parameters
        """
    )
    assert "Tea" in names["text"]
    assert "**hot**" in names["text"]
    assert "input" in names["parameters"]["properties"]


# Chains


TOOLS = """
from yait_aichain import Chain, Model, Skill
from yait_aichain.tools import Tool

class Fetch(Tool):
    name = "fetch"
    parameters = {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]}

    def run(self, url):
        if "bad" in url:
            raise OSError("no such page")
        return {"page": "Page of " + url, "title": url.title()}

class Join(Tool):
    name = "join"
    parameters = {
        "type": "object",
        "properties": {"left": {}, "right": {}},
        "required": ["left"],
    }

    def run(self, left, right="-"):
        return left + right

say = Skill(Model("gpt-5-mini"), {"messages": [{"role": "user", "parts": ["Say: {text}"]}]}, name="say")
"""


def test_steps_of_every_length() -> None:
    names = script(
        TOOLS
        + """
chain = Chain(
    [
        Fetch(),
        (say, "said", {"text": "title"}),
        (Join(), "joined", {"left": "said"}, {"right": "!"}),
        (Join(), "end", {"left": "joined", "right": "page"}),
        (say, "last", {"text": "end"}),
    ],
    {"unused": 1},
    "names",
    "Tells names.",
)
answer = chain.run({"url": "tea"})
accumulated = chain.accumulated
history = chain.history
"""
    )
    assert names["answer"] == "Tea!Page of tea"
    told = names["accumulated"]
    assert (told["title"], told["said"], told["joined"], told["last"]) == (
        "Tea",
        "Tea",
        "Tea!",
        "Tea!Page of tea",
    )
    history = names["history"]
    assert [entry["name"] for entry in history] == ["fetch", "say", "join", "join", "say"]
    assert [entry["output_key"] for entry in history] == ["result", "said", "joined", "end", "last"]
    assert [entry["kind"] for entry in history] == ["tool", "skill", "tool", "tool", "skill"]
    for number, entry in enumerate(history):
        assert entry["step"] == number
        assert {"step", "kind", "name", "input", "output", "output_key", "options"} <= entry.keys()


def test_a_chain_of_one_step_maps_its_inputs() -> None:
    names = script(TOOLS + 'answer = Chain([(Join(), "out", {"left": "a"})]).run({"a": "A"})')
    assert names["answer"] == "A-"


def test_a_failing_step_raises_and_is_in_the_history() -> None:
    names = script(
        TOOLS
        + """
chain = Chain([(Join(), "joined", {"left": "url"}), (Fetch(), "page"), (Join(), "never", {"left": "page"})])
try:
    chain.run({"url": "bad"})
except Exception as error:
    failure = error
history = chain.history
accumulated = chain.accumulated
"""
    )
    assert "no such page" in str(names["failure"])
    assert ["error" in entry for entry in names["history"]] == [False, True]
    assert names["accumulated"]["joined"] == "bad-"


def test_on_step_error_stop_gives_the_last_good_output() -> None:
    names = script(
        TOOLS
        + """
chain = Chain([(Join(), "joined", {"left": "url"}), (Fetch(), "page")], on_step_error="stop")
answer = chain.run({"url": "bad"})
accumulated = chain.accumulated
"""
    )
    assert names["answer"] == "bad-"
    assert names["accumulated"]["joined"] == "bad-"


def test_on_step_error_skip_warns_and_goes_on() -> None:
    with pytest.warns(RuntimeWarning, match=r"fetch.*no such page"):
        names = script(
            TOOLS
            + """
chain = Chain([(Fetch(), "page"), (Join(), "joined", {"left": "url"})])
answer = chain.run({"url": "bad"}, on_step_error="skip")
"""
        )
    assert names["answer"] == "bad-"


def test_a_chain_is_saved_and_loaded_with_a_key(tmp_path: Path) -> None:
    names = script(
        """
        from yait_aichain import Chain, Model, Skill
        skill = Skill(
            Model("gpt-5-mini", api_key="key-canary"),
            {"messages": [{"role": "user", "parts": ["Say: {text}"]}]},
        )
        chain = Chain([(skill, "a"), (skill, "b", {"text": "a"})], name="twice")
        chain.save("chain.yaml")
        loaded = Chain.load("chain.yaml", api_key="key-canary")
        again = Chain.load("chain.yaml")
        answer = loaded.run({"text": "tea"})
        name = loaded.name
        """
    )
    assert (names["answer"], names["name"]) == ("tea", "twice")
    assert "canary" not in (tmp_path / "chain.yaml").read_text()


# Pools


def test_a_pool_over_a_skill_gives_a_list_in_order() -> None:
    names = script(
        SKILL
        + textwrap.dedent(
            """
        from yait_aichain.pool import Pool, PENDING, RUNNING, DONE, FAILED
        items = [{"text": "One."}, {"text": "[[sim: 400]] Two."}, {"text": "Three."}]
        pool = Pool(skill, items, 2, "collect", "three", "Three texts.")
        results = pool.run()
        for item, result in zip(items, results):
            print(item["text"], "->", result)
        for entry in pool.history:
            print(f"{entry['index']} {entry['status']} {entry['duration']:.1f} {entry['error']}")
        print(pool.status[DONE], pool.status[FAILED], pool.status[PENDING], pool.status[RUNNING])
        """
        )
    )
    assert isinstance(names["results"], list)
    assert names["results"] == ["One.", None, "Three."]
    lines = names["printed"].splitlines()
    assert lines[:3] == ["One. -> One.", "[[sim: 400]] Two. -> None", "Three. -> Three."]
    assert lines[3].startswith("0 2 0.")
    assert lines[4].startswith("1 3 0.")
    assert "BadRequest" in lines[4]
    assert lines[6] == "2 1 0 0"
    for entry in names["pool"].history:
        assert {"index", "variables", "status", "output", "error", "duration"} <= entry.keys()
        assert isinstance(entry["error"], (str, type(None)))


def test_a_pool_over_a_chain_with_shared_variables() -> None:
    names = script(
        TOOLS
        + """
from yait_aichain import Pool
chain = Chain([(Fetch(), "fetched"), (Join(), "joined", {"left": "title", "right": "end"})])
results = Pool(chain, [{"url": "a"}, {"url": "bad"}, {"url": "b", "end": "?"}]).run(
    variables={"end": "!"}
)
"""
    )
    assert names["results"] == ["A!", None, "B?"]


def test_a_pool_over_a_tool() -> None:
    names = script(
        TOOLS
        + """
from yait_aichain import Pool
results = Pool(Join(), [{"left": "a"}, {"left": "b", "right": "c"}], max_flows=10).run()
"""
    )
    assert names["results"] == ["a-", "bc"]


def test_pages_are_made_markdown_and_summarised() -> None:
    names = script(
        """
        from yait_aichain import Chain, Model, Pool, Skill
        from yait_aichain.tools import Tool, convertToMD

        class Read(Tool):
            name = "read"
            parameters = {"type": "object", "properties": {"url": {}}, "required": ["url"]}

            def run(self, url):
                return f"<html><body><h1>{url}</h1><p>This page is about {url}.</p></body></html>"

        say = Skill(
            Model("claude-haiku-4-5"),
            {"messages": [{"role": "user", "parts": ["Summarise in one sentence:\\n\\n{text}"]}]},
        )
        chain = Chain([
            (Read(), "source"),
            (convertToMD, "text", {"input": "source"}),
            (say, "summary"),
        ])
        results = Pool(chain, [{"url": "tea"}, {"url": "milk"}], max_flows=2).run()
        """
    )
    assert [
        word in result for word, result in zip(("tea", "milk"), names["results"], strict=True)
    ] == [
        True,
        True,
    ]


def test_status_is_polled_from_a_thread_during_the_run() -> None:
    names = script(
        """
        import threading
        from yait_aichain.pool import Pool, PENDING, RUNNING, DONE, FAILED
        from yait_aichain.tools import Tool

        seen = []
        polled = threading.Event()

        class Wait(Tool):
            name = "wait"
            parameters = {"type": "object", "properties": {"n": {}}, "required": ["n"]}

            def run(self, n):
                if n == 0:
                    return n
                assert polled.wait(10)
                return n

        pool = Pool(Wait(), [{"n": n} for n in range(4)], max_flows=2)

        def watch():
            while not polled.is_set():
                status, history = dict(pool.status), list(pool.history)
                seen.append((status, history))
                if status[DONE] == 1 and status[RUNNING] == 2:
                    polled.set()

        thread = threading.Thread(target=watch)
        thread.start()
        results = pool.run()
        thread.join()
        """
    )
    assert names["results"] == [0, 1, 2, 3]
    status, history = names["seen"][-1]
    assert [status[n] for n in range(4)] == [1, 2, 1, 0]
    assert any(entry["status"] == 2 and entry["output"] == 0 for entry in history)


def test_the_run_goes_on_in_a_thread_while_the_main_one_looks() -> None:
    names = script(
        TOOLS
        + """
import threading
from yait_aichain.pool import Pool, DONE
pool = Pool(Join(), [{"left": str(n)} for n in range(50)], max_flows=10)
thread = threading.Thread(target=pool.run)
thread.start()
while thread.is_alive():
    assert sum(pool.status.values()) == 50
    len(pool.history)
thread.join()
done = pool.status[DONE]
"""
    )
    assert names["done"] == 50


def test_on_error_raise_raises_the_items_error() -> None:
    names = script(
        TOOLS
        + """
from yait_aichain import Pool
pool = Pool(Fetch(), [{"url": "a"}, {"url": "bad"}], 1, "raise")
try:
    pool.run()
except Exception as error:
    failure = error
"""
    )
    assert "no such page" in str(names["failure"])


def test_on_error_skip_warns_of_each_failed_item() -> None:
    with pytest.warns(RuntimeWarning) as caught:
        names = script(
            TOOLS
            + """
from yait_aichain import Pool
results = Pool(Fetch(), [{"url": "bad"}, {"url": "a"}, {"url": "bad"}], on_error="skip").run()
"""
        )
    assert [result and result["title"] for result in names["results"]] == [None, "A", None]
    assert len([w for w in caught if "no such page" in str(w.message)]) == 2


def test_no_items_are_a_value_error() -> None:
    names = script(
        TOOLS
        + """
from yait_aichain import Pool
try:
    Pool(Fetch(), []).run()
except ValueError as error:
    failure = error
"""
    )
    assert "empty" in str(names["failure"])
