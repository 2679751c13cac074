"""Campaigns: over all seeds or for a time, what fails, and what is the same each time."""

from __future__ import annotations

import pytest
import trio

from deltastream.sim.campaign import Summary, campaign
from deltastream.sim.case import Case, scenario_of
from deltastream.sim.worker import Outcome


def cases(*seeds: int, profile: str = "none"):
    return (Case.of(scenario_of(seed, 6.0, 1, profile)) for seed in seeds)


async def over(seeds, *, jobs: int = 2, for_s: float | None = None, tell=None) -> Summary:
    summary = Summary()
    with trio.fail_after(60):
        await campaign(cases(*seeds), summary, jobs=jobs, for_s=for_s, tell=tell)
    return summary


async def test_every_seed_is_run_once_and_summed_up():
    told: list[Outcome] = []
    summary = await over(range(1, 9), tell=told.append)
    assert sorted(row.seed for row in summary.rows) == list(range(1, 9))
    assert [row.seed for row in summary.rows] == [outcome.case.scenario.seed for outcome in told]
    assert summary.ok
    assert summary.distinct == 8
    assert summary.counts["accepted"] == sum(row.accepted for row in summary.rows) > 8 * 10
    assert summary.counts["starts"] == 8
    assert summary.virtual_s == sum(row.virtual_s for row in summary.rows) >= 48.0
    assert summary.slowest == max(summary.rows, key=lambda row: row.real_s)
    assert summary.real_s > 0


async def test_faults_are_counted_as_planned_and_as_struck():
    summary = Summary()
    chosen = [Case.of(scenario_of(seed, 20.0, 1, "wild")) for seed in (1, 2)]
    with trio.fail_after(120):
        await campaign(iter(chosen), summary, jobs=2)
    assert summary.planned == chosen[0].plan.counts() | {
        kind: chosen[0].plan.counts().get(kind, 0) + count for kind, count in chosen[1].plan.counts().items()
    }
    assert 0 < summary.struck.total() <= summary.planned.total()
    assert summary.struck.keys() <= summary.planned.keys()


async def test_failures_are_kept_with_their_cases(plant):
    plant(
        "verdict = examine(case)\n"
        "if seed % 3: return verdict\n"
        "found = tuple(Violation(name, at, '') for name, at in (('a', 1.0), ('b', 2.0), ('a', 3.0)))\n"
        "return replace(verdict, violations=found)"
    )
    summary = await over(range(1, 8))
    assert not summary.ok
    assert sorted(outcome.case.scenario.seed for outcome in summary.failures) == [3, 6]
    assert {row.seed: row.violated for row in summary.rows if not row.ok} == {3: ("a", "b"), 6: ("a", "b")}


@pytest.mark.slow
async def test_dead_and_hung_processes_are_failures_with_their_seeds(plant, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deltastream.sim.worker.patience", lambda scenario: 4.0)
    plant("if seed == 2: os._exit(9)\nif seed == 4: time.sleep(60)\nreturn examine(case)")
    summary = await over(range(1, 7))
    assert {row.seed: row.violated for row in summary.rows if not row.ok} == {
        2: ("process_died",),
        4: ("process_hung",),
    }
    assert len(summary.rows) == 6
    assert summary.distinct == 4


async def test_when_the_time_is_up_no_further_seed_is_begun():
    def endless():
        seed = 0
        while True:
            seed += 1
            yield from cases(seed)

    summary = Summary()
    with trio.fail_after(60):
        await campaign(endless(), summary, jobs=2, for_s=0.2)
    assert len(summary.rows) >= 2
    assert 0.2 <= summary.real_s < 30


async def test_cancellation_keeps_what_was_done(plant):
    plant("if seed > 2: time.sleep(60)\nreturn examine(case)")
    summary = Summary()
    with trio.fail_after(60), trio.CancelScope() as scope:

        def tell(outcome: Outcome) -> None:
            if len(summary.rows) == 2:
                scope.cancel()

        await campaign(cases(1, 2, 3, 4), summary, jobs=2, tell=tell)
    assert sorted(row.seed for row in summary.rows) == [1, 2]
    assert summary.real_s > 0
