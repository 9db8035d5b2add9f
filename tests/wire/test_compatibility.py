"""The table in docs/compatibility.md: every row is held by answers of that server's shape."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.wire import golden_cases as golden

PAGE = Path(__file__).parent.parent.parent / "docs" / "compatibility.md"
CASES: list[golden.Case] = msgspec.json.decode((golden.GOLDEN / "compatibility.json").read_bytes())
SERVERS = {
    *("OpenAI", "Azure", "Anthropic", "Gemini", "OpenRouter", "Groq", "DeepSeek", "MiniMax"),
    *("vLLM", "SGLang", "llama.cpp", "Ollama", "LM Studio", "LiteLLM proxy", "Any server"),
}


def rows() -> list[tuple[str, str]]:
    """What each row of the page's table says of which server."""
    table = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table]
    assert {len(row) for row in cells} == {3}
    return [(server, difference) for server, difference, _ in cells]


def test_every_row_has_its_answers_and_every_answer_its_row() -> None:
    assert {server for server, _ in rows()} == SERVERS
    assert len(rows()) == len(set(rows()))
    assert {(case["server"], case["difference"]) for case in CASES} == set(rows())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['server']}: {case['difference']}")
def test_an_answer_of_a_servers_shape_means_exactly_this(case) -> None:
    golden.check_answer(case["wire"], case)
