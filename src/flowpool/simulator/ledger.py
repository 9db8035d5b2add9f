"""The provider's own books: what was asked, answered and paid, whatever its clients believe."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Any


def digest_of(text: str) -> str:
    """A short name for a prompt, or for a key: never the thing itself."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class Ledger:
    """Counts of one provider since it started or was reset.

    A prompt counts as answered when the model's answer was sent in whole: what the client pays for
    and can use. `cut` and `abandoned` are calls that were served and whose answer went nowhere. `worked` has
    for each model the tokens, in and out, of all answers that it began to make: the most that can be billed.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.answers = 0
        self.throttled = 0
        self.cut = 0
        self.abandoned = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self.busy_seconds = 0.0
        self.input_tokens = 0
        self.output_tokens = 0
        self.worked: dict[str, tuple[int, int]] = {}
        self.first: float | None = None
        self.last: float | None = None
        self.statuses: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.keys: Counter[str] = Counter()
        self.answers_by_second: Counter[int] = Counter()
        self.requested: dict[str, int] = {}
        self.answered: dict[str, int] = {}

    def request(self, now: float, digest: str, model: str, key: str) -> None:
        self.requests += 1
        self.in_flight += 1
        if self.in_flight > self.peak_in_flight:
            self.peak_in_flight = self.in_flight
        if self.first is None:
            self.first = now
        self.last = now
        self.models[model] += 1
        self.keys[key] += 1
        self.requested[digest] = self.requested.get(digest, 0) + 1

    def work(self, model: str, input_tokens: int, output_tokens: int) -> None:
        sent, made = self.worked.get(model, (0, 0))
        self.worked[model] = sent + input_tokens, made + output_tokens

    def answer(self, now: float, digest: str, input_tokens: int, output_tokens: int) -> None:
        self.answers += 1
        self.answers_by_second[int(now)] += 1
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.answered[digest] = self.answered.get(digest, 0) + 1

    def closed(self, now: float, outcome: str) -> None:
        """A call is over: `outcome` is its HTTP status, or what became of its connection."""
        self.in_flight -= 1
        self.last = now
        self.statuses[outcome] += 1

    def requested_times(self, prompt: str) -> int:
        """How often this very prompt was asked, in whatever way it ended."""
        return self.requested.get(digest_of(prompt), 0)

    def answered_times(self, prompt: str) -> int:
        """How often this very prompt was answered in whole: paid for."""
        return self.answered.get(digest_of(prompt), 0)

    def as_dict(self, *, prompts: bool = True) -> dict[str, Any]:
        """Everything as JSON-ready values; `prompts=False` leaves out the counts of each prompt."""
        books: dict[str, Any] = {
            name: dict(value) if isinstance(value, Counter) else value
            for name, value in vars(self).items()
            if name not in ("requested", "answered")
        }
        books["answers_by_second"] = {str(s): n for s, n in sorted(self.answers_by_second.items())}
        books["prompts"] = len(self.requested)
        books["prompts_answered"] = len(self.answered)
        books["answered_again"] = self.answers - len(self.answered)
        books["most_answers_of_a_prompt"] = max(self.answered.values(), default=0)
        if prompts:
            books["requested"] = dict(self.requested)
            books["answered"] = dict(self.answered)
        return books

    def summary(self) -> str:
        """The books in a few lines for a person."""
        seconds = (self.last or 0.0) - (self.first or 0.0)
        rate = f" ({self.answers / seconds:,.1f} a second)" if seconds > 0 else ""
        statuses = ", ".join(f"{name} x {count}" for name, count in sorted(self.statuses.items()))
        return "\n".join(
            (
                f"{self.requests:,} requests, {self.answers:,} answers{rate}, "
                f"{self.throttled:,} over a limit",
                f"{len(self.requested):,} different prompts, "
                f"{self.answers - len(self.answered):,} answered again",
                f"{self.input_tokens:,} tokens in, {self.output_tokens:,} tokens out",
                f"at most {self.peak_in_flight:,} in flight, {self.in_flight:,} now; "
                f"{self.cut:,} cut, {self.abandoned:,} abandoned",
                f"by outcome: {statuses or 'none yet'}",
            )
        )
