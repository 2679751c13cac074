"""Faults of readers: one takes nothing for a while, one goes away and comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastream.sim import _kinds as kinds
from deltastream.sim.faults._strike import arm, until
from deltastream.sim.plan import Fault

if TYPE_CHECKING:
    from deltastream.sim.world import World

__all__ = ["ReaderFaults"]


class ReaderFaults:
    """What the readers of a world ask before each batch. It is they who obey."""

    def __init__(self, world: World, faults: tuple[Fault, ...]) -> None:
        self._world = world
        self._stalls = arm(world, faults, kinds.ReaderStalls)
        self._absences = arm(world, faults, kinds.ReaderLeaves)

    @property
    def any(self) -> bool:
        """Whether anything is asked of a reader."""
        return bool(self._stalls or self._absences)

    async def stall(self, reader: int) -> None:
        """Wait for as long as this reader shall take nothing, where it shall. Cancellation: no effect."""
        for stall in self._stalls:
            if stall.fault.reader == reader and stall.on:
                stall.strike(f"reader {reader} takes nothing")
                await until(self._world, stall.fault.over)

    def leaves(self, reader: int) -> float | None:
        """Until when this reader shall be away, in seconds since the start; None where it shall not."""
        for absence in self._absences:
            if absence.fault.reader == reader and absence.on:
                absence.strike(f"reader {reader} goes away")
                return absence.fault.over
        return None
