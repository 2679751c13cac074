"""How long something takes, over a sliding window."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import msgspec
import trio

__all__ = ["Latency", "LatencyStatistics"]

WINDOW_S: Final = 60.0
MOST: Final = 4096
"""Samples that are kept, the newest."""


class LatencyStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How long it took lately; times in seconds, None where there are no samples.

    Attributes:
        samples: in the window, at most the newest 4,096.
        p50, p99: the smallest that at least so many per cent of them do not exceed.
        maximum: the largest.
        window: seconds over which the statistics slide.
    """

    samples: int
    p50: float | None
    p99: float | None
    maximum: float | None
    window: float


class Latency:
    """Samples of the last minute."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=MOST)

    def add(self, seconds: float) -> None:
        """Note one; what is negative, as a clock that was set back makes it, is none."""
        if 0.0 <= seconds < math.inf:
            self._samples.append((trio.current_time(), seconds))

    def statistics(self) -> LatencyStatistics:
        """A snapshot of the window that ends now."""
        begin = trio.current_time() - WINDOW_S
        while self._samples and self._samples[0][0] < begin:
            self._samples.popleft()
        taken = sorted(seconds for _, seconds in self._samples)
        count = len(taken)
        return LatencyStatistics(
            samples=count,
            p50=taken[-(-50 * count // 100) - 1] if taken else None,
            p99=taken[-(-99 * count // 100) - 1] if taken else None,
            maximum=taken[-1] if taken else None,
            window=WINDOW_S,
        )
