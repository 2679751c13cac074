"""The tutorial's worker: a Celery task per chain, its metrics in plain Python, its result in Redis.

Celery is set in the design's favour: JSON, early acknowledgement, no result bookkeeping of its own.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import redis
from celery import Celery

URL = os.environ["TUTORIAL_REDIS"]
DONE = "done"
LATENCIES = "latencies"

app = Celery("tutorial", broker=URL)
app.conf.update(
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=8,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)
store = redis.Redis.from_url(URL)

Row = dict[str, float]


def put_call_ratio(rows: list[Row], field: str) -> float | None:
    """Sum over the puts divided by the sum over the calls; None where no call has any."""
    calls = sum(row[f"call_{field}"] for row in rows)
    return sum(row[f"put_{field}"] for row in rows) / calls if calls else None


def max_pain(rows: list[Row]) -> float:
    """The strike at which writers pay least: every strike tried against every other."""

    def pain(settlement: float) -> float:
        total = 0.0
        for row in rows:
            total += row["call_oi"] * max(0.0, settlement - row["strike"])
            total += row["put_oi"] * max(0.0, row["strike"] - settlement)
        return total

    return float(min((row["strike"] for row in rows), key=pain))


@app.task(name="enrich")  # type: ignore[untyped-decorator]  # Celery ships no types
def enrich(chain: dict[str, Any], published_ns: int, *, sampled: bool) -> None:
    """Compute a chain's metrics and store them as JSON under its product.

    Args:
        chain: product, spot and rows of one snapshot.
        published_ns: when the publisher took its stamp.
        sampled: record how long it took until the result was stored.
    """
    rows = chain["rows"]
    nearest = min(rows, key=lambda row: abs(row["strike"] - chain["spot"]))
    result = {
        "product": chain["product"],
        "timestamp": chain["timestamp"],
        "pcr_oi": put_call_ratio(rows, "oi"),
        "pcr_volume": put_call_ratio(rows, "volume"),
        "max_pain_strike": max_pain(rows),
        "atm_strike": nearest["strike"],
        "atm_straddle_price": nearest["call_last"] + nearest["put_last"],
    }
    with store.pipeline(transaction=False) as pipe:
        pipe.set(f"enriched:{chain['product']}", json.dumps(result))
        pipe.incr(DONE)
        pipe.execute()
    if sampled:
        store.rpush(LATENCIES, time.time_ns() - published_ns)
