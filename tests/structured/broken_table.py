"""200 broken answers of the habits that models have, each with what must become of it, as judged by hand.

An answer is what it plainly means, or `AGAIN`: it can't be told, and the model is asked again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel
from tests.structured.kinds import Level

AGAIN: Any = "asked again"


@dataclass
class Letter:
    author: str
    count: int
    kind: Literal["ham", "spam"]
    tags: list[str] = field(default_factory=list)


class Bill(BaseModel):
    number: str
    day: date
    total: Decimal
    paid: bool
    ratio: float = 0.0


class Kind(Enum):
    HAM = "ham"
    SPAM = "spam"


FIELDS = {"fields": {"name": "string", "age": "integer?", "when": "date"}}
CHOICES = {"choices": ["1", "2", "3"]}
ANY = {"format": {"type": "json"}}

BO = Letter("Bo", 3, "ham")
AL = Letter("Al", 1, "spam")
GOOD = '{"author": "Bo", "count": 3, "kind": "ham"}'
BAD = '{"author": "Xy", "count": 9, "kind": "spam"}'
PAID = Bill(number="A1", day=date(2026, 1, 2), total=Decimal("10.50"), paid=True)
BILL = '{"number": "A1", "day": "2026-01-02", "total": "10.50", "paid": true}'

# A type, and what is right where the model answers it well.
RIGHT: dict[str, tuple[Any, str, Any]] = {
    "letter": (Letter, GOOD, BO),
    "bill": (Bill, BILL, PAID),
    "kind": (Kind, '{"answer": "ham"}', Kind.HAM),
    "level": (Level, '{"answer": 2}', Level.HIGH),
    "letters": (list[Letter], f'{{"items": [{GOOD}]}}', [BO]),
    "fields": (
        FIELDS,
        '{"name": "Bo", "age": 7, "when": "2026-01-02"}',
        {"name": "Bo", "age": 7, "when": "2026-01-02"},
    ),
    "choice": (CHOICES, '{"answer": "2"}', "2"),
    "int": (int, '{"answer": 42}', 42),
    "float": (float, '{"answer": 1.5}', 1.5),
    "bool": (bool, '{"answer": true}', True),
    "date": (date, '{"answer": "2026-01-02"}', date(2026, 1, 2)),
    "numbers": (list[int], '{"items": [4, 5]}', [4, 5]),
    "json": (ANY, '{"a": 1}', {"a": 1}),
}

LETTERS: list[tuple[str, Any]] = [
    # Thoughts: closed, without an opening, without a close, several, in other tags, with fences in them.
    (f"<think>{BAD}</think>{GOOD}", BO),
    (f"{BAD} is what comes to mind.</think>{GOOD}", BO),
    (f"<think>Perhaps {BAD}", AGAIN),
    (f"{GOOD}<think>Or perhaps {BAD}", BO),
    (f"<think>{BAD}</think><think>{BAD}</think>{GOOD}", BO),
    (f"<think>a</think>{BAD}<think>no</think>{GOOD}", BO),
    (f"<thinking>{BAD}</thinking>\n{GOOD}", BO),
    (f"<THINK>{BAD}</THINK>\n{GOOD}", BO),
    (f"<reasoning>{BAD}</reasoning>{GOOD}", BO),
    (f"<reflection>{BAD}</reflection>{GOOD}", BO),
    (f"<antThinking>{BAD}</antThinking>{GOOD}", BO),
    (f"<analysis>{BAD}</analysis>{GOOD}", BO),
    (f"<scratchpad>{BAD}</scratchpad>{GOOD}", BO),
    (f"<thought_process>{BAD}</thought_process>{GOOD}", BO),
    (f"<inner_monologue>{BAD}</inner_monologue>{GOOD}", BO),
    (f"<musings>{BAD}</musings>{GOOD}", AGAIN),
    (f"<draft>{BAD}</draft><final>{GOOD}</final>", AGAIN),
    (f"<answer>{GOOD}</answer>", BO),
    (f"[THINK]{BAD}[/THINK]{GOOD}", BO),
    (f"<think>```json\n{BAD}\n```</think>{GOOD}", BO),
    (f"<think>```json\n{BAD}\n```</think>```json\n{GOOD}\n```", BO),
    (f"```json\n{BAD}\n```\n</think>\n{GOOD}", BO),
    (f"<think>{BAD}</think>", AGAIN),
    (f"<think>{BAD}</think>I can't tell.", AGAIN),
    (f"<|channel|>analysis<|message|>{BAD}<|end|><|channel|>final<|message|>{GOOD}", BO),
    # Two answers, and one that is taken back.
    (f"```json\n{BAD}\n``` wait, the correct answer is {GOOD}", AGAIN),
    (f"```json\n{BAD}\n```\n```json\n{GOOD}\n```", AGAIN),
    (f"```json\n{GOOD}\n```\nIn short: {GOOD}", BO),
    (f"{GOOD}\n{GOOD}", BO),
    (f"{BAD}\n{GOOD}", AGAIN),
    (f"First try: {BAD}. Final answer: {GOOD}", AGAIN),
    (f"{GOOD}\n\nWait, Bo wrote four letters, not three.", AGAIN),
    (f"```json\n{GOOD}\n```\nCorrection: the author is Al.", AGAIN),
    (f'{GOOD} Wait: {{"author": "Al", "count": "many", "kind": "ham"}}', AGAIN),
    (f"Wait, let me look. {GOOD}", BO),
    (f"{GOOD}\nI hope this helps! Let me know if you want more [details].", BO),
    (f"```json\n{GOOD}\n```\nActually, I am unsure about the count.", AGAIN),
    (f'```json\n{GOOD}\n```\nBetter: {{"author": "Bo", "count": 4, "ki', AGAIN),
    (f"[{GOOD}, {BAD}]", AGAIN),
    (f"[{GOOD}]", BO),
    # Examples.
    (f"For example, {BAD} would be one. Mine: {GOOD}", BO),
    (f"I can't read it. An answer would be, for example:\n{BAD}", AGAIN),
    (f"I can't read it, e.g. {BAD}", AGAIN),
    (f"Example:\n```json\n{BAD}\n```\nAnswer:\n```json\n{GOOD}\n```", BO),
    (f"Here is an example of the form:\n```json\n{BAD}\n```", AGAIN),
    (f"Here is the JSON in the form that you asked for:\n{GOOD}", BO),
    # Around it.
    (f"```json\n{GOOD}\n```", BO),
    (f"```\n{GOOD}\n```", BO),
    (f"```JSON\r\n{GOOD}\r\n```", BO),
    (f"```json\n{GOOD}", BO),
    (f"Sure! {GOOD}", BO),
    (f"json\n{GOOD}", BO),
    (f"\ufeff{GOOD}", BO),
    (f"{GOOD}<|im_end|>", BO),
    (f"{GOOD};", BO),
    (f"const answer = {GOOD};", BO),
    (f"The sum {{a + b}} is as [1] says. {GOOD}", BO),
    ("'" + GOOD + "'", BO),
    (f'"{GOOD.replace(chr(34), chr(92) + chr(34))}"', BO),
    (f"| a | b |\n|---|---|\n{GOOD}", BO),
    # Nearly JSON.
    ("{'author': 'Bo', 'count': 3, 'kind': 'ham'}", BO),
    ('{author: "Bo", count: 3, kind: "ham"}', BO),
    ('{"author": "Bo", "count": 3, "kind": "ham",}', BO),
    ('{"author": "Bo" // him\n, "count": 3, /* or so */ "kind": "ham"}', BO),
    ('{"author": "Bo"\n"count": 3\n"kind": "ham"}', BO),
    ("{“author”: “Bo”, “count”: 3, “kind”: “ham”}", BO),
    ('{"author": "Bo", "count": 3, "kind": "ham"', AGAIN),
    ('{"author": "Bo", "count": 3, "kind": "ha', AGAIN),
    ('{"author": "Bo", "count": 3, "kind": "ham"}}', BO),
    ('{"author": "Bo", "count": 3, "kind": }', AGAIN),
    ('{"author": "Bo", "count": 3, ... }', AGAIN),
    ('{"author": "Bo", "author": "Al", "count": 3, "kind": "ham",}', AGAIN),
    ('{"author": "Bo" "count": 3 "kind": "ham"}', AGAIN),
    ("author: Bo\ncount: 3\nkind: ham", AGAIN),
    ("<author>Bo</author><count>3</count><kind>ham</kind>", AGAIN),
    # Values.
    ('{"author": "Bo", "count": "3", "kind": "ham"}', BO),
    ('{"author": "Bo", "count": " 3 ", "kind": "ham"}', BO),
    ('{"author": "Bo", "count": 3.0, "kind": "ham"}', BO),
    ('{"author": "Bo", "count": "3.0", "kind": "ham"}', BO),
    ('{"author": "Bo", "count": "three", "kind": "ham"}', AGAIN),
    ('{"author": "Bo", "count": "3 letters", "kind": "ham"}', AGAIN),
    ('{"author": "Bo", "count": 3.5, "kind": "ham"}', AGAIN),
    ('{"author": "Bo", "count": true, "kind": "ham"}', AGAIN),
    ('{"author": "Bo", "count": [3], "kind": "ham"}', AGAIN),
    ('{"author": "Bo", "count": null, "kind": "ham"}', AGAIN),
    ('{"author": "Bo", "count": NaN, "kind": "ham"}', AGAIN),
    ('{"author": "Bo", "count": Infinity, "kind": "ham"}', AGAIN),
    ('{"author": "Bo", "count": "", "kind": "ham"}', AGAIN),
    ('{"author": "Bo", "count": 3, "kind": "HAM"}', BO),
    ('{"author": "Bo", "count": 3, "kind": "ham."}', BO),
    ('{"author": "Bo", "count": 3, "kind": "hamm"}', AGAIN),
    ('{"author": "Bo", "count": 3, "kind": "ham or spam"}', AGAIN),
    ('{"author": "Bo", "count": 3, "kind": ["ham"]}', AGAIN),
    ('{"author": "Bo", "count": 3, "kind": "ham", "tags": null}', BO),
    ('{"author": "Bo", "count": 3, "kind": "ham", "tags": "a, b"}', AGAIN),
    ('{"author": 3, "count": 3, "kind": "ham"}', Letter("3", 3, "ham")),
    ('{"author": 1.50, "count": 3, "kind": "ham"}', Letter("1.50", 3, "ham")),
    ('{"author": null, "count": 3, "kind": "ham"}', AGAIN),
    ('{"author": {"name": "Bo"}, "count": 3, "kind": "ham"}', AGAIN),
    ('{"author": "Bo", "count": 3, "kind": "ham", "note": "more"}', BO),
    ('{"author": "Bo", "count": 3}', AGAIN),
    (f'{{"letter": {GOOD}}}', AGAIN),
    ('{"type": "object", "properties": {"author": {"type": "string"}}}', AGAIN),
    (f'{{"type": "object", "properties": {GOOD}}}', AGAIN),
    ("{}", AGAIN),
    ("null", AGAIN),
    ("", AGAIN),
    ("I'm sorry, I can't help with that.", AGAIN),
]
BILLS: list[tuple[str, Any]] = [
    (BILL.replace('"10.50"', "10.50"), PAID),
    (BILL.replace('"10.50"', "10"), PAID.model_copy(update={"total": Decimal(10)})),
    (
        BILL.replace('"10.50"', "12345678901234567.89"),
        PAID.model_copy(update={"total": Decimal("12345678901234567.89")}),
    ),
    (BILL.replace('"10.50"', '"10,50"'), AGAIN),
    (BILL.replace('"10.50"', '"$10.50"'), AGAIN),
    (BILL.replace('"10.50"', '"1,010.50"'), AGAIN),
    (BILL.replace('"10.50"', '"nan"'), AGAIN),
    (BILL.replace('"10.50"', '"Infinity"'), AGAIN),
    (BILL.replace('"10.50"', "true"), AGAIN),
    (BILL.replace('"10.50"', "null"), AGAIN),
    (BILL.replace('"2026-01-02"', "2026"), AGAIN),
    (BILL.replace('"2026-01-02"', '"2026"'), AGAIN),
    (BILL.replace('"2026-01-02"', "1767312000"), AGAIN),
    (BILL.replace('"2026-01-02"', '"1767312000"'), AGAIN),
    (BILL.replace('"2026-01-02"', '"02.01.2026"'), AGAIN),
    (BILL.replace('"2026-01-02"', '"01/02/2026"'), AGAIN),
    (BILL.replace('"2026-01-02"', '"2026-02-30"'), AGAIN),
    (BILL.replace('"2026-01-02"', '"January 2, 2026"'), AGAIN),
    (BILL.replace('"2026-01-02"', "true"), AGAIN),
    (BILL.replace('"2026-01-02"', '""'), AGAIN),
    (BILL.replace("true", '"true"'), PAID),
    (BILL.replace("true", "True"), PAID),
    (BILL.replace("true", '"True"'), AGAIN),
    (BILL.replace("true", "1"), AGAIN),
    (BILL.replace("true", '"1"'), AGAIN),
    (BILL.replace("true", '"yes"'), AGAIN),
    (BILL.replace("true", '"on"'), AGAIN),
    (BILL.replace('"A1"', "7"), PAID.model_copy(update={"number": "7"})),
    (BILL.replace('"A1"', "007"), PAID.model_copy(update={"number": "007"})),
    (BILL.replace("}", ', "ratio": "0.5"}'), PAID.model_copy(update={"ratio": 0.5})),
    (BILL.replace("}", ', "ratio": "nan"}'), AGAIN),
    (BILL.replace("}", ', "ratio": "inf"}'), AGAIN),
    (BILL.replace("}", ', "ratio": "50%"}'), AGAIN),
    (BILL.replace("}", ', "ratio": true}'), AGAIN),
    (BILL.replace("}", ', "ratio": NaN}'), PAID),
    (BILL.replace("}", ', "ratio": null}'), PAID),
]
KINDS: list[tuple[str, Any]] = [
    ("ham", Kind.HAM),
    ("**Spam**.", Kind.SPAM),
    ('"spam"', Kind.SPAM),
    ('["spam"]', AGAIN),
    ('{"label": "spam"}', Kind.SPAM),
    ("<think>ham?</think>spam", Kind.SPAM),
    ("ham?</think>spam", Kind.SPAM),
    ('```json\n{"answer": "spam"}\n``` wait, the correct answer is {"answer": "ham"}', AGAIN),
    ('{"answer": "spam"} or {"answer": "ham"}', AGAIN),
    ("spam, I think", AGAIN),
    ("neither", AGAIN),
    ("<think>spam", AGAIN),
    ('{"answer": true}', AGAIN),
    ('{"answer": null}', AGAIN),
    ('{"answer": "KIND.HAM"}', AGAIN),
]
LEVELS: list[tuple[str, Any]] = [
    ("2", Level.HIGH),
    ('"2"', Level.HIGH),
    ('{"answer": 2.0}', Level.HIGH),
    ('{"answer": true}', AGAIN),
    ("true", AGAIN),
    ('{"answer": 3}', AGAIN),
    ('{"answer": 0}', AGAIN),
    ('{"answer": "HIGH"}', AGAIN),
]
LISTS: list[tuple[str, Any]] = [
    (f"[{GOOD}]", [BO]),
    (GOOD, AGAIN),
    (f'{GOOD}\n{{"author": "Al", "count": 1, "kind": "spam"}}', [BO, AL]),
    (f'{{"letters": [{GOOD}]}}', [BO]),
    (f"```json\n[{GOOD}]\n```\nNo more.", [BO]),
    (f"```json\n[{GOOD}]\n```\nWait, I missed one: [{GOOD}, {BAD}]", AGAIN),
    (f"[{GOOD}, ", AGAIN),
    (f"[{GOOD}, null]", AGAIN),
    ("[]", []),
    ('{"items": []}', []),
    ("None found.", AGAIN),
]
RECORDS: list[tuple[str, Any]] = [
    ('{"name": "Bo", "when": "2026-01-02"}', {"name": "Bo", "age": None, "when": "2026-01-02"}),
    (
        '{"name": "Bo", "age": "7", "when": "2026-01-02"}',
        {"name": "Bo", "age": 7, "when": "2026-01-02"},
    ),
    ('{"name": "Bo", "when": "soon"}', AGAIN),
    ('{"name": "Bo", "when": "2026-1-2"}', AGAIN),
    ('{"name": "Bo", "when": 2026}', AGAIN),
    ('{"name": "Bo", "when": null}', AGAIN),
    ('{"name": "Bo", "age": true, "when": "2026-01-02"}', AGAIN),
    ('{"name": "Bo", "age": "unknown", "when": "2026-01-02"}', AGAIN),
    ('{"name": "Bo", "when": "2026-01-02", "more": 1}', AGAIN),
]
SCALARS: list[tuple[str, str, Any]] = [
    ("choice", "2", "2"),
    ("choice", "2.", "2"),
    ("choice", "true", AGAIN),
    ("choice", "4", AGAIN),
    ("int", "42", 42),
    ("int", "**42**", AGAIN),
    ("int", "about 42", AGAIN),
    ("int", '{"answer": "4,200"}', AGAIN),
    ("int", '{"answer": false}', AGAIN),
    ("int", '{"answer": 123456789012345678901}', 123456789012345678901),
    ("float", '{"answer": "1.50"}', 1.5),
    ("float", '{"answer": "nan"}', AGAIN),
    ("float", '{"answer": NaN}', AGAIN),
    ("float", '{"answer": 1e999}', AGAIN),
    ("bool", "true", True),
    ("bool", '{"answer": "false"}', False),
    ("bool", '{"answer": 0}', AGAIN),
    ("bool", "yes", AGAIN),
    ("date", '"2026-01-02"', date(2026, 1, 2)),
    ("date", "2026", AGAIN),
    ("date", '{"answer": 20260102}', AGAIN),
    ("date", '{"answer": "20260102"}', AGAIN),
    ("json", '```json\n{"a": 2}\n```', {"a": 2}),
    ("json", '{"a": 2} {"a": 3}', AGAIN),
    ("json", 'such as {"a": 2}', AGAIN),
    ("json", "I can't tell, see [1].", AGAIN),
    ("json", '{"a": 2}, as [1] says.', {"a": 2}),
    ("numbers", "I can't tell: [1] and [2] differ.", AGAIN),
    ("numbers", "Here:\n[4, 5]\nThat's all.", [4, 5]),
    ("numbers", '{"items": [4, "5"]}, as [1] says.', [4, 5]),
    ("numbers", "[4, true]", AGAIN),
]

# The name of a type in `RIGHT`, an answer, and what must become of it.
BROKEN: list[tuple[str, str, Any]] = [
    *(("letter", *case) for case in LETTERS),
    *(("bill", *case) for case in BILLS),
    *(("kind", *case) for case in KINDS),
    *(("level", *case) for case in LEVELS),
    *(("letters", *case) for case in LISTS),
    *(("fields", *case) for case in RECORDS),
    *SCALARS,
]
