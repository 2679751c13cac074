"""Worlds: incarnations that are killed, give up, are paused, and what of them counts."""

from __future__ import annotations

import gc
import os
import sqlite3
import weakref
from pathlib import Path

import msgspec
import pytest
import trio

from deltastream.bus import Record
from deltastream.sim import Scenario, simulate
from supervisors import EventKind


def _target(link):
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def short(seed=1, **changes):
    return msgspec.structs.replace(Scenario.short(seed), **{"duration_s": 20.0, "max_age_s": None, **changes})


class Looker:
    """Takes hold of a world, notes what happens in it, and runs a test's own task."""

    def __init__(self, task=None, every_second=None):
        self.world = None
        self.task, self.every_second = task, every_second
        self.ups, self.downs, self.records, self.kept = [], [], [], None
        self.living = None

    def __call__(self, world):
        self.world = world
        world.on_up.append(lambda number: self.ups.append(number))
        world.on_down.append(lambda number, how: self.downs.append((number, how, world.failure)))
        world.on_record.append(self.records.append)
        world.at_end.append(self.compare)
        world.after_stop.append(self.count)
        if self.task:
            world.tasks.append(lambda: self.task(world))

    def count(self):
        """Tasks that live, and files that are open, after the stop."""
        self.living = trio.lowlevel.current_statistics().tasks_living
        self.open = [
            name
            for name in map(_target, Path("/proc/self/fd").iterdir())
            if name.startswith(str(self.world.directory))
        ]

    async def compare(self):
        """Everything that was acknowledged is in the log, where it was said to be."""
        bus = self.world.host.bus
        self.kept = 0
        for accepted in self.world.ledger.accepted:
            (found,) = await bus.read(accepted.topic, after=accepted.position.seq - 1, limit=1)
            assert found.position == accepted.position
            assert (
                msgspec.structs.asdict(found.message).keys()
                == msgspec.structs.asdict(accepted.message).keys()
            )
            assert found.message.ts_event == accepted.message.ts_event
            self.kept += 1


def test_a_minute_in_which_nothing_goes_wrong():
    look = Looker()
    verdict = simulate(short(2, duration_s=60.0), parts=[look])
    assert verdict.ok
    assert verdict.counts.accepted >= 140
    assert (
        verdict.counts.accepted
        == look.kept
        == verdict.counts.published
        - verdict.counts.enriched
        - len([1 for item in look.records if item.topic.startswith("analytics.")])
    )
    assert verdict.counts.stored >= verdict.counts.accepted
    assert look.ups == [1]
    assert look.downs == [(1, "stopped", None)]
    assert 60 <= verdict.virtual_s < 63
    assert (look.living, look.open) == (look.world.baseline, [])


def test_what_is_simulated_leaves_nothing_behind():
    look = Looker()
    simulate(short(), parts=[look])
    assert not look.world.directory.exists()


@pytest.mark.parametrize("seed", range(6))
def test_what_was_acknowledged_survives_every_kill(seed):
    async def kill(world):
        rng = world.rng("kill")
        for _ in range(4):
            await trio.sleep(rng.uniform(1, 4))
            world.kill(after_steps=rng.randrange(60), down_s=rng.uniform(0, 1))

    look = Looker(kill)
    verdict = simulate(short(seed), parts=[look])
    assert verdict.violations == ()
    kills = verdict.counts.kills
    assert kills >= 2
    assert [how for _, how, _ in look.downs] == ["killed"] * kills + ["stopped"]
    assert look.kept == verdict.counts.accepted > 0
    assert verdict.counts.gaps == 0
    assert (look.living, look.open) == (look.world.baseline, [])
    positions = [item.position for item in look.records if isinstance(item, Record)]
    assert len({position.epoch for position in positions}) == 1


def test_what_a_dead_process_does_reaches_nobody():
    deaths = []

    async def kill(world):
        await trio.sleep(5.0)
        world.on_event.append(lambda event: deaths.append(("event", world.host)))
        world.on_accept.append(lambda accepted: deaths.append(("accepted", accepted.incarnation)))
        world.kill(down_s=2.0)
        assert world.host is None
        victim = world.incarnation
        seen = len(look.records)
        await trio.sleep(1.9)
        assert (deaths, len(look.records)) == ([], seen)
        await world.up()
        assert world.incarnation == victim + 1

    look = Looker(kill)
    assert simulate(short(), parts=[look]).ok
    assert {number for what, number in deaths if what == "accepted"} == {2}


def test_a_kill_finds_nobody_when_there_is_no_process():
    told = []

    async def kill(world):
        await trio.sleep(3)
        told.extend([world.kill(after_steps=50, down_s=3), world.kill()])
        await trio.sleep(2)
        told.append(world.kill())

    async def too_late(world):
        told.append(world.kill())

    def part(world):
        world.tasks.append(lambda: kill(world))
        world.at_end.append(lambda: too_late(world))

    assert simulate(short(), parts=[part]).counts.kills == 1
    assert told == [True, False, False, False]


