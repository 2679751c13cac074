"""Publishes chains to the tutorial's worker and prints what it carried, as one JSON object.

usage: load.py SECONDS_LOADED SECONDS_UNLOADED
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

from tasks import DONE, LATENCIES, enrich, store

STRIKES = 21
OUTSTANDING = 200  # enough that the worker never waits for the publisher
UNLOADED_PERIOD_S = 0.05
PATIENCE_S = 30.0


def chain(rng: random.Random, number: int) -> dict[str, Any]:
    """A snapshot of the tutorial's size and shape."""
    spot = 26_000.0 + rng.uniform(-50.0, 50.0)
    rows = []
    for index in range(STRIKES):
        row = {"strike": 25_500.0 + 50.0 * index}
        for side in ("call", "put"):
            row[f"{side}_oi"] = float(rng.randrange(1, 200_000))
            row[f"{side}_volume"] = float(rng.randrange(1, 500_000))
            row[f"{side}_last"] = round(rng.uniform(1.0, 600.0), 2)
            row[f"{side}_bid"] = row[f"{side}_last"] - 0.05
            row[f"{side}_ask"] = row[f"{side}_last"] + 0.05
        rows.append(row)
    return {"product": f"P{number % 8}", "timestamp": time.time_ns(), "spot": spot, "rows": rows}


def done() -> int:
    return int(store.get(DONE) or 0)


def wait_for(count: int) -> None:
    """Wait until so many results are stored; the worker's failure to get there is an error."""
    deadline = time.monotonic() + PATIENCE_S
    while done() < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{done()} of {count} results after {PATIENCE_S:g} s")
        time.sleep(0.005)


def publish(rng: random.Random, number: int, *, sampled: bool) -> None:
    snapshot = chain(rng, number)
    enrich.delay(snapshot, time.time_ns(), sampled=sampled)


def sustained(rng: random.Random, seconds: float) -> float:
    """Chains per second with the worker's queue never empty, counted between two moments of load."""
    base = published = done()
    finished = base

    def run(until: float) -> None:
        nonlocal published, finished
        while time.monotonic() < until:
            if published - finished < OUTSTANDING:
                for _ in range(10):
                    publish(rng, published, sampled=False)
                    published += 1
            else:
                time.sleep(0.002)
            finished = done()

    start = time.monotonic()
    run(start + 2.0)  # processes warm, queue full
    first, first_at = done(), time.monotonic()
    run(first_at + seconds)
    rate = (done() - first) / (time.monotonic() - first_at)
    wait_for(published)
    return rate


def unloaded(rng: random.Random, seconds: float) -> list[float]:
    """Milliseconds from the stamp before publishing to the stored result, one chain at a time."""
    store.delete(LATENCIES)
    for number in range(int(seconds / UNLOADED_PERIOD_S)):
        before = done()
        publish(rng, number, sampled=True)
        time.sleep(UNLOADED_PERIOD_S)
        wait_for(before + 1)
    time.sleep(0.1)
    return [int(value) / 1e6 for value in store.lrange(LATENCIES, 0, -1)]


def main() -> None:
    rng = random.Random(1)
    publish(rng, 0, sampled=False)
    wait_for(1)
    rate = sustained(rng, float(sys.argv[1]))
    print(json.dumps({"chains_per_s": rate, "latencies_ms": unloaded(rng, float(sys.argv[2]))}))


if __name__ == "__main__":
    main()
