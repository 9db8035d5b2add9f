"""A scene: one world whose parameters are settled, the work that is sent to it, and the oracle's time for that.

scene = draw_scene("cap most=20 + chance share=0.01..0.05", seed=7)
scene.spec      # the same in numbers: whoever reads it back gets this world
scene.words     # in words
world = scene.world()
scene.oracle()  # seconds
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Any

from flowpool.errors import InvalidInput
from flowpool.worlds.draw import Draw, Piece, parse, written
from flowpool.worlds.kinds import INPUT, KINDS, OUTPUT, Part, Service
from flowpool.worlds.oracle import OracleRun, oracle_run
from flowpool.worlds.replies import Replies
from flowpool.worlds.servers import AnswerQueue, Batching
from flowpool.worlds.values import Arrival
from flowpool.worlds.world import World

# Seconds that the work lasts for an oracle where the number of items isn't given, and calls. After a deep bucket's
# burst its rate binds for `BINDS` seconds at least, however many calls that makes.
SHORT, LONG, BINDS = 15.0, 35.0, 8.0
FEWEST, MOST = 150, 1500
# Fixed windows of which a batching server's oracle takes the best.
WINDOWS = (16, 32, 64, 96, 128, 192, 256)
# Parameters that belong to a whole world, whichever mechanism they are written behind.
COMMON = ("latency", "sigma", "late", "retry", "headers", "style", "names", "refusal", "items",
          "ceiling", "spread", "per_token")  # fmt: skip


# What stands for a world of any kind, or two.
ANY = "any"
# Kinds that are a server: an address has one.
SERVERS = ("queue", "haproxy", "slots", "halved", "batching")


class Scene:
    """A world of settled parameters and the work for it.

    items, ceiling: how many calls, and how many an oracle has in flight at most. refuses: whether any call can be
    refused. pushy: whether taking no notice of refusals can beat the oracle.
    """

    def __init__(self, text: str, seed: int) -> None:
        self.seed = seed
        random = Random(f"{text} {seed}")
        pieces = parse(_anything(random) if text == ANY else text)
        whole, own = _apart(pieces)
        common = Draw(random, whole)
        self.service = Service(common.number("latency", 0.1, 1.0), _sigma(common))
        draws = [(kind, Draw(random, given)) for kind, given in own]
        self.parts = _parts(text, draws, self.service)
        self.replies = _reply_settings(common)
        self.per_token = common.number("per_token", 0.0, 0.0)
        self.refuses = any(part.refuses for part in self.parts)
        self.pushy = any(part.pushy for part in self.parts)
        self.items, self.ceiling = self._work(common)
        self.spread = common.number("spread", 1.5, 1.5)
        self.words = "; ".join(part.words for part in self.parts) + self._reply_words()
        specs = [written(kind, draw.drawn) for kind, draw in draws]
        specs[0] = written(specs[0], common.drawn)
        self.spec = " + ".join(specs)

    def _work(self, common: Draw) -> tuple[int, int]:
        binding = min(self.parts, key=lambda part: part.pace)
        pace, burst = binding.pace, binding.burst
        lasts = common.random.uniform(SHORT, LONG)
        # Where nothing binds, the work is what 100 at once do in some seconds.
        calls = burst + pace * lasts if pace < math.inf else 100.0 * lasts / self.service.mean / 4.0
        # Enough for the limit to bind for a while, however deep the bucket was.
        longest = max(MOST, burst + pace * BINDS) if pace < math.inf else MOST
        calls = min(longest, max(FEWEST, calls))
        if window := binding.window:
            # Half of the last window stays free: else one call too late in another costs a whole one.
            calls = (max(1.0, calls // window) + 0.5) * window
        items = common.whole("items", int(calls), int(calls))
        # Where something binds, it is to be the bound; else an oracle is held to the plain loop's 100.
        most = 100 if pace == math.inf else 1000
        return items, common.whole("ceiling", most, most)

    def world(self) -> World:
        """The world at its first moment; each one that is made has the same luck."""
        random = Random(f"{self.spec} {self.seed}")
        luck = [Random(random.getrandbits(64)) for _ in range(len(self.parts) + 2)]
        gates = [p.gate(r) for p, r in zip(self.parts, luck[2:], strict=True) if p.gate is not None]
        gates.sort(key=lambda gate: gate.last)
        makers = [part.server for part in self.parts if part.server is not None]
        if makers:
            server = makers[0](luck[0], self.service)
        else:
            server = AnswerQueue(self.service.median, self.service.sigma, luck[0])
        server.per_token = self.per_token
        return World(gates, server, Replies(luck[1], **self.replies))

    def calls(self) -> list[Arrival]:
        """The work: `spread` is how far input and output go from their mean, up and down, evenly by ratio."""
        random, low = Random(f"calls {self.spec} {self.seed}"), -math.log(self.spread)
        scale = 2.0 * -low / (self.spread - 1.0 / self.spread) if self.spread > 1.0 else 1.0
        calls = []
        for _ in range(self.items):
            given = scale * math.exp(random.uniform(low, -low))
            said = scale * math.exp(random.uniform(low, -low))
            output = max(1, round(OUTPUT * said))
            calls.append(Arrival(max(1, round(INPUT * given)), output, output))
        return calls

    def oracle(self) -> float:
        """Seconds in which somebody who knows the world could have all answers; see `oracle`."""
        return self.oracle_run().seconds

    def oracle_run(self) -> OracleRun:
        """The same with the median latency."""
        calls = self.calls()
        if isinstance(self.world().server, Batching):
            # Wide windows give more answers a second and longer last ones: the best of the fixed ones.
            runs = (oracle_run(self.world(), calls, n) for n in WINDOWS if n <= self.ceiling)
            return min(runs, key=lambda run: run.seconds)
        return oracle_run(self.world(), calls, self.ceiling)

    def _reply_words(self) -> str:
        says = self.replies
        words = ""
        if says["late"]:
            words += f"; refused after {says['late']:g} s of work"
        if says["retry"] != "absent":
            words += f"; Retry-After {says['retry']}"
        if says["headers"] != "absent":
            words += f"; headers {says['headers']}"
        if says["names"]:
            words += "; refusals name the limit"
        return words


def _anything(random: Random) -> str:
    """One kind, or two at once."""
    kinds = random.sample([kind for kind in KINDS if kind != "calm"], random.choice((1, 2)))
    servers = [kind for kind in kinds if kind in SERVERS]
    return " + ".join(kinds[:1] if len(servers) == 2 else kinds)


def draw_scene(text: str, seed: int) -> Scene:
    """The world and work that `text` describes, what it leaves open drawn by `seed`.

    `any` is a world of any kind, or of two. Raises `InvalidInput` where the text can't be read.
    """
    return Scene(text, seed)


def _apart(pieces: list[Piece]) -> tuple[dict[str, str], list[Piece]]:
    """What is given of the whole world, and of each mechanism."""
    whole = {n: v for _, given in pieces for n, v in given.items() if n in COMMON}
    own = [(kind, {n: v for n, v in given.items() if n not in COMMON}) for kind, given in pieces]
    return whole, own


def _parts(text: str, draws: list[tuple[str, Draw]], service: Service) -> list[Part]:
    """The mechanisms. Refuses a kind or a parameter that there isn't, and a second server."""
    for kind, _ in draws:
        if kind not in KINDS:
            raise InvalidInput(f"world {kind!r}: use one of {', '.join(KINDS)}")
    parts = [KINDS[kind](draw, service) for kind, draw in draws]
    for kind, draw in draws:
        _check(kind, draw)
    if sum(part.server is not None for part in parts) > 1:
        raise InvalidInput(f"world {text!r}: two kinds of server can't stand behind one address")
    return parts


