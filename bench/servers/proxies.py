"""Proxies in front of a server of ours that takes all: what nginx refuses, and what HAProxy lets wait."""

from __future__ import annotations

import csv
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from bench.common import Row
from bench.servers.clients import Job
from bench.servers.measuring import (
    PLAIN_FLOWS,
    Comparison,
    Flows,
    Run,
    Settings,
    flows_in_words,
    repeat,
    run_client,
    say,
)
from bench.servers.process import Process, free_port, has_command, our_server

LATENCY = 0.2
WITHIN, REFUSED = 1.2, 0.05
RATE, NGINX_CALLS = 20, 200
MOST, HAPROXY_CALLS = 20, 600


class LimitReq(Struct):
    """How nginx's `limit_req` is set: the status that tells a refusal, and the calls that may come at once."""

    status: int
    burst: int = 0

    @property
    def bound(self) -> float:
        return (NGINX_CALLS - 1 - self.burst) / RATE + LATENCY

    @property
    def words(self) -> str:
        told = "503, its default" if self.status == 503 else str(self.status)
        return f"{told}, burst {self.burst}" if self.burst else f"{told}, no burst"


class Nginx:
    """`limit_req` of 20 a second for each key."""

    name = "nginx"
    hint = "apt-get install nginx, or your system's package of that name"

    def is_installed(self, settings: Settings) -> bool:
        return has_command("nginx") is not None

    def measure(self, settings: Settings) -> list[Row]:
        rows = []
        for limit in (LimitReq(503), LimitReq(429), LimitReq(503, 20), LimitReq(429, 20)):
            for flows in (PLAIN_FLOWS, "auto"):
                if settings.wants(limit.words):
                    rows.append(say(self._row(settings, limit, flows)))
        return rows

    def _row(self, settings: Settings, limit: LimitReq, flows: Flows) -> Row:
        def run(client: str, seed: int) -> Run:
            with _nginx(limit) as (url, log):
                figures = run_client(client, Job(url, NGINX_CALLS, flows))
                refused = log.read_text().split().count(str(limit.status))
            return Run(figures["wall"], int(figures["answered"]), refused, limit.bound)

        ours, plain = repeat(settings, run)
        name = f"nginx limit_req {RATE} a second ({limit.words}), {NGINX_CALLS} calls, {flows_in_words(flows)}"
        return Comparison(name, NGINX_CALLS, ours, plain, WITHIN, refused=REFUSED).row()


class Haproxy:
    """`maxconn 20`, for the server behind (more wait in its queue) or for the door itself (more wait outside)."""

    name = "haproxy"
    hint = "apt-get install haproxy, or your system's package of that name"

    def is_installed(self, settings: Settings) -> bool:
        return has_command("haproxy") is not None

    def measure(self, settings: Settings) -> list[Row]:
        rows = []
        for where in ("server", "frontend"):
            for flows in (PLAIN_FLOWS, "auto"):
                if settings.wants(where):
                    rows.append(say(self._row(settings, where, flows)))
        return rows

    def _row(self, settings: Settings, where: str, flows: Flows) -> Row:
        def run(client: str, seed: int) -> Run:
            with _haproxy(where) as (url, control):
                figures = run_client(client, Job(url, HAPROXY_CALLS, flows))
                refused = _errors(control)
            bound = HAPROXY_CALLS * LATENCY / MOST
            return Run(figures["wall"], int(figures["answered"]), refused, bound)

        ours, plain = repeat(settings, run)
        name = f"HAProxy maxconn {MOST} ({where}), {HAPROXY_CALLS} calls, {flows_in_words(flows)}"
        # Before a door that is full, kept connections wait for idle ones to end, a second each time.
        within = WITHIN if where == "server" else None
        return Comparison(name, HAPROXY_CALLS, ours, plain, within, refused=REFUSED).row()


@contextmanager
def _upstream() -> Iterator[int]:
    command, port = our_server("bench.servers.world_server", f"--latency={LATENCY}")
    with Process(command, port):
        yield port


@contextmanager
def _nginx(limit: LimitReq) -> Iterator[tuple[str, Path]]:
    """nginx with an empty zone, and the file where it writes each call's status."""
    port = free_port()
    burst = f" burst={limit.burst} nodelay" if limit.burst else ""
    with tempfile.TemporaryDirectory(prefix="flowpool-bench-") as name, _upstream() as upstream:
        folder = Path(name)
        temporary = "\n".join(
            f"  {kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        # Run by root, its workers would be somebody who can't write here.
        user = "user root;" if folder.stat().st_uid == 0 else ""
        Path(folder, "nginx.conf").write_text(f"""
{user}
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
{temporary}
  log_format status '$status';
  access_log {folder}/access.log status;
  limit_req_zone $http_authorization zone=key:1m rate={RATE}r/s;
  limit_req_status {limit.status};
  upstream ours {{ server 127.0.0.1:{upstream}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      limit_req zone=key{burst};
      proxy_pass http://ours; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}
}}
""")
        nginx = has_command("nginx")
        assert nginx is not None
        command = [nginx, "-e", f"{folder}/error.log", "-p", name, "-c", f"{folder}/nginx.conf"]
        with Process(command, port) as server:
            yield server.url, folder / "access.log"


@contextmanager
def _haproxy(where: str) -> Iterator[tuple[str, Path]]:
    """HAProxy, and the socket that tells its counters."""
    port = free_port()
    limit = f"maxconn {MOST}"
    with tempfile.TemporaryDirectory(prefix="flowpool-bench-") as name, _upstream() as upstream:
        control = Path(name, "control")
        config = Path(name, "haproxy.cfg")
        config.write_text(f"""
global
  maxconn 4000
  nbthread 1
  stats socket {control}
defaults
  mode http
  option http-ignore-probes
  timeout http-keep-alive 1s
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend door
  bind 127.0.0.1:{port} backlog 1024
  {limit if where == "frontend" else ""}
  default_backend ours
backend ours
  server one 127.0.0.1:{upstream} {limit if where == "server" else ""}
""")
        haproxy = has_command("haproxy")
        assert haproxy is not None
        with Process([haproxy, "-db", "-f", config], port) as server:
            yield server.url, control


def _errors(control: Path) -> int:
    """Answers of 4xx and 5xx that HAProxy gave at its door."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(control))
        asking.sendall(b"show stat\n")
        with asking.makefile() as answer:
            lines = csv.DictReader(line.removeprefix("# ") for line in answer if line.strip())
            door = next(line for line in lines if line["svname"] == "FRONTEND")
    return int(door["hrsp_4xx"]) + int(door["hrsp_5xx"])
