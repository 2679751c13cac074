"""Shrinking, against cases whose cause is known."""

from __future__ import annotations

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from deltastream.sim import Counts, Verdict, Violation
from deltastream.sim.case import Case, examine, scenario_of
from deltastream.sim.plan import Plan
from deltastream.sim.shrink import Shrinker
from deltastream.sim.worker import Outcome

PRODUCTS = ("NIFTY", "BANKNIFTY", "SPY", "QQQ")


def outcome(case: Case, *invariants: str) -> Outcome:
    verdict = Verdict(
        scenario=case.scenario,
        plan=case.plan,
        digest="0" * 64,
        counts=Counts(),
        virtual_s=60.0,
        violations=tuple(Violation(name, 1.0, "") for name in invariants),
    )
    return Outcome(case, verdict, 0.0)


def plan_of(number: int) -> Plan:
    """A plan of so many faults, one a second, of three kinds."""
    kinds: tuple[dict[str, object], ...] = (
        {"kind": "kill"},
        {"kind": "mute", "duration": 3.0, "product": "SPY"},
        {"kind": "reader_stalls", "duration": 1.0, "reader": 2},
    )
    faults = [kinds[n % 3] | {"id": n, "at": n + 0.5} for n in range(1, number + 1)]
    return Plan.from_json(msgspec.json.encode({"faults": faults}))


class System:
    """Fails if certain faults are there, a certain product trades, enough read and time is enough."""

    def __init__(
        self, causes: set[int], product: str, readers: int, seconds: float, clients: int = 0
    ) -> None:
        self.causes, self.product, self.readers, self.seconds = causes, product, readers, seconds
        self.clients = clients
        self.runs = 0

    async def run(self, case: Case) -> Outcome:
        self.runs += 1
        await trio.lowlevel.checkpoint()
        scenario = case.scenario
        there = {fault.id for fault in case.plan.faults}
        fails = (
            self.causes <= there
            and self.product in scenario.products
            and scenario.readers >= self.readers
            and scenario.clients >= self.clients
            and scenario.duration_s >= self.seconds
        )
        return outcome(case, "other", "wanted") if fails else outcome(case, "other")


def whole(faults: int) -> Case:
    scenario = msgspec.structs.replace(scenario_of(1, 60.0, 5, "none"), products=PRODUCTS)
    return Case(scenario, plan_of(faults))


async def shrunk(case: Case, system: System) -> Shrinker:
    shrinker = Shrinker(outcome(case, "wanted"), system.run)
    await shrinker.run()
    return shrinker


async def test_clients_are_taken_away_until_it_takes_them():
    case = whole(0)
    case = Case(msgspec.structs.replace(case.scenario, clients=4), case.plan)
    for clients in (0, 3):
        found = await shrunk(case, System(set(), "SPY", 0, 5.0, clients))
        assert found.case.scenario.clients == clients


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_but_the_cause_is_left(data):
    faults = data.draw(st.integers(0, 40))
    causes = data.draw(st.sets(st.integers(1, max(faults, 1)), max_size=min(faults, 4)))
    case = whole(faults)
    needed = [fault for fault in case.plan.faults if fault.id in causes]
    product = (
        "SPY" if any(hasattr(fault, "product") for fault in needed) else data.draw(st.sampled_from(PRODUCTS))
    )
    readers = 3 if any(hasattr(fault, "reader") for fault in needed) else data.draw(st.integers(0, 5))
    seconds = max([5, data.draw(st.integers(5, 60)), *(int(fault.at) + 1 for fault in needed)])
    system = System(causes, product, readers, seconds)
    shrinker = trio.run(shrunk, case, system)
    found = shrinker.case
    assert {fault.id for fault in found.plan.faults} == causes
    assert found.scenario.products == (product,)
    assert found.scenario.readers == readers
    assert found.scenario.duration_s == seconds
    assert shrinker.runs == system.runs
    assert system.runs <= 40 + 25 * (1 + len(causes))
    again = trio.run(shrunk, case, System(causes, product, readers, seconds))
    assert again.case == found
    assert again.runs == shrinker.runs


