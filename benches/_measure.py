"""How work is timed, DeltaStream's and its peers' alike.

The standard library alone: it runs in the peers' environments too.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

__all__ = ["publish", "samples"]

SAMPLE_S = 1e-3


def samples(work: Callable[[], object], *, at_least: int = 7, seconds: float = 2.0) -> list[float]:
    """Seconds of a call, once for each sample; calls shorter than a millisecond share one.

    The first call is not counted: it compiles, and touches what is touched but once.

    Args:
        work: what is measured.
        at_least: number of samples, however long they take.
        seconds: to go on for, where there are enough samples sooner.
    """
    clock = time.perf_counter
    work()
    calls, spent = 1, 0.0
    while True:
        start = clock()
        for _ in range(calls):
            work()
        spent = clock() - start
        if spent >= SAMPLE_S:
            break
        calls = max(2 * calls, int(1.2 * calls * SAMPLE_S / max(spent, 1e-9)))
    found: list[float] = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        end = clock() + seconds
        while len(found) < at_least or clock() < end:
            start = clock()
            for _ in range(calls):
                work()
            found.append((clock() - start) / calls)
    finally:
        if collecting:
            gc.enable()
    return found


def publish(rows: list[dict[str, Any]], *packages: str) -> None:
    """Hand a peer's measurements to `benches/core.py`, which reads its standard output.

    Args:
        rows: of ``work``, ``who``, ``seconds`` (samples), ``options`` (of a call) and ``values`` (name of the
            file with its results).
        packages: whose versions a reader must know, the peer first.
    """
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in packages)
    json.dump({"rows": rows, "versions": versions.replace(", ", " with ", 1)}, sys.stdout)
