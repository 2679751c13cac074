"""Loop lag: how late the event loop wakes a task whose time has come."""

import math
from collections import deque
from typing import Any

import trio

from supervisors._context import Context
from supervisors._errors import InvalidSpec
from supervisors._statistics import LagStatistics

__all__ = ["LoopLag"]


class LoopLag:
    """A service that sleeps, wakes and notes how late it was: the delay every other task suffers too.

    ``ChildSpec(name="lag", start=LoopLag().run)``. Keep the object to read ``statistics()``. Whatever holds
    the loop for longer than ``interval`` appears as one late wake-up. An idle loop is late by up to 1 ms, the
    resolution of its timer.

    Args:
        interval: Seconds from one wake-up to the next.
        threshold: Lateness in seconds beyond which a wake-up counts as a hold.
        window: Seconds over which the statistics slide.
    """

    def __init__(self, *, interval: float = 0.05, threshold: float = 0.005, window: float = 60.0) -> None:
        if not 0 < interval < math.inf or not threshold >= 0 or not interval <= window < math.inf:
            raise InvalidSpec(
                f"need 0 < interval <= window < inf and threshold >= 0, not {interval}, {window}, {threshold}"
            )
        self._interval = interval
        self._threshold = threshold
        self._window = window
        self._samples: deque[tuple[float, float]] = deque()
        self._holds_total = 0

    async def run(self, ctx: Context, /, *, task_status: trio.TaskStatus[Any]) -> None:
        """Measure until cancelled; what was measured survives a restart."""
        task_status.started(self)
        while True:
            due = trio.current_time() + self._interval
            await trio.sleep_until(due)
            self._record(trio.current_time(), due)

    def statistics(self) -> LagStatistics:
        """Return a snapshot of the window that ends now."""
        self._expire(trio.current_time())
        late = sorted(lag for _, lag in self._samples)
        count = len(late)
        return LagStatistics(
            samples=count,
            last=self._samples[-1][1] if late else None,
            mean=math.fsum(late) / count if late else None,
            p99=late[-(-99 * count // 100) - 1] if late else None,
            maximum=late[-1] if late else None,
            holds=sum(lag > self._threshold for lag in late),
            holds_total=self._holds_total,
            threshold=self._threshold,
            window=self._window,
        )

    def _record(self, now: float, due: float) -> None:
        self._samples.append((now, now - due))
        self._holds_total += now - due > self._threshold
        self._expire(now)

    def _expire(self, now: float) -> None:
        while self._samples and self._samples[0][0] < now - self._window:
            self._samples.popleft()
