"""`flowpool sim`: the simulator's server, to be like the provider that a person's words describe."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from flowpool.cli.options import rate_options, seed_option
from flowpool.errors import InvalidInput
from flowpool.folders import local_path
from flowpool.simulator.profile import (
    FAULTS,
    PROFILES,
    Profile,
    find_profile,
    parse_faults,
    parse_latency,
)
from flowpool.worlds.kinds import KINDS


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8090,
    metavar="N",
    help="Port to listen on; 0 takes a free one. [8090]",
)
@click.option(
    "--profile",
    metavar="NAME",
    default="free",
    help=f"Which provider to be like: {', '.join(PROFILES)}. [free: no limits, no wait]",
)
@click.option(
    "--latency",
    metavar="S",
    help="Seconds an answer takes; or lognormal:MEDIAN,SIGMA, or tokens:FIRST,PER_TOKEN. "
    "[the profile's]",
)
@click.option(
    "--slots", type=int, metavar="N", help="Calls served at once; more wait. [the profile's]"
)
@rate_options("Most {} a minute. [the profile's]")
@click.option(
    "--world",
    metavar="SPEC",
    help="What admits and refuses calls instead of the limits: a kind and its parameters, as in "
    f"'cap most=20', two joined by +, or any. Kinds: {', '.join(KINDS)}. [none]",
)
@click.option(
    "--world-seed", type=int, metavar="N", help="Draws what the world leaves open. [0, any world]"
)
@seed_option("Of its randomness. [0]", default=0)
@click.option(
    "--pages",
    metavar="DIR|demo",
    help="HTML files to serve at /pages/, or the demo's 200 documents. [none]",
)
@click.option(
    "--page-latency", type=float, default=0.0, metavar="S", help="Seconds a page takes. [0]"
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND=RATE",
    help="How often a call fails and how, as in 500=0.01; may be repeated. "
    f"Kinds: {', '.join(FAULTS)}. [none]",
)
def sim(
    port: int,
    profile: str,
    seed: int,
    pages: str | None,
    page_latency: float,
    latency: str | None,
    faults: tuple[str, ...],
    world: str | None,
    world_seed: int | None,
    **limits: Any,
) -> int:
    """Serve a simulated provider until Ctrl-C, to develop and test against without a key.

    It speaks the APIs of OpenAI, Anthropic and Google on 127.0.0.1 and answers with extracts of what it is
    given, tools and vectors included. [[sim: 500 times=2]] in a prompt makes that call fail twice,
    [[sim: bad=fence asks=1]] spoils the JSON of its first answer, [[sim: call=NAME]] calls that tool first.
    """
    from flowpool.simulator.process import run_server

    chosen = _profile(profile, latency, faults, limits)
    if world is not None or world_seed is not None:
        chosen = chosen.replace(world=world or "any", world_seed=world_seed or 0)
    with ExitStack() as stack:
        folder = _pages(pages, stack)
        try:
            run_server(chosen, port=port, seed=seed, pages_dir=folder, page_latency=page_latency)
        except OSError as error:
            raise InvalidInput(f"--port {port}: {error.strerror}: choose another.") from None
    return 0


def _profile(
    name: str, latency: str | None, faults: tuple[str, ...], limits: dict[str, Any]
) -> Profile:
    changes = {name: value for name, value in limits.items() if value is not None}
    if latency is not None:
        changes["latency"] = parse_latency(latency)
    if faults:
        changes["faults"] = parse_faults(",".join(faults))
    return find_profile(name).replace(**changes)


def _pages(pages: str | None, stack: ExitStack) -> Path | None:
    if pages is None:
        return None
    if pages != "demo":
        folder = local_path(pages)
        if not folder.is_dir():
            raise InvalidInput(f"--pages {pages}: no such directory.")
        return folder
    from flowpool.demo.jobs import write_pages

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flowpool-pages-")))
    write_pages(folder)
    return folder
