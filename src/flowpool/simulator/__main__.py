"""`python -m flowpool.simulator`: the simulator's server, as tests and benches start it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from flowpool.errors import InvalidInput
from flowpool.simulator.process import run_server
from flowpool.simulator.profile import (
    PROFILES,
    Profile,
    find_profile,
    parse_faults,
    parse_latency,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server that `argv` describes; returns the exit code."""
    options = _parser().parse_args(argv)
    if options.cpu is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {options.cpu})
    try:
        run_server(
            _profile(options),
            port=options.port,
            seed=options.seed,
            pages_dir=options.pages,
            page_latency=options.page_latency,
            child=options.child,
        )
    except (InvalidInput, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _profile(options: argparse.Namespace) -> Profile:
    if options.profile_json:
        profile = msgspec.json.decode(options.profile_json, type=Profile)
    else:
        profile = find_profile(options.profile)
    changes: dict[str, Any] = {
        name: value
        for name in ("rpm", "tpm", "slots", "time_scale", "answer_chars", "world", "world_seed")
        if (value := getattr(options, name)) is not None
    }
    if options.latency is not None:
        changes["latency"] = parse_latency(options.latency)
    if options.faults is not None:
        changes["faults"] = parse_faults(options.faults)
    return profile.replace(**changes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m flowpool.simulator", description=__doc__)
    add = parser.add_argument
    add("--profile", default="free", help=f"which provider to be: {', '.join(PROFILES)}")
    add("--profile-json", help="a whole profile as JSON instead")
    add("--port", type=int, default=8378, help="0 takes a free one")
    add("--seed", type=int, default=0, help="of latencies and faults")
    add("--latency", help="seconds, or lognormal:MEDIAN,SIGMA, or tokens:FIRST,PER_TOKEN")
    add("--faults", help="probabilities, as in 500=0.01,reset=0.02")
    add("--rpm", type=float, help="requests a minute")
    add("--tpm", type=float, help="tokens a minute")
    add("--slots", type=int, help="calls served at once")
    add("--world", help="what admits and refuses calls, as in 'cap most=20', or any")
    add("--world-seed", type=int, help="draws what the world leaves open")
    add("--time-scale", type=float, help="how many times faster than real")
    add("--answer-chars", type=int, help="answer with so many fixed characters")
    add("--pages", help="a directory of HTML files to serve at /pages/")
    add("--page-latency", type=float, default=0.0, help="seconds until a page is served")
    add("--cpu", type=int, help="the core to keep to")
    add(
        "--child", action="store_true", help="say in JSON where it listens, end with standard input"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
