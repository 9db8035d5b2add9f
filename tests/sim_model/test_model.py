from __future__ import annotations

import json

from flowpool.sim_model import model

DOCUMENT = (
    "# The dam\n\nThe council met on Monday. It agreed to raise the river dam by 2 metres. "
    "The river dam protects farmers along the river. Lunch was late. "
    "Raising the dam costs 4.5 million."
)


def test_a_summary_is_a_sentence_of_the_document() -> None:
    answer = model.answer(f"Summarise in one sentence:\n\n{DOCUMENT}")
    assert answer == "The river dam protects farmers along the river."


def test_the_prompt_or_the_system_says_how_many_sentences() -> None:
    assert model.answer(f"Give two sentences:\n\n{DOCUMENT}").count(".") == 2
    bullets = model.answer(f"Summarise:\n\n{DOCUMENT}", "Answer in three bullet points.")
    assert [line[:2] for line in bullets.split("\n")] == ["- "] * 3


def test_keywords_are_the_words_used_most() -> None:
    text = "The bridge spans the valley. A bridge carries trains. The valley bridge stands."
    assert model.answer(f"Give two keywords:\n\n{text}") == "bridge, valley"


def test_it_says_what_it_is() -> None:
    assert model.NAME in model.answer("Who are you?")


def test_a_schema_is_filled_with_what_the_text_holds() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "metres": {"type": "integer"},
            "millions": {"type": "number"},
            "kind": {"enum": ["bridge", "dam"]},
            "river": {"type": "boolean"},
            "desert": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "owner": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Owner"}]},
        },
        "$defs": {"Owner": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    filled = json.loads(model.answer(DOCUMENT, schema=schema))
    assert filled["metres"] == 2
    assert filled["millions"] == 4.5
    assert filled["kind"] == "dam"
    assert (filled["river"], filled["desert"]) == (True, False)
    assert filled["title"] in DOCUMENT
    assert all(tag in DOCUMENT for tag in filled["tags"])
    assert filled["tags"]
    assert filled["owner"]["name"] in DOCUMENT


def test_a_date_is_the_first_that_the_text_names_or_one_of_its_own() -> None:
    schema = {
        "type": "object",
        "properties": {
            "day": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
            "moment": {"type": "string", "format": "date-time"},
        },
    }
    found = json.loads(model.answer("We need them by 2026-03-01.", schema=schema))
    assert found == {"day": "2026-03-01", "moment": "2026-03-01T00:00:00Z"}
    assert json.loads(model.answer("No hurry.", schema=schema))["day"] == "2026-01-01"


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}, "also": {"type": "string"}}}
    assert json.loads(model.answer(DOCUMENT, schema=schema))["next"]["also"]


def test_googles_upper_case_types_are_understood() -> None:
    schema = {"type": "OBJECT", "properties": {"metres": {"type": "INTEGER"}}}
    assert json.loads(model.answer(DOCUMENT, schema=schema)) == {"metres": 2}


def test_json_without_a_schema_is_an_object() -> None:
    assert json.loads(model.answer("Just this.", wants_json=True)) == {"answer": "Just this."}


def test_json_may_be_asked_for_in_words() -> None:
    assert json.loads(model.answer("Just this.", "Answer with JSON.")) == {"answer": "Just this."}
    assert json.loads(model.answer("Summarise as JSON:\n\nJust this."))["answer"] == "Just this."
    schema = '{"type": "object", "properties": {"metres": {"type": "integer"}}}'
    system = f"Answer with JSON. It must fit this JSON Schema:\n{schema}\nBe brief."
    assert json.loads(model.answer(DOCUMENT, system)) == {"metres": 2}


def test_nothing_and_oddities_are_answered_too() -> None:
    for text in ("", "   ", "...", "\n\n\n", "?" * 5000, "a" * 100_000, "日本語。" * 500):
        assert model.answer(text)


def test_a_fixed_answer_has_its_length() -> None:
    assert [len(model.fixed(n)) for n in (0, 1, 36, 1000)] == [0, 1, 36, 1000]
