"""A pool of its own process, for a server: says "ready", runs once a line comes in, prints how many it has done.

python ceiling_client.py URL ITEMS TEXT LIMITS_AS_JSON
"""

from __future__ import annotations

import json
import sys

from flowpool import Limits, Model, Pool, Skill
from flowpool.pool import DONE


def main(url: str, count: int, text: str, limits: Limits) -> None:
    model = Model("m", base_url=url + "/v1", api_key="key-canary")
    items = [{"text": f"{text} {n}"} for n in range(count)]
    pool = Pool(Skill(model, prompt="{text}"), items, limits=limits, progress=False)
    print("ready", flush=True)
    sys.stdin.readline()
    pool.run()
    print(pool.status[DONE])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], Limits(**json.loads(sys.argv[4])))
