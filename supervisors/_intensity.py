"""Restart intensity: how many restarts within a sliding window are too many."""

import math
from collections import deque
from dataclasses import dataclass

from supervisors._errors import InvalidSpec

__all__ = ["Intensity", "RestartWindow"]


@dataclass(frozen=True, slots=True)
class Intensity:
    """How many restarts a supervisor accepts before it gives up.

    Choose ``max_restarts`` for the burst to be survived and ``max_restarts / period`` for the sustained rate.
    Intensities multiply over levels, so keep them small near the root.

    Attributes:
        max_restarts: Restarts allowed within any window; 0 gives up at the first one.
        period: Length of the window, in seconds.
    """

    max_restarts: int = 3
    period: float = 5.0

    def __post_init__(self) -> None:
        if self.max_restarts < 0:
            raise InvalidSpec(f"max_restarts must not be negative, not {self.max_restarts}")
        if not 0 < self.period < math.inf:
            raise InvalidSpec(f"period must be positive and finite, not {self.period}")


class RestartWindow:
    """The restarts of one supervisor that still count."""

    def __init__(self, intensity: Intensity) -> None:
        self._intensity = intensity
        self._stamps: deque[float] = deque()

    def add(self, now: float) -> bool:
        """Count one restart at ``now`` (seconds, never decreasing); return whether that is one too many."""
        self._stamps.append(now)
        return self.count(now) > self._intensity.max_restarts

    def count(self, now: float) -> int:
        """Return how many restarts happened in ``[now - period, now]``, both ends included."""
        oldest = now - self._intensity.period
        while self._stamps and self._stamps[0] < oldest:
            self._stamps.popleft()
        return len(self._stamps)
