"""A world behind the provider's HTTP: requests become calls, and what the world says becomes plans.

played = PlayedWorld("cap most=20", seed=0)
offered, call = played.offer(now, input_tokens=100, output_tokens=20, max_tokens=None)
"""

from __future__ import annotations

from flowpool.worlds import Arrival, Served, TurnedAway, draw_scene

# Bodies of refusals that a proxy writes, not the API behind it.
NGINX = (
    "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n"
    "<hr><center>nginx/1.27.0</center>\r\n</body>\r\n</html>\r\n"
)
HAPROXY = (
    "<html><body><h1>503 Service Unavailable</h1>\n"
    "No server is available to handle this request.\n</body></html>\n"
)
PHRASES = {
    429: "429 Too Many Requests",
    503: "503 Service Temporarily Unavailable",
    529: "529 Site is overloaded",
}
# What an API's own refusals say.
MESSAGES = {
    429: "Rate limit reached. Please try again later.",
    503: "That model is currently overloaded with other requests.",
    529: "Overloaded",
}


class PlayedWorld:
    """A world whose first moment is the first request. speed: how many times faster than real it runs."""

    def __init__(self, spec: str, seed: int, speed: float = 1.0) -> None:
        self.scene = draw_scene(spec, seed)
        self.world = self.scene.world()
        self.speed = speed
        self.opened: float | None = None

    @property
    def style(self) -> str:
        """Whose limit headers are sent, "none" for none."""
        return self.world.replies.style

    def offer(
        self, now: float, input_tokens: int, output_tokens: int, max_tokens: int | None
    ) -> tuple[Served | TurnedAway, Arrival]:
        """What becomes of a request; durations in the answer are the world's, to be divided by `speed`."""
        if self.opened is None:
            self.opened = now
        call = Arrival(
            input_tokens, output_tokens, output_tokens if max_tokens is None else max_tokens
        )
        return self.world.offer((now - self.opened) * self.speed, call), call

    def ended(self, now: float, call: Arrival) -> None:
        """An admitted request is over."""
        self.world.ended((now - (self.opened or 0.0)) * self.speed, call)


def page_of(refused: TurnedAway) -> str:
    """The page of a proxy that refuses, "" where the API itself does."""
    if refused.voice == "api":
        return ""
    if refused.voice == "haproxy":
        return HAPROXY
    return NGINX.format(status=PHRASES[refused.status])


def message_of(refused: TurnedAway) -> str:
    """What an API says of a refusal, with the limit's name where it names one."""
    if refused.dimension is None or refused.status != 429:
        return MESSAGES[refused.status]
    return f"The limit of {refused.dimension} is reached. Please try again later."
