"""Deterministic simulation: the real host under virtual time, every decision from a seed.

`simulate` runs a `Scenario` and gives a `Verdict`. The same scenario gives the same one, to the
byte, whenever and wherever it runs.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

from deltastream.sim import schedule
from deltastream.sim.files import scratch_directory
from deltastream.sim.logs import captured
from deltastream.sim.scenario import Scenario
from deltastream.sim.verdict import Counts, Verdict, Violation
from deltastream.sim.world import World

__all__ = ["Counts", "Part", "Scenario", "Verdict", "Violation", "World", "simulate"]

Part: TypeAlias = Callable[[World], object]
"""Something that takes hold of a world before it runs, by appending to its hooks."""


@contextmanager
def collected_in_order() -> Iterator[None]:
    """No collection of garbage but where the world asks for one: its instant must not depend on chance.

    What a collection finds may be an asynchronous generator, whose end takes part in the schedule. What
    has come since is collected at the end: in a campaign it would add up. What was there before is not
    looked at, neither then nor meanwhile.
    """
    enabled = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
        if enabled:
            gc.enable()


def simulate(scenario: Scenario, plan: Any = None, parts: Sequence[Part] = ()) -> Verdict:
    """Run one simulation, with everything that looks on. Not from within a Trio run.

    Args:
        scenario: what is simulated.
        plan: the faults.
        parts: whatever else takes hold of the world.
    """
    with collected_in_order():
        return _simulated(scenario, plan, parts)


def _simulated(scenario: Scenario, plan: Any, parts: Sequence[Part]) -> Verdict:
    """What came of a simulation; when this returns, nothing holds the world any more."""
    with scratch_directory() as directory, ExitStack() as around:
        world = World(scenario, plan, directory)
        for part in parts:
            part(world)
        for enter in world.around:
            around.enter_context(enter())
        with captured(world.on_log):
            try:
                return schedule.run(world.run, seed=scenario.seed, clock=world.trio_clock)
            except schedule.Hung as error:
                world.violations.append(Violation("hung", round(world.now(), 6), str(error)))
                verdict = world.verdict()
        doomed: list[object] = [world]
        del world
        schedule.forget(doomed)
        return verdict
