"""Many short seeds: each a minute of two markets in which something goes wrong, every promise checked."""

from __future__ import annotations

import pytest

from deltastream.sim import Scenario
from deltastream.sim.case import Case, examine

SEEDS = range(48)
ONCE_FAILED = (
    20262511946,
    20262802717,
    20262900380,
    20263003593,
    20263007868,
    20268010640,
    20268013922,
    20268101882,
    20268112510,
    20268302690,
    20268306116,
    20268400013,
    20268604518,
)
"""Found by campaigns, whatever was to blame."""


def told(case, verdict):
    """What a failure says: the command that repeats it, the faults that struck, and what was seen."""
    seen = "".join(f"\n  {each.at:.3f} {each.invariant}: {each.detail}" for each in verdict.violations)
    return f"{case.command()}\n  struck: {verdict.counts.struck}{seen}"


@pytest.mark.parametrize("seed", ONCE_FAILED)
def test_what_once_failed(seed):
    case = Case.of(Scenario.short(seed))
    verdict = examine(case)
    assert verdict.ok, told(case, verdict)


@pytest.mark.parametrize("seed", SEEDS)
def test_seed(seed):
    case = Case.of(Scenario.short(seed))
    verdict = examine(case)
    assert verdict.ok, told(case, verdict)
    assert verdict.virtual_s >= 60.0
    assert len(case.scenario.products) >= 2
    assert verdict.counts.accepted >= 100
    assert sum(verdict.counts.struck.values()) >= 1, f"no fault of seed {seed} has anything to strike"
