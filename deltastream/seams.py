"""The only doors to the outside world: clock, randomness, ids, threads and secrets.

Everything else takes a `Seams` and asks it, so that the whole system can run under a mock clock
from one seed. Elapsed time and sleeping go through Trio (`trio.current_time`, `trio.sleep`),
whose clock the simulation replaces as well.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from secrets import randbits, token_bytes, token_hex
from typing import TYPE_CHECKING, Protocol, TypeVar, TypeVarTuple

import trio

if TYPE_CHECKING:
    from outcome import Outcome

__all__ = ["Clock", "Ids", "InlineThreads", "Seams", "Secrets", "Threads"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Clock(Protocol):
    """Tells the time of day."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01T00:00:00 UTC."""
        ...


class Ids(Protocol):
    """Makes identifiers."""

    def new(self) -> str:
        """A fresh identifier of 16 lower-case hexadecimal digits."""
        ...


class Threads(Protocol):
    """Runs blocking work away from the event loop."""

    async def run(self, fn: Callable[[*Ts], T], *args: *Ts, limiter: trio.CapacityLimiter | None = None) -> T:
        """Run ``fn(*args)`` in a worker thread and return what it returns.

        Cancellation: not honoured while the work runs, so that it is never abandoned half done;
        a cancellation that arrives meanwhile is raised at the next checkpoint.

        Args:
            fn: blocking function; must not touch Trio.
            args: its arguments.
            limiter: how many may run at once for this resource.
        """
        ...


class Secrets(Protocol):
    """Makes what nobody may guess: keys, tokens and salts. Nothing else draws from here."""

    def draw(self, count: int) -> bytes:
        """So many bytes, independent of all others ever drawn."""
        ...


class _SystemClock:
    def now_ns(self) -> int:
        return time.time_ns()


class _SystemIds:
    def new(self) -> str:
        return token_hex(8)


class _SystemThreads:
    """As `trio.to_thread`, without what nothing here needs of it: a name for the thread, `trio.from_thread`
    and a turn of the loop before the work begins. A commit begins and ends a tenth of a millisecond sooner.
    """

    @trio.lowlevel.enable_ki_protection
    async def run(self, fn: Callable[[*Ts], T], *args: *Ts, limiter: trio.CapacityLimiter | None = None) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        if limiter is None:
            limiter = trio.to_thread.current_default_thread_limiter()
        borrower = object()
        try:
            limiter.acquire_on_behalf_of_nowait(borrower)
        except trio.WouldBlock:
            await limiter.acquire_on_behalf_of(borrower)
        token, task = trio.lowlevel.current_trio_token(), trio.lowlevel.current_task()
        work = partial(copy_context().run, fn, *args)

        def deliver(result: Outcome[T]) -> None:
            token.run_sync_soon(trio.lowlevel.reschedule, task, result)

        try:
            trio.lowlevel.start_thread_soon(work, deliver)
            result: T = await trio.lowlevel.wait_task_rescheduled(_not_abandoned)
        finally:
            limiter.release_on_behalf_of(borrower)
        return result


def _not_abandoned(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


class _SystemSecrets:
    def draw(self, count: int) -> bytes:
        return token_bytes(count)


class InlineThreads:
    """Runs the work at once in the calling task: for virtual time, where real threads bring chance."""

    async def run(self, fn: Callable[[*Ts], T], *args: *Ts, limiter: trio.CapacityLimiter | None = None) -> T:
        """Run ``fn(*args)`` here; checkpoints before it, so it is not started once cancelled."""
        await trio.lowlevel.checkpoint()
        return fn(*args)


@dataclass(frozen=True)
class Seams:
    """The five doors, handed to everything that needs one.

    Attributes:
        clock: time of day.
        rng: randomness (back-off jitter, synthetic markets take their own seed).
        ids: identifiers.
        threads: blocking work.
        secrets: keys, tokens and salts. Never from `rng`, whose numbers tell those to come. The
            operating system's wherever no other is given, so that secrets that can be guessed are
            only ever had by asking for them: a simulation does, to run twice alike, and nothing
            in the package outside of it may (a test reads every call).
    """

    clock: Clock
    rng: random.Random
    ids: Ids
    threads: Threads
    secrets: Secrets = field(default_factory=_SystemSecrets)

    @classmethod
    def system(cls) -> Seams:
        """The real clock, operating-system randomness and real threads."""
        return cls(
            clock=_SystemClock(),
            rng=random.Random(randbits(64)),
            ids=_SystemIds(),
            threads=_SystemThreads(),
        )
