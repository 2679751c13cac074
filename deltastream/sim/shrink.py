"""Shrinking: from a case that fails to a smaller one that fails in the same way."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec

from deltastream.sim.case import Case
from deltastream.sim.plan import Fault, Plan
from deltastream.sim.worker import Outcome

__all__ = ["Shrinker"]

T = TypeVar("T")

Run: TypeAlias = Callable[[Case], Awaitable[Outcome]]
Tell: TypeAlias = Callable[["Shrinker"], object]

_SHORTEST_S: Final = 5


class Shrinker:
    """Searches for the smallest case that still violates what the first one violated first.

    Time is cut off at the end; faults are taken out by delta debugging; then products, readers
    and clients; and all that again until nothing gets smaller. Of the result no single fault, product,
    reader or client can be taken away. Nothing is left to chance: the same case gives the same result.

    Attributes:
        smallest: what came of the smallest case so far.
        invariant: what it violates; other violations do not count.
        runs: how many simulations it took.

    Args:
        found: what came of a case that fails.
        run: gives what comes of another.
        tell: called after each run.

    Raises:
        ValueError: the case does not fail.
    """

    def __init__(self, found: Outcome, run: Run, tell: Tell | None = None) -> None:
        if found.verdict.ok:
            raise ValueError("the case violates nothing")
        self.smallest = found
        self.invariant = found.verdict.violations[0].invariant
        self.runs = 0
        self._run = run
        self._tell = tell
        self._tried: set[bytes] = set()

    @property
    def case(self) -> Case:
        """The smallest case so far."""
        return self.smallest.case

    async def run(self) -> None:
        """Search until nothing gets smaller any more. Cancellation: `smallest` is what there is so far."""
        before = None
        while self.case != before:
            before = self.case
            await self._shorten()
            await self._fewer_faults()
            await self._fewer_products()
            await self._fewer("readers")
            await self._fewer("clients")

    async def _try(self, candidate: Case) -> bool:
        """Whether a smaller case fails alike; then it is the smallest."""
        key = msgspec.json.encode(candidate)
        if key in self._tried or candidate == self.case:
            return False
        self._tried.add(key)
        outcome = await self._run(candidate)
        self.runs += 1
        fails = any(violation.invariant == self.invariant for violation in outcome.verdict.violations)
        if fails:
            self.smallest = outcome
        if self._tell is not None:
            self._tell(self)
        return fails

    async def _fewer_faults(self) -> None:
        """Delta debugging: leave out ever smaller parts of the plan."""
        parts = 1
        while faults := self.case.plan.faults:
            for part in _split(faults, parts):
                gone = {fault.id for fault in part}
                left = tuple(fault for fault in faults if fault.id not in gone)
                if await self._try(Case(self.case.scenario, Plan(left))):
                    parts = max(parts - 1, 1)
                    break
            else:
                if parts >= len(faults):
                    return
                parts = min(parts * 2, len(faults))

    async def _fewer_products(self) -> None:
        for product in self.case.scenario.products:
            left = tuple(name for name in self.case.scenario.products if name != product)
            if left:
                await self._try(_within(self.case, products=left))

    async def _fewer(self, who: Literal["readers", "clients"]) -> None:
        for count in range(getattr(self.case.scenario, who)):
            if await self._try(_within(self.case, **{who: count})):
                return

    async def _shorten(self) -> None:
        """Cut off the end: bisect for the shortest whole second that still fails."""
        low, high = _SHORTEST_S, math.ceil(self.case.scenario.duration_s)
        while low < high:
            middle = (low + high) // 2
            if await self._try(_within(self.case, duration_s=float(middle))):
                high = middle
            else:
                low = middle + 1


def _within(case: Case, **fields: Any) -> Case:
    """The case with another scenario, without the faults that have no place in it."""
    scenario = msgspec.structs.replace(case.scenario, **fields)
    end = scenario.duration_s

    def fitting() -> Iterator[Fault]:
        for fault in case.plan.faults:
            product, reader = getattr(fault, "product", None), getattr(fault, "reader", -1)
            if fault.at >= end or product not in (None, *scenario.products) or reader >= scenario.readers:
                continue
            left = round(end - fault.at, 3)
            yield msgspec.structs.replace(fault, duration=left) if fault.duration > left else fault

    return Case(scenario, Plan(tuple(fitting())))


def _split(items: Sequence[T], parts: int) -> Iterator[Sequence[T]]:
    """Consecutive parts, as equal as can be; later ones first: they matter less to what is before."""
    bounds = [round(len(items) * number / parts) for number in range(parts + 1)]
    for number in reversed(range(parts)):
        yield items[bounds[number] : bounds[number + 1]]
