"""Faults of the whole process and of its machine: death, lost power, a stop, a clock set anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from deltastream.bus import _opening
from deltastream.sim import _kinds as kinds
from deltastream.sim.faults import damage
from deltastream.sim.faults._strike import Armed, arm, until
from deltastream.sim.machine import Damage
from deltastream.sim.plan import Fault

if TYPE_CHECKING:
    from deltastream.sim.world import World

__all__ = ["ProcessFaults"]

A = TypeVar("A")

_PATIENCE_S: Final = 15.0
"""How long after its time a death waits for a process that is alive."""

_TRY_AGAIN_S: Final = 0.05


class ProcessFaults:
    """The plan's faults of processes; each is one task of the world.

    Args:
        synced: see `DiskFaults`.
    """

    def __init__(self, world: World, faults: tuple[Fault, ...], synced: Mapping[str, damage.Synced]) -> None:
        self._world = world
        self._synced = synced
        self._moved_away: list[Armed[kinds.RuinedStore]] = []
        self._boot_id = world.directory / "boot_id"
        self._cuts_power = bool(arm(world, faults, kinds.PowerCut))
        self._boots = 0
        for kill in arm(world, faults, kinds.Kill):
            self._add(self._kill, kill)
        for cut in arm(world, faults, kinds.PowerCut):
            self._add(self._cut_power, cut)
        for flip in arm(world, faults, kinds.FlippedBytes):
            self._add(self._flip, flip)
        for ruin in arm(world, faults, kinds.RuinedStore):
            self._add(self._ruin, ruin)
        for copy in arm(world, faults, kinds.OldCopy):
            self._add(self._put_back, copy)
        for pause in arm(world, faults, kinds.Pause):
            self._add(self._pause, pause)
        for jump in arm(world, faults, kinds.ClockJump):
            self._add(self._set_clock, jump)
        world.on_down.append(self._operate)

    @property
    def any(self) -> bool:
        """Whether there is anything for which `in_force` is needed."""
        return self._cuts_power

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Have the machine be another after each loss of power, as the kernel tells by an id of each boot."""
        real = _opening._BOOT_ID
        _opening._BOOT_ID = self._boot_id  # type: ignore[misc]  # simulated: not final
        self._name_boot()
        try:
            yield
        finally:
            _opening._BOOT_ID = real  # type: ignore[misc]

    def _name_boot(self) -> None:
        self._boot_id.write_text(f"{self._boots:036d}")

    def _add(self, strike: Callable[[A], Awaitable[None]], armed: A) -> None:
        self._world.tasks.append(partial(strike, armed))

    async def _kill(self, kill: Armed[kinds.Kill]) -> None:
        fault = kill.fault
        await until(self._world, fault.at)
        await self._die(fault.down_s, lambda _: kill.strike("the process is killed"), fault.steps)

    async def _cut_power(self, cut: Armed[kinds.PowerCut]) -> None:
        fault = cut.fault

        def lose(data: Path) -> None:
            self._boots += 1
            self._name_boot()
            lost = damage.lose_power(data, fault.journal_share, fault.store_share, self._synced)
            cut.strike(f"power is lost, and of the journal {lost[0]}, of the store {lost[1]} bytes")

        await until(self._world, fault.at)
        await self._die(fault.down_s, lose)

    async def _flip(self, flip: Armed[kinds.FlippedBytes]) -> None:
        fault = flip.fault

        def spoil(data: Path) -> None:
            places = damage.flip(data, fault.part, fault.count, flip.rng)
            if places:
                flip.strike(f"bytes of the journal's {fault.part} are others: {places}")

        await until(self._world, fault.at)
        await self._die(fault.down_s, spoil)

    async def _ruin(self, ruin: Armed[kinds.RuinedStore]) -> None:
        fault = ruin.fault

        def spoil(data: Path) -> None:
            damage.ruin_store(data)
            self._moved_away.append(ruin)
            ruin.strike("the store is no database any more")

        await until(self._world, fault.at)
        await self._die(fault.down_s, spoil)

    def _operate(self, number: int, how: str) -> None:
        """What the operator does when the host refuses to start over a ruined store: move it away."""
        if how == "gave_up" and self._moved_away:
            self._moved_away.clear()
            damage.move_store_away(damage.data_directory(self._world.directory))

    async def _put_back(self, copy: Armed[kinds.OldCopy]) -> None:
        fault = copy.fault
        await until(self._world, fault.at)
        await self._world.up()
        kept = damage.copy_of(damage.data_directory(self._world.directory), fault.file)
        await until(self._world, fault.at + fault.duration)

        def put_back(data: Path) -> None:
            damage.put_back(data, fault.file, kept)
            copy.strike(f"the {fault.file} is one of {fault.duration:g} s ago")

        await self._die(fault.down_s, put_back)

    async def _pause(self, pause: Armed[kinds.Pause]) -> None:
        await until(self._world, pause.fault.at)
        await self._world.up()
        if not self._world.closing:
            pause.strike(f"the process is stopped for {pause.fault.duration:g} s")
            self._world.pause(pause.fault.duration)

    async def _set_clock(self, jump: Armed[kinds.ClockJump]) -> None:
        fault = jump.fault
        await until(self._world, fault.at)
        jump.strike(f"the clock is set by {fault.by_s:g} s")
        self._world.clock.set_ahead(fault.by_s)
        if fault.duration:
            await until(self._world, fault.over)
            self._world.clock.set_ahead(-fault.by_s)

    async def _die(self, down_s: float, damage: Damage, steps: int = 0) -> None:
        """Kill the process there is, or the next one where there is none just now."""
        patience = self._world.now() + _PATIENCE_S
        while not self._world.closing and self._world.now() < patience:
            if self._world.kill(steps, damage, down_s):
                return
            await trio.sleep(_TRY_AGAIN_S)
