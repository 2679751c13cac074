"""The doors of a simulated process: its clock, its identifiers, and its threads."""

from __future__ import annotations

import random
from functools import partial

import pytest
import trio

from deltastream.bus._journal import Journal
from deltastream.sim.schedule import VirtualClock, run
from deltastream.sim.seams import SimClock, SimIds, SimThreads, Work
from deltastream.storage import SqliteRepository

START = 1_795_145_400 * 10**9


class Threads:
    """Threads of a process whose every part a test can see and change."""

    def __init__(self, seed=0):
        self.clock = VirtualClock()
        self.alive = True
        self.hooks, self.on_sql = [], []
        self.threads = SimThreads(
            random.Random(seed), 3, lambda: self.alive, self.clock.doze, self.hooks, self.on_sql
        )

    def run(self, async_fn, *args):
        return run(async_fn, *args, seed=0, clock=self.clock)


@pytest.fixture
def process():
    return Threads()


class Notes:
    """A hook that notes what it is asked, and does what a test wants."""

    def __init__(self, notes, before=None):
        self._notes, self._before = notes, before

    async def before(self, work):
        self._notes.append(("before", work.name, work.area, work.incarnation, trio.current_time()))
        if self._before:
            await self._before()

    async def after(self, work):
        self._notes.append(("after", work.name, work.args))


def test_the_clock_goes_with_virtual_time_and_can_be_set():
    async def main():
        clock = SimClock(START)
        told = [clock.now_ns()]
        await trio.sleep(1.5)
        told.append(clock.now_ns())
        clock.set_ahead(-3600)
        told.append(clock.now_ns())
        clock.set_ahead(3601)
        return [*told, clock.now_ns()]

    hour = 3600 * 10**9
    assert run(main, seed=0) == [START, START + 15 * 10**8, START + 15 * 10**8 - hour, START + 25 * 10**8]


def test_identifiers_come_from_the_generator():
    first, again = (SimIds(random.Random(5)) for _ in range(2))
    made = [first.new() for _ in range(100)]
    assert made == [again.new() for _ in range(100)]
    assert len(set(made)) == 100
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in made)


def test_work_takes_time_before_it_or_after_it(process):
    async def main():
        spans = []
        for _ in range(200):
            began = trio.current_time()
            at = await process.threads.run(trio.current_time)
            spans.append((at - began, trio.current_time() - at))
        return spans

    spans = process.run(main)
    assert all(0 < before + after < 0.005 for before, after in spans)
    assert 60 < sum(before > 0 for before, _ in spans) < 140
    assert all((before == 0) != (after == 0) for before, after in spans)


def test_a_limiter_lets_in_only_so_many(process):
    async def main():
        limiter, inside, most = trio.CapacityLimiter(2), 0, 0
        hook = Notes([], before=partial(trio.sleep, 1))

        def work():
            return trio.current_time()

        async def one():
            nonlocal inside, most
            finished.append(await process.threads.run(work, limiter=limiter))

        finished = []
        process.hooks.append(hook)
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(one)
        return sorted(round(at) for at in finished), limiter.borrowed_tokens

    assert process.run(main) == ([1, 1, 2, 2, 3, 3], 0)


def test_a_cancellation_does_not_reach_work_under_way(process):
    async def main():
        done = []
        process.hooks.append(Notes([], before=partial(trio.sleep, 2)))
        with trio.move_on_after(1) as scope:
            result = await process.threads.run(done.append, 1)
            still = trio.current_time() >= 2 and result is None
            await trio.lowlevel.checkpoint()
        return done, still, scope.cancelled_caught

    assert process.run(main) == ([1], True, True)


def test_work_is_not_begun_once_cancelled(process):
    async def main():
        done = []
        with trio.CancelScope() as scope:
            scope.cancel()
            await process.threads.run(done.append, 1, limiter=trio.CapacityLimiter(1))
        return done, scope.cancelled_caught

    assert process.run(main) == ([], True)


def test_hooks_stand_around_the_work_and_may_raise_in_its_place(process):
    notes, done = [], []
    process.hooks.append(Notes(notes))

    async def fail():
        raise OSError("the disk is full")

    async def main():
        await process.threads.run(done.append, 1)
        process.hooks.append(Notes([], before=fail))
        with pytest.raises(OSError, match="full"):
            await process.threads.run(done.append, 2)

    process.run(main)
    assert [note[0] for note in notes] == ["before", "after", "before"]
    assert notes[0][1:4] == ("list.append", "builtins", 3)
    assert notes[1][2] == (1,)
    assert done == [1]


def test_a_dead_process_does_its_work_at_once_and_asks_no_hook(process):
    async def main():
        process.hooks.append(Notes(notes))
        process.on_sql.append(notes.append)
        process.alive = False
        limiter = trio.CapacityLimiter(1)
        results = [await process.threads.run(trio.current_time, limiter=limiter) for _ in range(10)]
        return results, limiter.borrowed_tokens

    notes = []
    assert process.run(main) == ([0.0] * 10, 0)
    assert notes == []


def test_the_journals_work_can_fail_from_inside(process):
    def fail(work):
        raise OSError(work.name)

    class FakeJournal(Journal):
        def __init__(self):
            pass

    async def main():
        process.on_sql.append(fail)
        assert await process.threads.run(len, "abc") == 3
        with pytest.raises(OSError, match=r"Journal\.write_back"):
            await process.threads.run(FakeJournal().write_back)

    process.run(main)


def test_work_tells_its_name_and_area():
    store = SqliteRepository.__new__(SqliteRepository)
    assert Work.of(partial(store._apply, "g"), (), 1).name == "SqliteRepository._apply"
    assert Work.of(store._apply, (), 1).area == "store"
    assert Work.of(Journal.commit, (), 1).area == "journal"
    assert Work.of(len, (), 1).area == "builtins"
