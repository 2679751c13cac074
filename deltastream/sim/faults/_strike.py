"""What injectors share: how a fault reaches the world, and how the world learns that it struck."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Generic, TypeVar

import trio

from deltastream.sim.plan import Fault, kind_of

if TYPE_CHECKING:
    from deltastream.sim.world import World

__all__ = ["Armed", "InjectedCrash", "arm", "until"]

F = TypeVar("F", bound=Fault, covariant=True)


class InjectedCrash(Exception):
    """What a simulated crash raises: nothing in the system knows it."""


class Armed(Generic[F]):
    """One fault of the plan, ready to strike; outlives the processes that it strikes.

    Attributes:
        fault: what the plan says.
        world: what it strikes.
        rng: for whatever is left to draw; from the seed and the fault alone.
        hit: whether it has struck.
    """

    def __init__(self, world: World, fault: F) -> None:
        self.world = world
        self.fault: F = fault
        self.rng: random.Random = world.rng(f"fault/{kind_of(fault)}/{fault.id}")
        self.hit = False

    @property
    def on(self) -> bool:
        """Whether it holds now."""
        return self.fault.at <= self.world.now() < self.fault.at + self.fault.duration

    @property
    def due(self) -> bool:
        """Whether its time has come, and it has not struck."""
        return not self.hit and self.fault.at <= self.world.now()

    def strike(self, detail: str) -> None:
        """Tell the world that it has found something to strike; the first time counts."""
        if not self.hit:
            self.hit = True
            self.world.struck(self.fault, detail)


def arm(world: World, faults: tuple[Fault, ...], *kinds: type[F]) -> list[Armed[F]]:
    """Those of the faults that are of these kinds, armed."""
    return [Armed(world, fault) for fault in faults if isinstance(fault, kinds)]


async def until(world: World, at: float) -> None:
    """Sleep until so many seconds since the start; at once where that is past."""
    await trio.sleep(max(at - world.now(), 0.0))
