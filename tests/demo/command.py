"""`flowpool demo` as a process."""

from __future__ import annotations

import os
import subprocess
import sys

KEYLESS = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "ANTHROPIC_"))}


def run_command(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "flowpool.cli", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=100)
