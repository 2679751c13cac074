"""What the gateway has done, counted for the metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Final

import msgspec

__all__ = ["BOUNDS_S", "Counters", "Durations", "GatewayStatistics"]

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the counts of durations, in seconds; one more counts what is longer."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """How long the requests of one route took.

    Attributes:
        counts: by `BOUNDS_S`, not cumulated, and one more for what is longer.
        total_s: of all together.
    """

    counts: tuple[int, ...]
    total_s: float


class GatewayStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the gateway was made.

    Attributes:
        requests: answered, by method, path template ("" where no route matched) and status; 499 where
            the client had gone away.
        durations: by path template.
        sent_bytes: of bodies.
        active: requests on their way.
        limited: refused by a rate limit.
        defects: answered 500.
    """

    requests: dict[tuple[str, str, int], int]
    durations: dict[str, Durations]
    sent_bytes: int
    active: int
    limited: int
    defects: int


class _Times:
    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0


class Counters:
    """Counts requests. Methods that nobody should use are counted as one, so that labels are bounded."""

    def __init__(self) -> None:
        self.active = 0
        self._sent_bytes = 0
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._times: dict[str, _Times] = {}

    def count(self, method: str, route: str, status: int, seconds: float, size: int) -> None:
        """Count a request that is over."""
        self._requests[(method if method in _METHODS else "other", route, status)] += 1
        times = self._times.get(route)
        if times is None:
            times = self._times[route] = _Times()
        times.counts[bisect_left(BOUNDS_S, seconds)] += 1
        times.total_s += seconds
        self._sent_bytes += size

    def statistics(self) -> GatewayStatistics:
        """The counts as they are now."""
        return GatewayStatistics(
            requests=dict(self._requests),
            durations={
                route: Durations(counts=tuple(times.counts), total_s=times.total_s)
                for route, times in self._times.items()
            },
            sent_bytes=self._sent_bytes,
            active=self.active,
            limited=sum(n for (_, _, status), n in self._requests.items() if status == 429),
            defects=sum(n for (_, _, status), n in self._requests.items() if status == 500),
        )
