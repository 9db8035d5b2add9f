"""What the run of 0.1.0 was made of that `stores/0.1.0.sql` holds. A change here is one that the store sees."""

from __future__ import annotations

from typing import Any

from flowpool import Chain, Image

ITEMS = [
    {"text": "one", "meta": {"b": 1, "a": 2}},
    {"text": "two", "meta": {"b": 3, "a": 4}},
    {"text": "two", "meta": {"b": 3, "a": 4}},
]
FIELDS = {"fields": {"said": "string", "by": "string"}}
PICTURE = b"\x89PNG\r\n\x1a\n" + b"picture"


def shout(said: str) -> str:
    """Louder."""
    return said.upper()


def chain(sim: Any, last: str = "the end: {c}") -> Chain:
    """Skills alone, so that every Python knows it again."""
    asked = sim.skill("{text} {meta}", name="first")
    said = sim.skill("say {a}", output=FIELDS)
    return Chain(
        [(asked, "a"), (said, "b", {}, {"retries": 1}), (sim.skill(last), "c", {"c": "said"})]
    )


def with_function(sim: Any) -> Chain:
    return Chain([(sim.skill("{text}"), "said"), (shout, "loud"), (sim.skill("end {loud}"), "end")])


def pictures(sim: Any) -> Any:
    return sim.skill(prompt=["Say", Image("a.png"), Image("{photo}")])


PHOTOS = [{"photo": "b.png"}, {"photo": "a.png"}]
