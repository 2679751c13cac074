"""The machine: runs one incarnation of the host after another over the files that the last one left."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Final, TypeAlias

import trio

from deltastream.sim.files import copy_data
from deltastream.sim.host import SimHost

__all__ = ["Damage", "Machine", "process"]

Damage: TypeAlias = Callable[[Path], object]
"""What is done to a dead process's files before the next one finds them."""

RESTART_S: Final = 1.0
"""How soon a host that has given up is started again, as a service manager would."""

process: ContextVar[SimHost | None] = ContextVar("process", default=None)
"""In which simulated process a task runs."""


class _Started:
    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def started(self, value: object = None) -> None:
        self._call()


class _Countdown(trio.abc.Instrument):
    """Calls once, before the task step after so many."""

    def __init__(self, steps: int, call: Callable[[], object]) -> None:
        self._steps = steps
        self._call = call

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._steps -= 1
        if self._steps < 0:
            trio.lowlevel.remove_instrument(self)
            self._call()


class Machine:
    """Starts the host, kills it, starts it again.

    Attributes:
        host: the living incarnation whose tree stands; None while there is none.
        number: of the present incarnation, or of the last one.
        kills, gave_up: how many.
        ended: set when the last one has stopped.

    Args:
        directory: where data directories are made.
        make: makes the incarnation of that number over that data directory.
        up, down: called when a tree stands, and with what became of a process.
    """

    def __init__(
        self,
        directory: Path,
        make: Callable[[int, Path], SimHost],
        up: Callable[[SimHost], None],
        down: Callable[[SimHost, str, BaseException | None], None],
    ) -> None:
        self._directory = directory
        self._make = make
        self._up = up
        self._down = down
        self._data = directory / "0"
        self._process: SimHost | None = None
        self._scope = trio.CancelScope()
        self._fate: tuple[Path, Damage | None, float] | None = None
        self._armed: _Countdown | None = None
        self._copies = 0
        self._stopping = False
        self._rest = trio.CancelScope()
        self._changed, self._begun = trio.Event(), trio.Event()
        self.host: SimHost | None = None
        self.number = 0
        self.kills = self.gave_up = 0
        self.ended = trio.Event()

    async def run(self) -> None:
        """Run incarnation after incarnation until stopped."""
        while not self._stopping:
            pause = await self._live()
            with trio.CancelScope() as self._rest:
                if not self._stopping:
                    await trio.sleep(pause)
        self.ended.set()

    async def up(self) -> SimHost:
        """The living incarnation, as soon as there is one. Cancellation: no effect."""
        while self.host is None:
            await self._changed.wait()
        return self.host

    async def begun(self) -> SimHost:
        """The living incarnation, though its tree may not stand yet, nor ever. Cancellation: no effect."""
        while self._process is None or not self._process.alive:
            await self._begun.wait()
        return self._process

    def kill(self, after_steps: int = 0, damage: Damage | None = None, down_s: float = RESTART_S) -> bool:
        """Kill the process before the step of any task that comes after so many; see `World.kill`."""
        if self._process is None or not self._process.alive or self._armed is not None:
            return False
        if after_steps == 0:
            self._kill(self._process, damage, down_s)
        else:
            victim = self._process
            self._armed = _Countdown(after_steps, lambda: self._kill(victim, damage, down_s))
            trio.lowlevel.add_instrument(self._armed)
        return True

    def disarm(self) -> None:
        """Let a process live that was about to be killed."""
        if self._armed is not None:
            trio.lowlevel.remove_instrument(self._armed)
            self._armed = None

    def stop(self) -> None:
        """Ask the host to stop in order, and start no more."""
        self._stopping = True
        self._rest.cancel("stopping")
        if self._process is not None and self._process.alive:
            self._process.request_stop("the simulation ends")

    def _kill(self, victim: SimHost, damage: Damage | None, down_s: float) -> None:
        """The files are copied as they are; from here on the process counts for nobody."""
        self._armed = None
        if not victim.alive:
            return
        self._copies += 1
        copy = self._directory / str(self._copies)
        copy_data(self._data, copy)
        self._fate = copy, damage, down_s
        self.kills += 1
        self._die(victim, "killed", None)

    def _die(self, host: SimHost, how: str, error: BaseException | None) -> None:
        host.alive = False
        host.death.set()
        self.host = None
        self._down(host, how, error)

    async def _live(self) -> float:
        """One incarnation, from its start until nothing of it runs; how long to wait for the next."""
        self.number += 1
        self._fate = None
        self._process = host = self._make(self.number, self._data)
        self._begun.set()
        self._begun = trio.Event()
        token = process.set(host)
        error: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._unwind, host)
                with trio.CancelScope() as self._scope:
                    try:
                        await host.run(task_status=_Started(lambda: self._stands(host)))
                    except Exception as raised:
                        error = raised
                    except BaseExceptionGroup as group:
                        error, others = group.split(Exception)
                        if others is not None:
                            raise others from None
                nursery.cancel_scope.cancel()
        finally:
            process.reset(token)
        return self._buried(host, error)

    def _stands(self, host: SimHost) -> None:
        if host.alive:
            self.host = host
            self._up(host)
            self._changed.set()
            self._changed = trio.Event()

    async def _unwind(self, host: SimHost) -> None:
        """Cancel everything that a dead process still runs; it works on its old files."""
        await host.death.wait()
        if host.tree is not None:
            host.tree.cancel()
        self._scope.cancel("the process was killed")

    def _buried(self, host: SimHost, error: BaseException | None) -> float:
        self.disarm()
        if self._fate is not None:
            shutil.rmtree(self._data)
            self._data, damage, pause = self._fate
            if damage is not None:
                damage(self._data)
            return pause
        if error is not None:
            self.gave_up += 1
            self._die(host, "gave_up", error)
        else:
            self._die(host, "stopped" if self._stopping else "ended", None)
        return RESTART_S
