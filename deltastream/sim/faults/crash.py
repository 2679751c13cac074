"""Crashes: a child of the tree raises at whatever await it has come to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from deltastream.sim import _kinds as kinds
from deltastream.sim.faults._strike import Armed, InjectedCrash, arm, until
from deltastream.sim.machine import process
from deltastream.sim.plan import Fault
from supervisors import Context, Service

if TYPE_CHECKING:
    from deltastream.sim.world import World

__all__ = ["Crashes"]

_PATIENCE_S: Final = 15.0
"""How long after its time a crash waits for its child to be there."""


class _Countdown(trio.abc.Instrument):
    """Sets an event before the task step after so many."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.over = trio.Event()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._steps -= 1
        if self._steps < 0:
            trio.lowlevel.remove_instrument(self)
            self.over.set()

    @classmethod
    async def of(cls, steps: int) -> None:
        """Wait for so many steps of any tasks, however little time they take. Cancellation: no effect."""
        countdown = cls(steps)
        trio.lowlevel.add_instrument(countdown)
        try:
            await countdown.over.wait()
        finally:
            if not countdown.over.is_set():
                trio.lowlevel.remove_instrument(countdown)


class Crashes:
    """The plan's crashes of children, for `Hooks.wrap_child`.

    A child that shall crash runs beside a task that raises; what both have in common is a nursery
    of the child's own, so that its supervisor sees a crash like any other.
    """

    def __init__(self, world: World, faults: tuple[Fault, ...]) -> None:
        self._world = world
        self._crashes = arm(world, faults, kinds.Crash)
        self._loops = arm(world, faults, kinds.CrashLoop)

    @property
    def any(self) -> bool:
        """Whether there is a crash at all."""
        return bool(self._crashes or self._loops)

    def wrap(self, path: str, service: Service) -> Service:
        """The service, and beside it what makes it crash."""
        bombs = [partial(self._crash, crash) for crash in self._crashes if crash.fault.child == path]
        bombs += [partial(self._crash_again, loop) for loop in self._loops if loop.fault.child == path]
        return _beside(service, bombs) if bombs else service

    async def _crash(self, crash: Armed[kinds.Crash]) -> None:
        fault = crash.fault
        await until(self._world, fault.at)
        if crash.hit or self._world.now() > fault.at + _PATIENCE_S:
            return
        await _Countdown.of(fault.steps)
        if self._world.closing or not _alive():
            return
        crash.strike(f"{fault.child} crashes")
        raise InjectedCrash(f"fault {fault.id}")

    async def _crash_again(self, loop: Armed[kinds.CrashLoop]) -> None:
        fault = loop.fault
        await until(self._world, fault.at)
        await trio.sleep(fault.gap_s)
        if loop.on and not self._world.closing and _alive():
            loop.strike(f"{fault.child} crashes every {fault.gap_s:g} s")
            raise InjectedCrash(f"fault {fault.id}")


def _alive() -> bool:
    """Whether the process is that this runs in; in a dead one nothing can strike any more."""
    host = process.get()
    return host is not None and host.alive


def _beside(service: Service, bombs: Sequence[Callable[[], Awaitable[None]]]) -> Service:
    async def run(ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            async with trio.open_nursery() as nursery:
                for bomb in bombs:
                    nursery.start_soon(bomb)
                await service(ctx, task_status=task_status)
                nursery.cancel_scope.cancel("the child has ended")
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            raise group.exceptions[0] from None

    return run
