"""Many short seeds: each a minute of two markets in which something goes wrong, every promise checked."""

from __future__ import annotations

import pytest

from deltastream.sim import Scenario, simulate
from deltastream.sim.faults import inject
from deltastream.sim.invariants import watch
from deltastream.sim.plan import draw

SEEDS = range(48)


def told(seed, verdict):
    """What a failure says: the command that repeats it, the faults that struck, and what was seen."""
    seen = "".join(f"\n  {each.at:.3f} {each.invariant}: {each.detail}" for each in verdict.violations)
    return f"deltastream sim --seed {seed}\n  struck: {verdict.counts.struck}{seen}"


@pytest.mark.parametrize("seed", SEEDS)
def test_seed(seed):
    scenario = Scenario.short(seed)
    plan = draw(scenario)
    verdict = simulate(scenario, plan, [lambda world: watch(world, inject(world, plan))])
    assert verdict.ok, told(seed, verdict)
    assert verdict.virtual_s >= 60.0
    assert len(scenario.products) >= 2
    assert verdict.counts.accepted >= 100
    assert sum(verdict.counts.struck.values()) >= 1, f"no fault of seed {seed} has anything to strike"