def _sigma(common: Draw) -> float:
    if "sigma" in common.given:
        return common.number("sigma", 0.0, 0.0)
    return float(common.pick("sigma", "0", "0.3", "0.6"))


def _reply_settings(common: Draw) -> Mapping[str, Any]:
    settings: dict[str, Any] = {
        "late": common.number("late", 0.0, 0.0),
        "retry": common.pick("retry", "absent", *_only(common, "retry", "right", "1", "60", "far")),
        "headers": common.pick(
            "headers", "absent",
            *_only(common, "headers", "right", "stale", "zero", "jumping", "refusals", "day"),
        ),
        "style": common.pick("style", "openai", *_only(common, "style", "anthropic", "mistral")),
        "names": common.pick("names", "no", *_only(common, "names", "yes")) == "yes",
    }  # fmt: skip
    if "refusal" in common.given:
        settings["status"] = int(common.pick("refusal", "429", "503", "529"))
    return settings


def _only(common: Draw, name: str, *words: str) -> tuple[str, ...]:
    """Words that count where they are asked for: unasked, a world speaks as plainly as it can."""
    return words if name in common.given else ()


def _check(kind: str, draw: Draw) -> None:
    unknown = draw.given.keys() - draw.drawn.keys()
    if unknown:
        known = ", ".join([*draw.drawn, *COMMON])
        raise InvalidInput(f"world {kind}: no parameter {sorted(unknown)[0]!r}; it has {known}")
