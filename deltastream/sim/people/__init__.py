"""People in a simulation: who has accounts at two gateways over one bus, and who has none and tries.

They do what users, thieves, operators and careless programs do, through every fault that strikes the
host, and everything that a gateway answers is judged by what was answered before, at whichever
gateway: see `judge`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from deltastream.accounts import AccountError
from deltastream.sim.people.gateways import Gateway, Lost
from deltastream.sim.people.judge import Judge
from deltastream.sim.people.others import Customer, Guesser, Operator
from deltastream.sim.people.person import Person

if TYPE_CHECKING:
    from deltastream.sim.host import SimHost
    from deltastream.sim.world import World

__all__ = ["People"]

GATEWAYS: Final = 2
STEPS: Final = {Person: 80, Operator: 10, Guesser: 20, Customer: 20}
"""How often each of them does something, however long a simulation is."""

_QUICKEST_S: Final = 0.2
_BEFORE_END_S: Final = 2.0
_MOST_REMEMBERED: Final = {"sessions": 4096, "keys": 4096, "failures": 10_000, "addresses": 10_000}


class People:
    """Takes hold of a world that has not run yet.

    Args:
        world: where they live.
        count: of those with an account.
    """

    def __init__(self, world: World, count: int) -> None:
        self._world = world
        self._judge = Judge(world.violate, self._delayed)
        self._gateways = [Gateway(number, world) for number in range(GATEWAYS)]
        people = [Person(number, world, self._gateways, self._judge) for number in range(count)]
        self._all: list[Person | Operator | Guesser | Customer] = [
            *people,
            Operator(world, self._gateways, people),
            Guesser(world, self._gateways),
            Customer(world, self._gateways),
        ]
        self._struck: list[tuple[float, Any]] = []
        world.tasks.append(self._run)
        world.every_second.append(self._look)
        world.unsettled.append(self._left)
        world.on_struck.append(self._note)

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._world.attend, self._serve)
            for number, somebody in enumerate(self._all):
                every_s = max(_QUICKEST_S, self._world.scenario.duration_s / STEPS[type(somebody)])
                nursery.start_soon(self._live, number, every_s, somebody.step)

    async def _serve(self, host: SimHost) -> None:
        async with trio.open_nursery() as nursery:
            for gateway in self._gateways:
                nursery.start_soon(gateway.run, host)

    async def _live(self, number: int, every_s: float, step: Callable[[], Awaitable[None]]) -> None:
        """Do something again and again, until shortly before the end, so that it can take effect."""
        rng = self._world.rng(f"people/pace/{number}")
        end = self._world.scenario.duration_s - _BEFORE_END_S
        while True:
            await trio.sleep(rng.expovariate(1.0 / every_s))
            if self._world.now() >= end:
                return
            with suppress(AccountError, Lost):  # told to the judge where it tells anything
                await step()

    def _note(self, fault: Any, detail: str) -> None:
        kind = fault.__struct_config__.tag
        if kind == "clock_jump":
            self._judge.clock_was_set = True
        if kind in ("pause", "slow_disk"):
            self._struck.append((self._world.now(), fault))

    def _delayed(self, since: float, until: float) -> float:
        """How much longer everything may have taken: a process that stood still, a disk that was slow."""
        late = 0.0
        for struck, fault in self._struck:
            slow = getattr(fault, "delay_s", None)
            if slow is None and since <= struck <= until:
                late += fault.duration
            elif slow is not None and struck <= until and since <= fault.over + 2 * slow:
                late += 4 * slow
        return late

    async def _look(self) -> None:
        """What gateways remember is bounded."""
        for gateway in self._gateways:
            for what, size in gateway.remembered().items():
                if size > _MOST_REMEMBERED[what]:
                    self._world.violate("queue_bound", f"gateway {gateway.number} remembers {size} {what}")

    async def _left(self) -> str | None:
        for gateway in self._gateways:
            if (left := await gateway.waiting()) is not None:
                return left
        return None
