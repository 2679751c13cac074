"""The service apart from its handle: absent, crashing, restarted, degraded, cancelled."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from deltastream.bus import BusSettings, EmbeddedBus, Entry, RetrySettings
from deltastream.bus._journal import Batch, Journal
from deltastream.errors import BusClosed, JournalError
from deltastream.messages import encode
from deltastream.seams import InlineThreads, Seams

QUICK = RetrySettings(max_attempts=3, base_s=0.02, cap_s=0.1)


class Sabotage(Exception):
    pass


class FlakyThreads(InlineThreads):
    """Runs work inline, but for what `fail` returns an error."""

    def __init__(self):
        self.fail = lambda fn: None
        self.calls = []

    async def run(self, fn, *args, limiter=None):
        await trio.lowlevel.checkpoint()
        self.calls.append(fn)
        error = self.fail(fn)
        if error is not None:
            raise error
        return fn(*args)


@pytest.fixture
def threads():
    return FlakyThreads()


@pytest.fixture
def bus(tmp_path, virtual, threads, autojump_clock):
    seams = Seams(clock=virtual.clock, rng=virtual.rng, ids=virtual.ids, threads=threads)
    return EmbeddedBus(tmp_path / "journal.db", BusSettings(retry=QUICK), seams)


@asynccontextmanager
async def service(bus):
    """One incarnation of the service, killed at the end of the block."""
    async with trio.open_nursery() as nursery:
        await nursery.start(bus.run)
        yield
        nursery.cancel_scope.cancel()


def is_commit(fn):
    return getattr(fn, "__func__", None) is Journal.commit


async def test_construction_has_no_effect(tmp_path, virtual, autojump_clock):
    EmbeddedBus(tmp_path / "journal.db", BusSettings(), virtual)
    assert list(tmp_path.iterdir()) == []


async def test_calls_wait_for_the_service(bus, autojump_clock, tick):
    found = []

    async def append():
        found.append(await bus.append("a", tick(0)))

    async def read():
        async with bus.consume(["a"], "g") as consumer:
            found.extend(await consumer.batch())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(append)
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert found == []
        statistics = await bus.statistics()
        assert (statistics.state, statistics.reason, statistics.pending) == (
            "degraded",
            "the service is not running",
            1,
        )
        async with service(bus):
            await trio.sleep(0.1)
            assert len(found) == 2


async def test_nobody_notices_a_restart(bus, autojump_clock, tick):
    async def feed():
        for n in range(50):
            await bus.append("a", tick(n))
            await trio.sleep(0.01)

    async def consume(seen):
        async with bus.consume(["a"], "g") as consumer:
            while len(seen) < 50:
                deliveries = await consumer.batch()
                await consumer.ack(deliveries)
                seen += [d.position.seq for d in deliveries]

    async def run():
        for _ in range(4):
            with trio.move_on_after(0.11):
                await bus.run()
            await trio.sleep(0.05)
        await bus.run()

    seen = []
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            async with trio.open_nursery() as clients:
                clients.start_soon(feed)
                clients.start_soon(consume, seen)
            bus.close()
    assert seen == list(range(1, 51))


async def test_what_was_not_committed_is_committed_by_the_next_service(bus, threads, autojump_clock, tick):
    done = []

    async def append(n):
        done.append((n, (await bus.append("a", tick(n))).seq))

    async with trio.open_nursery() as nursery:
        threads.fail = lambda fn: sqlite3.OperationalError("disk I/O error") if is_commit(fn) else None
        async with service(bus):
            for n in range(5):
                nursery.start_soon(append, n)
            await trio.sleep(1)
            assert done == []
        threads.fail = lambda fn: None
        async with service(bus):
            await trio.sleep(0.1)
            assert sorted(seq for _, seq in done) == [1, 2, 3, 4, 5]
            stored = [(r.message.ts_event, r.position.seq) for r in await bus.read("a")]
            assert stored == sorted(done, key=lambda each: each[1])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(5, "Input/output error"), "OSError: [Errno 5] Input/output error"),
        (MemoryError(), "MemoryError: "),  # what the module makes of SQLITE_NOMEM
    ],
)
async def test_degraded_until_the_disk_is_well(bus, threads, autojump_clock, tick, error, reason):
    async with service(bus), trio.open_nursery() as nursery:
        await bus.append("a", tick(0))
        threads.fail = lambda fn: error if is_commit(fn) else None
        nursery.start_soon(bus.append, "a", tick(1))
        await trio.sleep(20)
        statistics = await bus.statistics()
        assert statistics.state == "degraded"
        assert statistics.reason == reason
        assert statistics.pending == 1
        attempts = sum(map(is_commit, threads.calls))
        assert 5 < attempts < 40
        threads.fail = lambda fn: None
        await trio.sleep(6)
        assert (await bus.statistics()).state == "running"
        assert len(await bus.read("a")) == 2


async def test_unforeseen_error_reaches_the_callers_and_ends_the_service(bus, threads, autojump_clock, tick):
    errors = []

    async def append(n):
        try:
            await bus.append("a", tick(n))
        except JournalError as error:
            errors.append(str(error))

    with pytest.RaisesGroup(Sabotage, flatten_subgroups=True):
        async with service(bus), trio.open_nursery() as nursery:
            threads.fail = lambda fn: Sabotage("oops") if is_commit(fn) else None
            nursery.start_soon(append, 0)
            nursery.start_soon(append, 1)
            await trio.sleep(1)
    threads.fail = lambda fn: None
    assert "Nothing was written: Sabotage: oops." in errors
    async with service(bus):
        assert (await bus.append("a", tick(2))).seq == 1 + (2 - len(errors))


async def test_what_an_aborted_ack_held_comes_again(bus, threads, autojump_clock, tick):
    with pytest.RaisesGroup(Sabotage, flatten_subgroups=True):
        async with service(bus), bus.consume(["a"], "g") as consumer:
            await bus.append("a", tick(0))
            deliveries = await consumer.batch()
            threads.fail = lambda fn: Sabotage("oops") if is_commit(fn) else None
            with pytest.raises(JournalError):
                await consumer.ack(deliveries, emit=[Entry("out", tick(1))])
            threads.fail = lambda fn: None
            assert await consumer.batch() == deliveries
            await trio.sleep(1)
    async with service(bus), bus.consume(["a"], "g") as consumer:
        await consumer.ack(await consumer.batch())
        assert await bus.read("out") == []


async def test_followers_go_on_after_a_commit_of_which_nobody_heard(bus, threads, autojump_clock, tick):
    """It is in the journal, but the service ended before anybody was told: the topics are read anew."""

    def commit_and_fail(fn):
        if not is_commit(fn):
            return None
        fn(Batch(ts=1, entries=[("a", None, encode(tick(1)))]))
        return Sabotage("oops")

    async with trio.open_nursery() as nursery:
        with pytest.RaisesGroup(Sabotage, flatten_subgroups=True):
            async with service(bus):
                await bus.append("a", tick(0))
                follower = await nursery.start(follow, bus)
                threads.fail = commit_and_fail
                with pytest.raises(JournalError):
                    await bus.append("a", tick(1))
                await trio.sleep(1)
        threads.fail = lambda fn: None
        async with service(bus):
            await bus.append("a", tick(2))
            await trio.sleep(1)
        assert follower == [1, 2, 3]
        nursery.cancel_scope.cancel()


async def follow(bus, task_status):
    seen = []
    async with bus.follow(["a"]) as follower:
        task_status.started(seen)
        while True:
            seen += [item.position.seq for item in await follower.batch()]


async def test_closed_while_the_service_is_away(bus, autojump_clock, tick):
    async def append():
        with pytest.raises(BusClosed):
            await bus.append("a", tick(0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(append)
        await wait_all_tasks_blocked()
        bus.close()
    with pytest.raises(BusClosed):
        await bus.run()


async def test_closed_in_the_middle_of_a_degraded_commit(bus, threads, autojump_clock, tick):
    async def append():
        with pytest.raises(BusClosed):
            await bus.append("a", tick(0))

    async with trio.open_nursery() as nursery, service(bus):
        threads.fail = lambda fn: (
            sqlite3.OperationalError("database or disk is full") if is_commit(fn) else None
        )
        nursery.start_soon(append)
        await trio.sleep(1)
        bus.close()
    assert (await bus.statistics()).pending == 0


async def test_appends_wait_while_too_much_is_pending(tmp_path, virtual, autojump_clock, tick):
    bus = EmbeddedBus(tmp_path / "journal.db", BusSettings(max_pending_bytes=1000), virtual)
    async with trio.open_nursery() as nursery:
        for n in range(100):
            nursery.start_soon(bus.append, "a", tick(n))
        await wait_all_tasks_blocked()
        assert 0 < (await bus.statistics()).pending_bytes <= 1000
        async with service(bus):
            await trio.sleep(10)
            assert len(await bus.read("a", limit=1000)) == 100


async def test_a_message_larger_than_all_that_may_be_pending(tmp_path, virtual, autojump_clock, chain):
    bus = EmbeddedBus(tmp_path / "journal.db", BusSettings(max_pending_bytes=1000), virtual)
    async with service(bus):
        assert (await bus.append("a", chain(1))).seq == 1


async def test_urgent_appends_overtake_a_backlog_and_nobody_starves(bus, autojump_clock, tick, chain):
    order = []

    async def append(topic, message):
        await bus.append(topic, message)
        order.append(topic)

    async with trio.open_nursery() as nursery:
        for n in range(200):
            nursery.start_soon(append, "history", chain(n))
        await wait_all_tasks_blocked()
        nursery.start_soon(append, "market.tick.SPY", tick(0))
        await wait_all_tasks_blocked()
        async with service(bus):
            await trio.sleep(10)
    assert len(order) == 201
    place = order.index("market.tick.SPY")
    assert place < 150
    assert "history" in order[: place + 1] or order[place + 1] == "history"


async def test_running_twice_after_close(bus, autojump_clock):
    async with service(bus):
        pass
    async with service(bus):
        bus.close()
    with pytest.raises(BusClosed):
        await bus.run()


async def test_an_exception_in_the_block_of_open_bus_comes_out_as_it_is(log, clock):
    with pytest.raises(Sabotage):
        async with log.open():
            raise Sabotage
