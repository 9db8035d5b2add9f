"""Planted failures: `[[sim: 429 retry-after=0.2 times=2]]` in a prompt says how its call goes.

A directive names a fault, and takes `times=N` (only the first N requests for this very prompt), and
`retry-after=SECONDS` and `model=NAME` (only when that model is asked). `latency=SECONDS`,
`slow=SECONDS` and `say=TEXT` may stand without a fault. `bad=NAME` spoils the JSON that is asked for in a way
that models have; `asks=N` holds it and `say=` to the first N answers of a conversation. `call=NAME` calls that
tool first.
"""

from __future__ import annotations

import re

from msgspec import Struct

from flowpool.errors import InvalidInput
from flowpool.sim_model.spoiled import SPOILS
from flowpool.simulator.profile import FAULTS

# A list within a list may end in ]] too, but then goes on.
_DIRECTIVE = re.compile(r"\[\[sim:\s*(.*?)\s*\]\](?![\]},])", re.DOTALL)


class Directive(Struct, frozen=True):
    """What a prompt asks of the simulator. Seconds are the provider's own."""

    fault: str = ""
    times: int | None = None
    model: str | None = None
    retry_after: float | None = None
    latency: float | None = None
    slow: float | None = None
    say: str | None = None
    bad: str = ""
    asks: int | None = None
    call: str | None = None

    def plays(self, model: str, answers: int) -> bool:
        """Whether `say` and `bad` hold for this model, after so many answers in a conversation."""
        return self.model in (None, model) and (self.asks is None or answers < self.asks)


NOTHING = Directive()


def find_directive(text: str) -> Directive:
    """All directives of a prompt as one; raises `InvalidInput` for one that can't be read."""
    if "[[sim:" not in text:
        return NOTHING
    fields: dict[str, str | int | float] = {}
    for body in _DIRECTIVE.findall(text):
        if body.startswith("say="):
            fields["say"] = body[4:]
            continue
        for word in body.split():
            _read(word, fields)
    if "slow" in fields:
        fields.setdefault("fault", "slow")
    return Directive(**fields)  # type: ignore[arg-type]


def _read(word: str, fields: dict[str, str | int | float]) -> None:
    name, equals, value = word.partition("=")
    try:
        if not equals:
            if name not in FAULTS:
                raise ValueError
            fields["fault"] = name
        elif name in ("times", "asks"):
            fields[name] = int(value)
        elif name == "bad":
            if value not in SPOILS:
                raise ValueError
            fields["bad"] = value
        elif name in ("model", "call"):
            fields[name] = value
        elif name in ("retry-after", "latency", "slow"):
            fields[name.replace("-", "_")] = float(value)
        else:
            raise ValueError
    except ValueError:
        raise InvalidInput(
            f"[[sim: {word}]]: use say=, latency=, slow=, retry-after=, times=, asks=, model=, call=, "
            f"bad={'|'.join(SPOILS)} or one of {', '.join(FAULTS)}"
        ) from None


def without_directives(text: str) -> str:
    return _DIRECTIVE.sub("", text).strip() if "[[sim:" in text else text
