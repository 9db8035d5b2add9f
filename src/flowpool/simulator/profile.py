"""What a simulated provider is like: limits, slots, latency, faults. Plain data, nothing runs here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from flowpool.errors import InvalidInput

Fault = Literal[
    "400", "401", "402", "403", "404", "408", "409", "413", "422",
    "429", "500", "502", "503", "504", "529", "quota",
    "reset", "cut", "stall", "slow",
    "empty", "not-json", "error-in-200", "truncate", "refuse", "filter",
]  # fmt: skip
FAULTS: tuple[str, ...] = get_args(Fault)


class Fixed(Struct, frozen=True, tag="fixed"):
    """Every answer takes `seconds`."""

    seconds: float = 0.0

    def sample(self, random: Random, output_tokens: int) -> float:
        return self.seconds

    def scaled(self, scale: float) -> Fixed:
        return Fixed(self.seconds / scale)


class Lognormal(Struct, frozen=True, tag="lognormal"):
    """Answers take `median` seconds, spread by `sigma` (0.5: one in 20 takes 2.3 times as long)."""

    median: float
    sigma: float = 0.5

    def sample(self, random: Random, output_tokens: int) -> float:
        return self.median * math.exp(random.gauss(0.0, self.sigma))

    def scaled(self, scale: float) -> Lognormal:
        return Lognormal(self.median / scale, self.sigma)


class PerToken(Struct, frozen=True, tag="tokens"):
    """`first` seconds to the first token, then `per_output_token` seconds for each."""

    first: float
    per_output_token: float

    def sample(self, random: Random, output_tokens: int) -> float:
        return self.first + self.per_output_token * output_tokens

    def scaled(self, scale: float) -> PerToken:
        return PerToken(self.first / scale, self.per_output_token / scale)


Latency = Fixed | Lognormal | PerToken
Flavour = Literal["openai", "anthropic", "mistral", "gemini", "none"]


class Profile(Struct, frozen=True, kw_only=True):
    """How a provider behaves.

    rpm, tpm, input_tpm, output_tpm: requests and tokens a minute; None leaves one open. Each key and
        model has these limits for itself; slots are the server's.
    rpd: requests a day; the headers then speak of the day's requests, as Groq's do.
    depth: seconds of each rate that its bucket holds when full.
    headers: whose limit headers are sent; "gemini" and "none" send none.
    meaning: what the limit header says. "capacity": the bucket's size. "hidden": the bucket's size,
        while a bucket of `hidden_window` seconds is enforced too. "rate": the rate a minute, with
        `remaining` the level of the bucket, however small.
    charges: "reserved" takes the larger of max_tokens and the input's estimate on admission;
        "produced" takes the input on admission and the output as it is produced.
    slots: calls served at once, None for any number; more wait, or get a 503 when `queue_limit` wait.
    faults: probability of each fault, by name.
    outages: (start, end) seconds after the first request; `outage`: the fault they show.
    retry_after: seconds a planted 429 asks to wait. error_latency: seconds until an error is sent.
    slow_seconds: how long the body of a "slow" answer trickles.
    answer_chars: None lets the embedded model answer; a number gives that many fixed characters, at no
        cost, for benches.
    schemas: whether a JSON Schema may be sent, or a tool forced; else such a request gets a 400.
    time_scale: how many times faster than real all this runs.
    world: what admits and refuses calls instead of the limits, slots and latency above, as in "cap most=20 +
        chance share=0.01"; `world_seed` draws what it leaves open. Its headers are its own.
    """

    name: str = "custom"
    headers: Flavour = "none"
    rpm: float | None = None
    tpm: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    rpd: float | None = None
    depth: float = 60.0
    meaning: Literal["capacity", "hidden", "rate"] = "capacity"
    hidden_window: float = 1.0
    charges: Literal["reserved", "produced"] = "produced"
    slots: int | None = None
    queue_limit: int | None = None
    latency: Latency = Fixed(0.0)
    faults: Mapping[str, float] = {}
    outages: tuple[tuple[float, float], ...] = ()
    outage: Fault = "503"
    retry_after: float | None = None
    error_latency: float = 0.0
    slow_seconds: float = 5.0
    answer_chars: int | None = None
    schemas: bool = True
    time_scale: float = 1.0
    world: str | None = None
    world_seed: int = 0

    def __post_init__(self) -> None:
        check_faults(self.faults)
        if self.slots is not None and self.slots < 1:
            raise InvalidInput(f"slots={self.slots}: use 1 or more, or None for any number")
        if self.time_scale <= 0:
            raise InvalidInput(f"time_scale={self.time_scale}: use a number above 0")
        if self.depth <= 0 or self.hidden_window <= 0:
            raise InvalidInput("depth and hidden_window are seconds above 0")
        for name in ("rpm", "tpm", "input_tpm", "output_tpm", "rpd"):
            rate = getattr(self, name)
            if rate is not None and rate <= 0:
                raise InvalidInput(f"{name}={rate}: use a rate above 0, or None for no limit")

    def replace(self, **changes: Any) -> Profile:
        """This profile with some fields changed: `PROFILES["openai"].replace(rpm=600)`."""
        unknown = changes.keys() - set(self.__struct_fields__)
        if unknown:
            raise InvalidInput(f"{sorted(unknown)[0]}: a profile has {', '.join(FIELDS)}")
        return msgspec.structs.replace(self, **changes)

    def scaled(self) -> Profile:
        """The same behaviour with `time_scale` worked into every rate and duration."""
        scale = self.time_scale
        if scale == 1.0:
            return self

        def faster(rate: float | None) -> float | None:
            return None if rate is None else rate * scale

        return self.replace(
            rpm=faster(self.rpm),
            tpm=faster(self.tpm),
            input_tpm=faster(self.input_tpm),
            output_tpm=faster(self.output_tpm),
            rpd=faster(self.rpd),
            depth=self.depth / scale,
            hidden_window=self.hidden_window / scale,
            latency=self.latency.scaled(scale),
            outages=tuple((start / scale, end / scale) for start, end in self.outages),
            retry_after=None if self.retry_after is None else self.retry_after / scale,
            error_latency=self.error_latency / scale,
            slow_seconds=self.slow_seconds / scale,
            time_scale=1.0,
        )


FIELDS = Profile.__struct_fields__


def check_faults(faults: Mapping[str, float]) -> None:
    for name, probability in faults.items():
        if name not in FAULTS:
            raise InvalidInput(f"fault {name!r}: use one of {', '.join(FAULTS)}")
        if not 0 <= probability <= 1:
            raise InvalidInput(f"fault {name}={probability}: use a probability from 0 to 1")
    if sum(faults.values()) > 1 + 1e-9:
        raise InvalidInput("the probabilities of all faults add up to more than 1")


def parse_latency(text: str) -> Latency:
    """A latency as a person writes it: "0.5", "lognormal:1.2,0.4" or "tokens:0.3,0.01" (s)."""
    kind, _, rest = text.rpartition(":")
    try:
        numbers = [float(number) for number in rest.split(",")]
        if kind == "lognormal":
            return Lognormal(*numbers)
        if kind == "tokens":
            return PerToken(*numbers)
        if kind in ("", "fixed"):
            return Fixed(*numbers)
    except (TypeError, ValueError):
        pass
    raise InvalidInput(
        f"latency {text!r}: write seconds (0.5), lognormal:MEDIAN,SIGMA or tokens:FIRST,PER_TOKEN"
    )


def parse_faults(text: str) -> dict[str, float]:
    """Fault rates as a person writes them: "500=0.01,reset=0.02"."""
    faults: dict[str, float] = {}
    for piece in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, probability = piece.partition("=")
        try:
            faults[name.strip()] = float(probability)
        except ValueError:
            raise InvalidInput(f"fault {piece!r}: write NAME=PROBABILITY, as in 500=0.01") from None
    check_faults(faults)
    return faults


_PRESETS = (
    Profile(name="free"),
    Profile(
        name="openai",
        headers="openai",
        rpm=5_000,
        tpm=2_000_000,
        charges="reserved",
        latency=Lognormal(1.2, 0.4),
        error_latency=0.05,
        retry_after=1.0,
    ),
    Profile(
        name="anthropic",
        headers="anthropic",
        rpm=4_000,
        input_tpm=2_000_000,
        output_tpm=400_000,
        latency=Lognormal(1.5, 0.4),
        error_latency=0.05,
        retry_after=1.0,
    ),
    Profile(
        name="google",
        headers="gemini",
        rpm=2_000,
        input_tpm=4_000_000,
        latency=Lognormal(1.0, 0.5),
        error_latency=0.05,
        retry_after=1.0,
    ),
    Profile(
        name="groq",
        headers="openai",
        rpm=1_000,
        rpd=500_000,
        tpm=300_000,
        charges="reserved",
        latency=PerToken(0.2, 0.002),
        error_latency=0.05,
        retry_after=1.0,
    ),
    Profile(
        name="mistral",
        headers="mistral",
        rpm=360,
        tpm=2_000_000,
        latency=Lognormal(1.0, 0.4),
        error_latency=0.05,
        retry_after=1.0,
    ),
    Profile(name="vllm", slots=64, latency=PerToken(0.05, 0.008)),
    Profile(name="ollama", slots=4, queue_limit=512, latency=PerToken(0.2, 0.02)),
)
PROFILES: dict[str, Profile] = {profile.name: profile for profile in _PRESETS}


def find_profile(name: str) -> Profile:
    """The preset called `name`; raises `InvalidInput` with the names there are."""
    if name not in PROFILES:
        raise InvalidInput(f"profile {name!r}: use one of {', '.join(PROFILES)}")
    return PROFILES[name]
