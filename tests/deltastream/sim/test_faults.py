"""Each kind of fault, alone in a small world: that it strikes, what it does, and what is told of it."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from msgspec.structs import replace

from deltastream.bus import Gap
from deltastream.messages import MarketStatus, UnderlyingTick
from deltastream.sim import Scenario, simulate
from deltastream.sim import _kinds as kinds
from deltastream.sim.faults import inject
from deltastream.sim.plan import Fault, Plan, kind_of
from supervisors import EventKind

SCENARIO = Scenario(seed=7, duration_s=30.0, products=("NIFTY", "SPY"), strikes=9, readers=0)
READERS = (kinds.ReaderStalls, kinds.ReaderLeaves)
EXAMPLES = (
    kinds.Crash(id=1, at=5.0, child="host/pipeline/enricher", steps=3),
    kinds.CrashLoop(id=1, at=5.0, child="host/pipeline/storage", gap_s=0.5, duration=3.0),
    kinds.Kill(id=1, at=5.0, steps=3),
    kinds.KillAtStatement(id=1, at=5.0, file="journal", verb="COMMIT", moment="after", skip=2),
    kinds.TornCommit(id=1, at=5.0, file="journal", share=0.4, skip=1),
    kinds.PowerCut(id=1, at=5.0, journal_share=0.5, store_share=0.5),
    kinds.FlippedBytes(id=1, at=5.0, part="frames"),
    kinds.RuinedStore(id=1, at=5.0),
    kinds.OldCopy(id=1, at=5.0, duration=5.0, file="journal"),
    kinds.Pause(id=1, at=5.0, duration=3.0),
    kinds.ClockJump(id=1, at=5.0, by_s=-900.0, duration=5.0),
    kinds.Repeat(id=1, at=5.0, duration=5.0, share=1.0, delay_s=0.5, keyed=False),
    kinds.Late(id=1, at=5.0, duration=5.0, share=0.5, delay_s=2.0),
    kinds.Reorder(id=1, at=5.0, duration=10.0, window=3),
    kinds.Mute(id=1, at=5.0, duration=10.0),
    kinds.Outage(id=1, at=5.0, duration=3.0),
    kinds.FeedBreak(id=1, at=5.0),
    kinds.Garbage(id=1, at=6.0, duration=10.0, per_s=5.0),
    kinds.Flood(id=1, at=6.0, count=300),
    kinds.SqlError(id=1, at=5.0, duration=3.0, file="both", error="io", share=0.5),
    kinds.FullDisk(id=1, at=5.0, duration=3.0, file="both"),
    kinds.SlowDisk(id=1, at=5.0, duration=3.0, file="both", delay_s=0.2),
)


class Seen:
    """What a world has shown."""

    def __init__(self, *faults, scenario=SCENARIO):
        self.records, self.gaps, self.events, self.logs, self.downs, self.accepted = [], [], [], [], [], []
        self.verdict = simulate(
            scenario, Plan(faults), [self._look, lambda world: inject(world, Plan(faults))]
        )
        assert self.verdict.violations == ()

    def _look(self, world):
        world.on_record.append(
            lambda item: (self.gaps if isinstance(item, Gap) else self.records).append(item)
        )
        world.on_event.append(lambda event: self.events.append((world.now(), event)))
        world.on_log.append(self.logs.append)
        world.on_down.append(lambda number, how: self.downs.append(how))
        world.on_accept.append(self.accepted.append)

    def messages(self, kind, product="NIFTY"):
        found = [record.message for record in self.records if type(record.message) is kind]
        return [message for message in found if message.product == product]

    def crashes(self, path):
        return [
            event.error for _, event in self.events if event.kind is EventKind.CRASHED and event.path == path
        ]

    def logged(self, event):
        return [line for line in self.logs if line["event"] == event]

    @property
    def epochs(self):
        return list(dict.fromkeys(record.position.epoch for record in self.records))


def test_there_is_an_example_of_every_kind():
    assert {type(example) for example in EXAMPLES} == set(get_args(Fault)) - set(READERS)


@pytest.mark.parametrize("fault", EXAMPLES, ids=kind_of)
def test_it_strikes_and_the_same_way_again(fault):
    first = Seen(fault)
    assert first.verdict.counts.struck == {kind_of(fault): 1}
    assert first.verdict.digest == Seen(fault).verdict.digest
    assert first.verdict.digest != Seen().verdict.digest


def test_a_fault_whose_time_never_comes_strikes_nothing():
    late = (replace(example, id=number, at=500.0) for number, example in enumerate(EXAMPLES))
    seen = Seen(*late)
    assert seen.verdict.counts.struck == {}
    assert seen.downs == ["stopped"]


@pytest.mark.parametrize("child", kinds.CHILDREN)
def test_a_crash_is_one_like_any_other(child):
    (error,) = Seen(kinds.Crash(id=1, at=5.0, child=child, steps=20)).crashes(child)
    assert (error.type.rsplit(".", 1)[-1], error.message) == ("InjectedCrash", "fault 1")


def test_several_children_crash_at_once():
    crashes = [kinds.Crash(id=n, at=5.0, child=child) for n, child in enumerate(kinds.CHILDREN)]
    assert Seen(*crashes).verdict.counts.struck["crash"] >= 5


def test_a_crash_loop_exceeds_the_intensity_and_the_host_is_started_again():
    seen = Seen(kinds.CrashLoop(id=1, at=5.0, child="host/store", gap_s=0.01, duration=12.0))
    assert len(seen.crashes("host/store")) > 5
    assert "gave_up" in seen.downs


@pytest.mark.parametrize("steps", [0, 1, 50])
def test_a_killed_process_loses_nothing_and_repeats_nothing(steps):
    seen = Seen(kinds.Kill(id=1, at=5.0, steps=steps))
    assert seen.downs == ["killed", "stopped"]
    assert len(seen.epochs) == 1
    assert {entry.position for entry in seen.accepted} <= {record.position for record in seen.records}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("file", ["journal", "store"])
def test_a_torn_commit_is_none_and_leaves_no_doubt(file, share):
    seen = Seen(kinds.TornCommit(id=1, at=5.0, file=file, share=share, skip=3))
    assert seen.downs == ["killed", "stopped"]
    assert seen.logged("journal_epoch_renewed") == []
    assert len(seen.epochs) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("file", "verb"), [("journal", "COMMIT"), ("store", "INSERT"), ("store", "VACUUM")])
def test_a_process_dies_at_a_statement(file, verb, moment):
    """Of its own kind, or of any where that kind does not come."""
    seen = Seen(kinds.KillAtStatement(id=1, at=5.0, file=file, verb=verb, moment=moment, skip=1))
    assert seen.downs == ["killed", "stopped"]
    assert len(seen.epochs) == 1


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_lost_power_begins_a_new_epoch(share):
    seen = Seen(kinds.PowerCut(id=1, at=9.0, journal_share=share, store_share=0.0))
    assert seen.downs == ["killed", "stopped"]
    assert len(seen.epochs) == 2
    assert seen.gaps or share in (0.0, 1.0)


@pytest.mark.parametrize(("part", "told"), [("wal", "epoch_renewed"), ("structure", "salvaged")])
def test_damage_is_found(part, told):
    seen = Seen(kinds.FlippedBytes(id=1, at=9.0, part=part, count=3))
    assert seen.logged(f"journal_{told}")
    assert len(seen.epochs) == 2


def test_a_ruined_store_is_moved_away_and_filled_again():
    seen = Seen(kinds.RuinedStore(id=1, at=9.0))
    assert seen.downs == ["killed", "gave_up", "stopped"]
    assert seen.verdict.counts.stored > Seen().verdict.counts.stored


def test_an_old_journal_begins_a_new_epoch_and_an_old_store_none():
    assert len(Seen(kinds.OldCopy(id=1, at=5.0, duration=5.0, file="journal")).epochs) == 2
    assert len(Seen(kinds.OldCopy(id=1, at=5.0, duration=5.0, file="store")).epochs) == 1


def test_a_silent_feed_is_told_and_its_end():
    told = [status.reason for status in Seen(kinds.Mute(id=1, at=5.0, duration=10.0)).messages(MarketStatus)]
    assert told[-2:] == ["feed_silent", "feed_resumed"]


def test_a_provider_tells_its_outage():
    seen = Seen(kinds.Outage(id=1, at=5.0, duration=3.0, product="SPY"))
    assert [s.reason for s in seen.messages(MarketStatus, "SPY")][-2:] == [
        "connection_lost", "connection_restored",
    ]  # fmt: skip
    assert len(seen.messages(MarketStatus, "NIFTY")) == 1


@pytest.mark.parametrize("keyed", [False, True])
def test_what_comes_again_is_known_by_its_key(keyed):
    seen = Seen(kinds.Repeat(id=1, at=5.0, duration=10.0, share=1.0, delay_s=0.3, keyed=keyed))
    ticks = [tick.ts_event for tick in seen.messages(UnderlyingTick)]
    assert (len(ticks) > len(set(ticks)) + 5) is not keyed


@pytest.mark.parametrize(
    "fault",
    [
        kinds.Late(id=1, at=5.0, duration=10.0, share=0.5, delay_s=3.0),
        kinds.Reorder(id=1, at=5.0, duration=20.0, window=4),
    ],
)
def test_older_comes_after_newer(fault):
    times = [tick.ts_event for tick in Seen(fault).messages(UnderlyingTick)]
    assert any(later < earlier for earlier, later in pairwise(times))


def test_a_broken_provider_crashes_the_feed_once():
    assert len(Seen(kinds.FeedBreak(id=1, at=5.0)).crashes("host/pipeline/feed")) == 1


def test_a_flood_is_accepted():
    assert len(Seen(kinds.Flood(id=1, at=6.0, count=900)).accepted) > 900


@pytest.mark.parametrize(
    "fault",
    [
        kinds.FullDisk(id=1, at=5.0, duration=4.0, file="journal"),
        kinds.SqlError(id=1, at=5.0, duration=4.0, file="journal", error="io", share=1.0),
        kinds.SqlError(id=1, at=5.0, duration=4.0, file="journal", error="busy", share=1.0),
        kinds.SqlError(id=1, at=5.0, duration=4.0, file="journal", error="memory", share=1.0),
    ],
    ids=lambda fault: getattr(fault, "error", "full"),
)
def test_a_journal_that_cannot_be_written_is_waited_for(fault):
    seen = Seen(fault)
    assert seen.logged("bus_degraded")
    assert seen.logged("bus_recovered")
    assert seen.downs == ["stopped"]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (kinds.FullDisk(id=2, at=5.1, duration=4.0, file="journal"), "No space left on device"),
        (
            kinds.SqlError(id=2, at=5.1, duration=4.0, file="journal", error="io", share=1.0),
            "Input/output error",
        ),
    ],
    ids=["full", "io"],
)
def test_a_start_that_cannot_write_the_files_beside_its_journal_is_tried_again(fault, told):
    seen = Seen(kinds.Kill(id=1, at=5.0, down_s=0.5), fault)
    failed = [event for _, event in seen.events if event.kind is EventKind.START_FAILED]
    assert any(f"{told}: '" in str(event.error) and ".frames-new" in str(event.error) for event in failed)
    assert seen.downs[-1] == "stopped"
    assert seen.logged("journal_epoch_renewed") == []
    assert len(seen.epochs) == 1


@pytest.mark.parametrize("error", ["io", "busy", "memory"])
def test_a_store_that_cannot_be_used_degrades_who_uses_it(error):
    seen = Seen(kinds.SqlError(id=1, at=5.0, duration=4.0, file="store", error=error, share=1.0))
    degraded = {event.path for _, event in seen.events if event.kind is EventKind.DEGRADED}
    assert degraded == {"host/pipeline/storage"}
    assert seen.logged("dead_letter") == []


def test_in_a_pause_time_passes_and_nobody_runs():
    times = [entry.at for entry in Seen(kinds.Pause(id=1, at=5.0, duration=3.0)).accepted]
    assert not any(5.05 < at < 8.0 for at in times)
    assert any(at > 8.0 for at in times)


def test_the_clock_is_set_and_back():
    seen = Seen(kinds.ClockJump(id=1, at=5.0, by_s=3600.0, duration=5.0))
    recv = [entry.message.ts_recv - SCENARIO.start - entry.at * 1e9 for entry in seen.accepted]
    assert {round(late / 3600e9) for late in recv} >= {0, 1}
