"""The simulator as a process of its own: `SimServer` for tests and benches, `run_server` for people."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from flowpool.simulator.profile import PROFILES, Profile, find_profile

# Seconds: a process on a busy machine may take several to import what it needs.
_START_TIMEOUT = 30.0


class SimServer:
    """A simulated provider in a subprocess, for the length of a `with` block.

    profile: a preset's name or a `Profile`; `changes` are fields of it to change.
    seed: of its randomness. pages_dir: HTML files to serve at `/pages/{name}`, each after `page_latency`
    seconds. cpu: the core that it keeps to. It ends with the block, or when this process dies.

        with SimServer("openai", rpm=600) as sim:
            client = openai.OpenAI(base_url=sim.url + "/v1", api_key="any")
            ...
            sim.ledger()["answers"]
    """

    def __init__(
        self,
        profile: str | Profile = "free",
        *,
        seed: int = 0,
        pages_dir: str | Path | None = None,
        page_latency: float = 0.0,
        cpu: int | None = None,
        port: int = 0,
        **changes: Any,
    ) -> None:
        found = find_profile(profile) if isinstance(profile, str) else profile
        self.profile = found.replace(**changes)
        self.url = ""
        self.pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [sys.executable, "-m", "flowpool.simulator", "--child", f"--seed={seed}"]
        self._command += [f"--port={port}", f"--page-latency={page_latency}"]
        self._command.append(f"--profile-json={msgspec.json.encode(self.profile).decode()}")
        if pages_dir is not None:
            self._command.append(f"--pages={pages_dir}")
        if cpu is not None:
            self._command.append(f"--cpu={cpu}")

    def start(self) -> SimServer:
        """Starts the server and waits until it listens; `with` does this."""
        path = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulator ended at once with {self._process.wait()}")
        ready = json.loads(line)
        self.url, self.pid = ready["url"], ready["pid"]
        return self

    def close(self) -> None:
        """Ends the server."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def ledger(self) -> dict[str, Any]:
        """The provider's books until now; see `Ledger`."""
        books: dict[str, Any] = json.loads(self._ask("/sim/ledger"))
        return books

    def reset(self, profile: Profile | None = None, **changes: Any) -> None:
        """A new ledger and full buckets, and another profile if one is given; cuts off calls."""
        body = b""
        if profile is not None or changes:
            self.profile = (profile or self.profile).replace(**changes)
            body = msgspec.json.encode(self.profile)
        self._ask("/sim/reset", body)

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        # A proxy of the environment must not stand between us and our own server.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(self.url + path, data=body)
        with opener.open(request, timeout=_START_TIMEOUT) as answer:
            content: bytes = answer.read()
            return content

    def __enter__(self) -> SimServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def run_server(
    profile: Profile | None = None,
    host: str = "127.0.0.1",
    port: int = 8378,
    seed: int = 0,
    pages_dir: str | Path | None = None,
    *,
    page_latency: float = 0.0,
    child: bool = False,
) -> None:
    """Serves until Ctrl-C, saying where and how to point a client at it, and at the end what happened.

    With `child`, it says so in one line of JSON and ends with its standard input instead. Raises
    `OSError` when the port is taken.
    """
    import uvloop

    served = _serve(profile or PROFILES["free"], host, port, seed, pages_dir, page_latency, child)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(served)


async def _serve(
    profile: Profile,
    host: str,
    port: int,
    seed: int,
    pages_dir: str | Path | None,
    page_latency: float,
    child: bool,
) -> None:
    from flowpool.simulator.pages import read_pages
    from flowpool.simulator.provider import SimulatedProvider
    from flowpool.simulator.server import serve

    pages = read_pages(pages_dir) if pages_dir is not None else None
    provider = SimulatedProvider(profile, seed)
    server = await serve(provider, host, port, pages, page_latency=page_latency)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    loop.add_signal_handler(signal.SIGINT, over.set)
    if child:
        print(json.dumps({"url": server.url, "port": server.port, "pid": os.getpid()}), flush=True)
        loop.add_reader(0, _until_closed, over)
    else:
        print(_how_to_use(server.url, profile, bool(pages)), flush=True)
        if provider.played is not None:
            scene = provider.played.scene
            print(
                f"Its world: {scene.words}.\n  --world '{scene.spec}' --world-seed {scene.seed}",
                flush=True,
            )
    await over.wait()
    summary = server.provider.ledger.summary()
    await server.aclose()
    if not child:
        print(f"\n{summary}")


def _until_closed(over: asyncio.Event) -> None:
    if not os.read(0, 4096):
        asyncio.get_running_loop().remove_reader(0)
        over.set()


def _how_to_use(url: str, profile: Profile, has_pages: bool) -> str:
    lines = [
        f"A simulated {profile.name} provider listens at {url}. Point clients at it with",
        f"  export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=any",
        f"  export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=any",
        f"  export GOOGLE_GEMINI_BASE_URL={url} GEMINI_API_KEY=any",
        f"Its books: {url}/sim/" + (f"  Its pages: {url}/pages/" if has_pages else ""),
        "Ctrl-C ends it.",
    ]
    return "\n".join(lines)
