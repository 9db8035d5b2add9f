"""What the command line's tests share: the real command in a process of its own, and a provider to ask."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowpool.simulator import Fixed, Profile, SimServer

COMMAND = (sys.executable, "-W", "error", "-m", "flowpool.cli")
KEY = "key-canary"
STORED_RUN = ("run", "skill.yaml", "-i", "rows.jsonl", "-o", "out.jsonl", "--store", "run.db")


@pytest.fixture(scope="session")
def server() -> Iterator[SimServer]:
    with SimServer(latency=Fixed(0.02)) as sim:
        yield sim


@pytest.fixture
def sim(server: SimServer) -> SimServer:
    server.reset(Profile(latency=Fixed(0.02)))  # a test may have set another
    return server


class Command:
    """Starts `flowpool` in a directory that has a skill and rows, with a key for the simulator."""

    def __init__(self, folder: Path, sim: SimServer) -> None:
        self.folder = folder
        self.env = os.environ | {"OPENAI_BASE_URL": f"{sim.url}/v1", "OPENAI_API_KEY": KEY}
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        # Without a buffer: `communicate` wouldn't see what `readline` took too much.
        process = subprocess.Popen(
            (*COMMAND, *arguments), cwd=self.folder, env=self.env, bufsize=0, **(pipes | options)
        )
        self.started.append(process)
        return process

    def __call__(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """The exit code, and what went to standard output and standard error."""
        process = self.start(*arguments)
        out, err = process.communicate(stdin, timeout=60)
        return process.returncode, out.decode(), err.decode()

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def write_rows(self, texts: list[str], name: str = "rows.jsonl") -> str:
        return self.write(name, "".join(json.dumps({"text": text}) + "\n" for text in texts))

    def read(self, name: str = "out.jsonl") -> list[dict[str, Any]]:
        lines = (self.folder / name).read_bytes().splitlines()
        return [json.loads(line) for line in lines]

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of a CSV file."""
        with (self.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def flowpool(tmp_path: Path, sim: SimServer) -> Iterator[Command]:
    command = Command(tmp_path, sim)
    command.write("skill.yaml", 'model: gpt-5-mini\nprompt: "Repeat this:\\n\\n{text}"\n')
    yield command
    for process in command.started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
            pipe.close()


@pytest.fixture
def stored(flowpool: Command) -> Command:
    """A store with three items done and one failed."""
    flowpool.write_rows(["One.", "Two.", "Bad. [[sim: 400]]", "Three."])
    assert flowpool(*STORED_RUN)[0] == 1
    return flowpool