def test_the_next_process_finds_the_files_as_damaged():
    seen = []

    def damage(directory):
        seen.append(sorted(path.name for path in directory.iterdir()))
        (directory / "store.db").unlink()
        for name in ("store.db-wal", "store.db-shm"):
            (directory / name).unlink(missing_ok=True)

    async def kill(world):
        await trio.sleep(10)
        world.kill(damage=damage)
        host = await world.up()
        seen.append(await host.store.products())

    verdict = simulate(short(), parts=[Looker(kill)])
    assert {"journal.db", "journal.db-wal", "journal.db.mark", "store.db", "VERSION"} <= set(seen[0])
    assert "lock" not in seen[0]
    assert verdict.ok  # a store that was lost is filled again from the journal
    assert verdict.counts.stored > verdict.counts.accepted


def test_a_host_that_gives_up_is_started_again():
    crashes = []

    def wrap(path, service):
        async def run(ctx, /, *, task_status):
            if 5 < trio.current_time() < 9:
                crashes.append(path)
                raise RuntimeError("planted")
            async with trio.open_nursery() as nursery:
                await nursery.start(service, ctx)
                task_status.started()
                if trio.current_time() < 5:
                    await trio.sleep_until(5.5)
                    raise RuntimeError("planted")

        return run if path == "host/control" else service

    look = Looker()
    events = []

    def part(world):
        world.wrap_child.append(wrap)
        world.on_event.append(lambda event: events.append((world.incarnation, event.kind)))

    verdict = simulate(short(), parts=[look, part])
    assert verdict.violations == ()
    assert verdict.counts.gave_up >= 1
    how = [how for _, how, _ in look.downs]
    assert how == ["gave_up"] * verdict.counts.gave_up + ["stopped"]
    assert all(isinstance(error, Exception) for _, how, error in look.downs if how == "gave_up")
    assert look.kept == verdict.counts.accepted
    assert EventKind.GAVE_UP in {kind for _, kind in events}
    assert crashes


def test_a_host_that_ends_unasked_is_a_violation():
    async def ask(world):
        await trio.sleep(5)
        world.host.request_stop("somebody did")

    verdict = simulate(short(), parts=[Looker(ask)])
    assert [violation.invariant for violation in verdict.violations] == ["host_ended"]
    assert verdict.counts.starts == 2


def test_an_actor_that_does_not_get_well_is_not_settled():
    def part(world):
        world.on_sql.append(lambda work: world.now() > 10 and work.area == "store" and _raise_full())

    verdict = simulate(short(), parts=[part])
    (violation,) = verdict.violations
    assert violation.invariant == "not_settled"
    assert "storage" in violation.detail
    assert "/dev/shm" not in violation.detail


def _raise_full():
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


def test_a_pause_lets_time_pass_in_which_nothing_happens():
    accepted = []

    async def pause(world):
        await trio.sleep_until(8)
        world.pause(6)
        assert world.now() == 14

    def part(world):
        world.tasks.append(lambda: pause(world))
        world.on_accept.append(lambda entry: accepted.append(entry.at))

    assert simulate(short(), parts=[part]).ok
    assert not [at for at in accepted if 8.1 < at < 14]
    assert [at for at in accepted if at > 14]


def test_the_clock_can_be_set_while_time_goes_on():
    seen = []

    async def set_clock(world):
        await trio.sleep_until(10)
        world.clock.set_ahead(-7200)

    def part(world):
        world.tasks.append(lambda: set_clock(world))
        world.on_accept.append(lambda entry: seen.append((entry.at, entry.message.ts_recv)))

    scenario = short()
    verdict = simulate(scenario, parts=[part])
    assert verdict.ok
    assert {at for at, _ in seen if at > 11}


def test_hooks_look_each_second_and_at_the_end():
    seconds, ends = [], []

    def part(world):
        async def look():
            seconds.append(world.now())

        async def end():
            ends.append((world.host is not None, world.closing, world.now()))

        world.every_second.append(look)
        world.at_end.append(end)

    verdict = simulate(short(), parts=[part])
    assert seconds[:19] == [float(n) for n in range(1, 20)]
    ((up, closing, at),) = ends
    assert (up, closing) == (True, True)
    assert 20 <= at <= verdict.virtual_s


@pytest.mark.parametrize("lines", [True, False])
def test_log_lines_go_to_hooks_and_nowhere_else(capfd, lines):
    told = []

    def part(world):
        if lines:
            world.on_log.append(told.append)

    simulate(short(), parts=[part])
    assert capfd.readouterr() == ("", "")
    if lines:
        said = [(line["level"], line["logger"], line["event"]) for line in told]
        assert said.count(("info", "deltastream.host", "started")) == 1
        assert said.count(("info", "deltastream.host", "stopping")) == 1


def test_a_simulation_that_hangs_is_a_verdict():
    async def hang(world):
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    def part(world):
        world.tasks.append(lambda: hang(world))

    verdict = simulate(short(), parts=[part])
    assert verdict.violations[-1].invariant == "hung"
    assert simulate(short()).ok


def test_nothing_holds_a_world_that_has_ended():
    """Nobody else collects garbage here: in a campaign of an hour it was gigabytes."""
    worlds = []
    gc.collect()
    gc.disable()
    try:
        for seed in (1, 2):
            simulate(short(seed, duration_s=2.0), None, [lambda world: worlds.append(weakref.ref(world))])
        assert [world() for world in worlds] == [None, None]
        assert not gc.isenabled()
    finally:
        gc.enable()
