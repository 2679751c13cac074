"""Plans: drawn from the seed alone, readable, reducible, and made of faults that find something to strike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import get_args

import msgspec
import pytest

from deltastream.market import calendar, product
from deltastream.sim import _draws
from deltastream.sim._kinds import (
    AUTH,
    CHILDREN,
    SOCKETS,
    Crash,
    FlippedBytes,
    Kill,
    OldCopy,
    PowerCut,
    RuinedStore,
)
from deltastream.sim.plan import PROFILES, Excuse, Fault, Plan, draw, kind_of
from deltastream.sim.scenario import Scenario

SEEDS = range(300)


def plans(profile):
    return [draw(Scenario.short(seed, profile)) for seed in SEEDS]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_plan_is_what_its_json_says(profile):
    for plan in plans(profile)[:60]:
        assert Plan.from_json(plan.to_json()) == plan
        faults = json.loads(plan.to_json())["faults"]
        assert [fault["kind"] for fault in faults] == [kind_of(fault) for fault in plan.faults]


def test_a_person_can_read_it():
    plan = Plan((Crash(id=1, at=3.5, child="host/pipeline/enricher", steps=12), Kill(id=2, at=9.0)))
    assert plan.to_json() == (
        '{"faults": [\n'
        '  {"kind":"crash","id":1,"at":3.5,"duration":0.0,"child":"host/pipeline/enricher","steps":12},\n'
        '  {"kind":"kill","id":2,"at":9.0,"duration":0.0,"down_s":1.0,"steps":0}\n'
        "]}\n"
    )


def test_the_hash_seed_of_the_process_does_not_matter():
    code = (
        "from deltastream.sim.plan import draw\nfrom deltastream.sim.scenario import Scenario\n"
        "print(''.join(draw(Scenario.short(seed, 'wild')).to_json() for seed in range(20)))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert printed == {"".join(draw(Scenario.short(seed, "wild")).to_json() for seed in range(20)) + "\n"}


def test_seeds_and_profiles_differ():
    drawn = [plan.to_json() for profile in ("mild", "rough", "wild", "short") for plan in plans(profile)]
    assert len(set(drawn)) == len(drawn)


def test_taking_one_out_leaves_the_others():
    for plan in plans("wild"):
        for fault in plan.faults:
            assert plan.without(fault.id).faults == tuple(f for f in plan.faults if f is not fault)


def test_how_many_there_are():
    assert all(plan.faults == () for plan in plans("none"))
    assert {len(plan.faults) for plan in plans("short")} == {1, 2, 3, 4}
    wild = [len(plan.faults) for plan in plans("wild")]
    assert min(wild) >= 5
    assert len(draw(Scenario.session(1, "wild")).faults) == _draws._MOST_FAULTS
    assert 100 < len(draw(Scenario.session(1, "mild")).faults) < 300


def test_every_kind_comes_up_and_every_profile_knows_only_kinds_that_exist():
    names = {str(kind.__struct_config__.tag) for kind in get_args(Fault)}
    assert set(_draws._DRAW) == names
    for profile in PROFILES.values():
        assert set(profile.weights) <= names
    for profile in ("short", "wild"):
        seen = Counter(kind_of(fault) for plan in plans(profile) for fault in plan.faults)
        assert set(seen) == names


@pytest.mark.parametrize("profile", ["mild", "rough", "wild", "short"])
def test_faults_are_over_before_the_feed_ends(profile):
    for plan in plans(profile):
        assert [fault.at for fault in plan.faults] == sorted(fault.at for fault in plan.faults)
        for fault in plan.faults:
            assert fault.at >= 2.0
            assert fault.at + fault.duration <= 57.0
            assert plan.over >= fault.over >= fault.at
            assert fault.excuses <= set(get_args(Excuse))
            assert getattr(fault, "child", CHILDREN[0]) in (*CHILDREN, AUTH, *SOCKETS)


def test_a_minute_begins_with_a_fault_that_is_sure_to_strike():
    assert not {kind_of(plan.faults[0]) for plan in plans("short")} & set(_draws._MAY_MISS)


def test_on_a_trading_day_the_market_is_open_when_the_feed_is_to_fail():
    scenario = Scenario.session(4, "rough")
    faults = draw(scenario).faults
    assert any(getattr(fault, "product", None) for fault in faults)
    for fault in faults:
        for symbol in (
            [fault.product] if getattr(fault, "product", None) is not None else scenario.products[:1]
        ):
            assert calendar(product(symbol).calendar).is_open(scenario.start + round(fault.at * 1e9))


def test_products_and_readers_are_those_of_the_scenario():
    for seed in SEEDS:
        scenario = Scenario.short(seed, "wild")
        for fault in draw(scenario).faults:
            assert getattr(fault, "product", None) in (None, *scenario.products)
            assert getattr(fault, "reader", 0) < scenario.readers


def test_what_is_excused():
    """A killed process loses nothing; a machine without power only the end; damage anything."""
    assert Plan((Kill(id=1, at=1.0),)).excuses == {"restart"}
    assert OldCopy(id=1, at=1.0, file="store").excuses == {"restart", "store_behind"}
    assert RuinedStore(id=1, at=1.0).excuses == {"restart", "give_up", "store_behind"}
    power = PowerCut(id=2, at=1.0, journal_share=0.5, store_share=0.0)
    assert power.excuses == {"restart", "new_epoch", "lost_tail", "store_behind"}
    assert "lost_any" in FlippedBytes(id=3, at=1.0, part="frames").excuses
    assert "lost_any" not in FlippedBytes(id=3, at=1.0, part="wal").excuses
    assert Plan((Kill(id=1, at=1.0), power)).excuses == power.excuses


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="no profile 'awful'; there are none, mild"):
        draw(Scenario.short(1, "awful"))


@pytest.mark.parametrize(
    "text",
    [
        '{"faults": [{"kind": "earthquake", "id": 1, "at": 1.0}]}',
        '{"faults": [{"kind": "kill", "id": 1, "at": 1.0, "gently": true}]}',
        '{"faults": [{"kind": "kill", "at": 1.0}]}',
        '{"faults": [{"kind": "kill", "id": 1, "at": 1.0}, {"kind": "kill", "id": 1, "at": 2.0}]}',
        '{"fault": []}',
        "[]",
    ],
)
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(msgspec.ValidationError):
        Plan.from_json(text)
