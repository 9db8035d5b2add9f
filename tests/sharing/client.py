"""A small run of its own process: calls a server at `share * rate` until SIGTERM, then prints its books.

    python client.py DIRECTORY FINGERPRINT HOST:PORT RATE [DEMAND]

Times are monotonic seconds, which processes of one machine have in common.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from http.client import HTTPConnection
from math import inf
from pathlib import Path

from flowpool.sharing import Sharing

TICK = 0.2
CATCH_UP = 0.05  # seconds that a late wake-up may make good
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]})
HEADERS = {"authorization": "Bearer key-canary", "content-type": "application/json"}


def call(connection: HTTPConnection) -> int:
    connection.request("POST", "/v1/chat/completions", BODY, HEADERS)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def main(directory: str, fingerprint: str, address: str, rate: float, demand: float) -> None:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    connection = HTTPConnection(address)
    sharing = Sharing(Path(directory))
    member = sharing.join(fingerprint, time.monotonic())
    print("ready", flush=True)
    answers: list[float] = []
    shares: list[tuple[float, float]] = []
    refused = 0
    cpu = 0.0
    due = tick = time.monotonic()
    while not stopped:
        now = time.monotonic()
        if now >= tick:
            begun = time.thread_time()
            share = member.publish(now, demand, limit=rate, snapshot=b'{"rate": %d}' % rate)
            cpu += time.thread_time() - begun
            shares.append((now, share))
            tick = max(tick + TICK, now)
        if now < due:
            time.sleep(max(0.0, min(due, tick) - now))
            continue
        due = max(due, now - CATCH_UP) + 1.0 / min(demand, member.share * rate)
        if call(connection) == 200:
            answers.append(time.monotonic())
        else:
            refused += 1
    member.leave()
    connection.close()
    print(json.dumps({"answers": answers, "shares": shares, "refused": refused, "cpu": cpu}))


if __name__ == "__main__":
    directory, fingerprint, address, rate, *demand = sys.argv[1:]
    main(directory, fingerprint, address, float(rate), float(demand[0]) if demand else inf)