async def test_no_case_is_run_twice():
    seen: list[bytes] = []
    system = System({7, 9}, "SPY", 3, 20.0)

    async def run(case: Case) -> Outcome:
        seen.append(msgspec.json.encode(case))
        return await system.run(case)

    shrinker = Shrinker(outcome(whole(24), "wanted"), run)
    await shrinker.run()
    assert len(set(seen)) == len(seen) == shrinker.runs


async def test_what_has_no_place_in_a_smaller_scenario_goes_with_it():
    sizes = []

    async def run(case: Case) -> Outcome:
        for fault in case.plan.faults:
            assert fault.at + fault.duration <= case.scenario.duration_s
            assert getattr(fault, "product", None) in (None, *case.scenario.products)
            assert getattr(fault, "reader", -1) < case.scenario.readers
        sizes.append(len(case.plan.faults))
        return outcome(case, "wanted")

    shrinker = Shrinker(outcome(whole(30), "wanted"), run)
    await shrinker.run()
    assert shrinker.case.plan.faults == ()
    assert (shrinker.case.scenario.duration_s, len(shrinker.case.scenario.products)) == (5.0, 1)
    assert shrinker.case.scenario.readers == 0


async def test_another_violation_is_not_the_same():
    async def run(case: Case) -> Outcome:
        return outcome(case, "another")

    found = outcome(whole(6), "wanted", "another")
    shrinker = Shrinker(found, run)
    await shrinker.run()
    assert shrinker.smallest == found
    assert shrinker.invariant == "wanted"


async def test_progress_is_told_after_each_run_and_cancellation_keeps_the_smallest():
    system = System({5}, "SPY", 0, 10.0)
    told: list[tuple[int, int]] = []
    with trio.CancelScope() as scope:

        def tell(shrinker: Shrinker) -> None:
            told.append((shrinker.runs, len(shrinker.case.plan.faults)))
            if shrinker.runs == 12:
                scope.cancel()

        shrinker = Shrinker(outcome(whole(20), "wanted"), system.run, tell)
        await shrinker.run()
    assert scope.cancelled_caught
    assert [runs for runs, _ in told] == list(range(1, 13))
    assert [left for _, left in told] == sorted((left for _, left in told), reverse=True)
    assert 5 in {fault.id for fault in shrinker.case.plan.faults}
    assert len(shrinker.case.plan.faults) < 20


def test_a_good_case_cannot_be_shrunk():
    with pytest.raises(ValueError, match="violates nothing"):
        Shrinker(outcome(whole(1)), System(set(), "SPY", 0, 5.0).run)


def test_a_real_simulation_is_shrunk_to_the_two_faults_that_it_takes():
    """A planted bug: what is wrong only where a reader has left and a child has crashed since."""
    plan = Plan.from_json(
        """{"faults": [
            {"kind": "crash", "id": 1, "at": 3.0, "child": "host/pipeline/enricher"},
            {"kind": "repeat", "id": 2, "at": 4.0, "duration": 4, "share": 0.5, "delay_s": 0, "keyed": false},
            {"kind": "kill", "id": 3, "at": 9.0},
            {"kind": "late", "id": 4, "at": 11.0, "duration": 3.0, "share": 0.3, "delay_s": 1.0},
            {"kind": "crash", "id": 5, "at": 16.0, "child": "host/pipeline/storage"}
        ]}"""
    )

    def planted(world) -> None:
        struck: list[str] = []

        def strike(fault, detail: str) -> None:
            struck.append(type(fault).__name__)
            if "Kill" in struck and struck[-1] == "Crash":
                world.violate("planted", "a crash after a kill")

        world.on_struck.append(strike)

    def run(case: Case) -> Outcome:
        return Outcome(case, examine(case, [planted]), 0.0)

    async def search(case: Case) -> Case:
        async def in_thread(candidate: Case) -> Outcome:
            return await trio.to_thread.run_sync(run, candidate)

        shrinker = Shrinker(await in_thread(case), in_thread)
        await shrinker.run()
        return shrinker.case

    found = trio.run(search, Case(scenario_of(5, 20.0, 1, "none"), plan))
    assert [fault.id for fault in found.plan.faults] == [3, 5]
    assert len(found.scenario.products) == 1
    assert (found.scenario.readers, found.scenario.duration_s) == (0, 17.0)
