"""One Trio run in virtual time, whose every decision comes from a seed.

Trio shuffles the tasks that are ready with a generator of its own; it can be made to begin from a
known order and a known state by two private names. A third is where it keeps its instruments, for
which it asks before and after each step. They stand here and nowhere else.
"""

from __future__ import annotations

import gc
import heapq
import random
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self, TypeVar, TypeVarTuple

import trio
from trio._core import _instrumentation, _run

__all__ = ["Hung", "VirtualClock", "forget", "run"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_TURNS: Final = 200_000
"""Turns of the event loop at one instant after which nothing but a loop without end is going on."""

_POLLS: Final = 100
"""Looks at the sockets with nothing else to wait for after which nothing will come of it."""

_UNWINDING_S: Final = 60.0
"""How long a run that was given up may take to unwind."""


class Hung(Exception):
    """The run would never end: nobody waits for a time, or time stands still, or its limit is passed."""


class _Instruments(dict[str, dict[trio.abc.Instrument, None]]):
    """Trio's own, but that it is asked whether there is one without a call into Python."""

    def __init__(self) -> None:
        super().__init__(_all={})

    @property
    def data(self) -> Self:
        """What Trio's methods work on."""
        return self

    add_instrument = _instrumentation.Instruments.add_instrument
    remove_instrument = _instrumentation.Instruments.remove_instrument
    call = _instrumentation.Instruments.call


class _Sleeper:
    """A task that waits for a time; none any more where it was cancelled."""

    __slots__ = ("task",)

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.task: trio.lowlevel.Task | None = task


class VirtualClock(trio.abc.Clock):
    """Time that stands still while anybody works, and jumps to the next deadline when nobody does.

    As `trio.testing.MockClock` with ``autojump_threshold=0``, in half the turns of the loop, and with
    an end: a run that would never end is cancelled, and if that does not help it is torn down.

    Attributes:
        now: virtual seconds since the run began.
        limit: the time at which a run is given up.
        hung: why it has been; None where it has not.
    """

    def __init__(self, limit: float = float("inf")) -> None:
        self.limit = limit
        self.now = 0.0
        self.hung: str | None = None
        self._turns = self._polls = self._dozes = 0
        self._sleepers: list[tuple[float, int, _Sleeper]] = []  # due, then in the order they lay down
        self._root = trio.CancelScope()

    def start_clock(self) -> None:
        """Nothing to do: it is 0 when the run begins."""

    def current_time(self) -> float:
        """Virtual seconds since the run began."""
        self._turns += 1
        if self._turns > _TURNS:
            self._give_up(f"time stands still at {self.now:.6f} s")
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Asked by the loop when no task can run: the time has come."""
        sleepers = self._sleepers
        if sleepers and sleepers[0][0] < deadline:
            deadline = sleepers[0][0]
        if deadline > self.now:
            if deadline == float("inf"):
                return self._idle()
            self.now = deadline
            if deadline > self.limit:
                self._give_up(f"not at its end after {self.limit:.0f} s")
        while sleepers and sleepers[0][0] <= self.now:
            task = heapq.heappop(sleepers)[2].task
            if task is not None:
                trio.lowlevel.reschedule(task)
        self._turns = 0
        return 0.0

    def jump(self, seconds: float) -> None:
        """Let time pass in which nobody runs, as in a process that is paused."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self.now += seconds

    async def sleep(self, seconds: float) -> None:
        """As `trio.sleep`, in a quarter of the time: there is no cancel scope around it.

        Cancellation: ends it.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds must not be negative or NaN, got {seconds}")
        await self.sleep_until(self.now + seconds)

    async def sleep_until(self, deadline: float) -> None:
        """As `trio.sleep_until`. Cancellation: ends it."""
        if deadline <= self.now:
            await trio.lowlevel.checkpoint()
            return
        sleeper = self._lie_down(deadline)

        def abort(_: object) -> trio.lowlevel.Abort:
            sleeper.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    async def doze(self, seconds: float) -> None:
        """Sleep, whatever happens meanwhile, as work in a thread goes on.

        Cancellation: not honoured.
        """
        self._lie_down(self.now + seconds)
        await trio.lowlevel.wait_task_rescheduled(_not_now)

    def _lie_down(self, due: float) -> _Sleeper:
        self._dozes += 1
        sleeper = _Sleeper(trio.lowlevel.current_task())
        heapq.heappush(self._sleepers, (due, self._dozes, sleeper))
        return sleeper

    async def watch(self, async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """Call, and cancel when the run would never end.

        Raises:
            Hung: it has been cancelled for that.
        """
        runner = _run.GLOBAL_RUN_CONTEXT.runner
        runner.instruments = _Instruments()  # type: ignore[assignment]  # it has all that Trio asks for
        with self._root:
            return await async_fn(*args)
        raise Hung(self.hung)

    def tear_down(self) -> None:
        """Let go of the tasks of a run that could not be ended."""
        self._root = trio.CancelScope()
        self._sleepers.clear()

    def _idle(self) -> float:
        """Nobody waits for a time. At the end of a run Trio wakes itself through a socket."""
        self._polls += 1
        if self._polls > _POLLS:
            self._give_up(f"everybody waits, and nobody for a time, at {self.now:.6f} s")
        return 0.0

    def _give_up(self, reason: str) -> None:
        if self.hung is not None:
            raise Hung(self.hung)
        self.hung = reason
        self.limit = self.now + _UNWINDING_S
        self._turns = self._polls = 0
        self._root.cancel(reason)


def _not_now(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


def run(
    async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts, seed: int | str, clock: VirtualClock | None = None
) -> T:
    """``trio.run`` in virtual time, with a schedule drawn from `seed`. Not from within a run.

    Raises:
        Hung: the run would never end.
    """
    clock = clock or VirtualClock()
    with _scheduled_from(seed), _timed_by(clock):
        try:
            return trio.run(clock.watch, async_fn, *args, clock=clock)
        except trio.TrioInternalError as error:
            if not isinstance(error.__cause__, Hung):
                raise
            doomed: list[object] = [error]
    clock.tear_down()
    forget(doomed)
    raise Hung(clock.hung)


def forget(doomed: list[object]) -> None:
    """Empty a list of what holds tasks that would not end; what they say about that helps nobody."""
    before, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        doomed.clear()
        gc.collect()
    finally:
        sys.unraisablehook = before


@contextmanager
def _timed_by(clock: VirtualClock) -> Iterator[None]:
    """Have who sleeps by Trio, or asks it for the time, come to the clock itself; afterwards as before."""
    before = trio.sleep, trio.sleep_until, trio.current_time
    trio.sleep, trio.sleep_until, trio.current_time = clock.sleep, clock.sleep_until, clock.current_time
    try:
        yield
    finally:
        trio.sleep, trio.sleep_until, trio.current_time = before


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
