"""`python -m bench servers [NAME ...]`: the block of real servers, and of worlds on real sockets."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench.common import print_table
from bench.servers.engines import LlamaCpp, Vllm
from bench.servers.gateways import Aimock, LiteLlm
from bench.servers.measuring import RealServer, Settings
from bench.servers.process import ServerError
from bench.servers.proxies import Haproxy, Nginx
from bench.servers.sockets import Sockets

SERVERS: dict[str, RealServer] = {
    server.name: server
    for server in (Sockets(), Nginx(), Haproxy(), LlamaCpp(), Vllm(), Aimock(), LiteLlm())
}


def main(*words: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench servers",
        description="What a pool with nothing configured reaches against real servers, the plain loop beside it.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SERVERS)} [all]")
    parser.add_argument("--runs", type=int, default=3, help="of each row; medians are shown [3]")
    parser.add_argument("--installed", type=Path, default=Path(".venv"), metavar="DIR",
                        help="where the servers' own environments are [.venv]")  # fmt: skip
    parser.add_argument("--url", default="", help="of an engine that runs already, without /v1")
    parser.add_argument("--no-plain", action="store_true", help="leave the plain loop out")
    parser.add_argument(
        "--only", default="", metavar="WORDS", help="rows whose world has these words"
    )
    options = parser.parse_args(words)
    unknown = set(options.names) - SERVERS.keys()
    if unknown:
        sys.exit(f"no server {unknown.pop()!r}: there are {', '.join(SERVERS)}")
    settings = Settings(
        options.runs, options.installed, options.url, not options.no_plain, options.only
    )
    rows, absent = [], []
    for name in options.names or SERVERS:
        server = SERVERS[name]
        if not server.is_installed(settings):
            absent.append(f"{name} is not installed: {server.hint}")
            continue
        print(f"{name} ...", file=sys.stderr)
        try:
            rows += server.measure(settings)
        except ServerError as error:
            absent.append(f"{name} could not be measured: {error}")
    if rows:
        print_table(rows)
        # Figures of a machine that does other things too are worth little: say so.
        print(f"\nMedians of {settings.runs}. Load of {os.cpu_count()} cores: {_load()}.")
    print(*absent, sep="\n")


def _load() -> str:
    return f"{os.getloadavg()[1]:.1f}" if hasattr(os, "getloadavg") else "unknown"
