"""One Trio run in virtual time, whose every decision comes from a seed.

Trio shuffles the tasks that are ready with a generator of its own; it can be made to begin from a
known order and a known state by two private names, which stand here and nowhere else.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar, TypeVarTuple

import trio
from trio._core import _run

__all__ = ["Hung", "VirtualClock", "run"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_TURNS: Final = 200_000
"""Turns of the event loop at one instant after which nothing but a loop without end is going on."""

_POLLS: Final = 100
"""Looks at the sockets with nothing else to wait for after which nothing will come of it."""


class Hung(Exception):
    """The run would never end: nobody waits for a time, or time stands still, or its limit is passed."""


class VirtualClock(trio.abc.Clock):
    """Time that stands still while anybody works, and jumps to the next deadline when nobody does.

    As `trio.testing.MockClock` with ``autojump_threshold=0``, in half the turns of the loop, and with
    an end: a run that cannot end raises `Hung` (inside Trio's own error, see `run`).

    Attributes:
        now: virtual seconds since the run began.
        limit: the time at which a run is given up.
    """

    def __init__(self, limit: float = float("inf")) -> None:
        self.limit = limit
        self.now = 0.0
        self._turns = self._polls = self._dozes = 0
        self._sleepers: list[tuple[float, int, trio.lowlevel.Task]] = []

    def start_clock(self) -> None:
        """Nothing to do: it is 0 when the run begins."""

    def current_time(self) -> float:
        """Virtual seconds since the run began."""
        self._turns += 1
        if self._turns > _TURNS:
            raise Hung(f"time stands still at {self.now:.6f} s")
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Asked by the loop when no task can run: the time has come."""
        sleepers = self._sleepers
        if sleepers and sleepers[0][0] < deadline:
            deadline = sleepers[0][0]
        if deadline > self.now:
            if deadline == float("inf"):
                return self._idle()
            if deadline > self.limit:
                raise Hung(f"not at its end after {self.limit:.0f} s")
            self.now = deadline
        while sleepers and sleepers[0][0] <= self.now:
            trio.lowlevel.reschedule(heapq.heappop(sleepers)[2])
        self._turns = 0
        return 0.0

    async def doze(self, seconds: float) -> None:
        """Sleep, whatever happens meanwhile: in a fifth of the time that a shielded ``trio.sleep`` takes.

        Cancellation: not honoured.
        """
        self._dozes += 1
        until = self.now + seconds
        heapq.heappush(self._sleepers, (until, self._dozes, trio.lowlevel.current_task()))
        await trio.lowlevel.wait_task_rescheduled(_not_now)

    def _idle(self) -> float:
        """Nobody waits for a time. At the end of a run Trio wakes itself through a socket."""
        self._polls += 1
        if self._polls > _POLLS:
            raise Hung(f"everybody waits, and nobody for a time, at {self.now:.6f} s")
        return 0.0

    def jump(self, seconds: float) -> None:
        """Let time pass in which nobody runs, as in a process that is paused."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self.now += seconds


def _not_now(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


def run(
    async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts, seed: int | str, clock: VirtualClock | None = None
) -> T:
    """``trio.run`` in virtual time, with a schedule drawn from `seed`. Not from within a run.

    Raises:
        Hung: the run would never end. What its tasks hold is left to the garbage collector.
    """
    with _scheduled_from(seed):
        try:
            return trio.run(async_fn, *args, clock=clock or VirtualClock())
        except trio.TrioInternalError as error:
            if isinstance(error.__cause__, Hung):
                raise error.__cause__ from None
            raise


@contextmanager
def _scheduled_from(seed: int | str) -> Iterator[None]:
    """Have Trio shuffle from a seed; afterwards as it was before."""
    before, state = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    _run._r.seed(random.Random(f"schedule/{seed}").getrandbits(64))
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]
        _run._r.setstate(state)
