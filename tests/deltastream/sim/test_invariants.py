"""Invariants that are looked after while a world runs: each is shown a wrong history, and says so."""

from __future__ import annotations

import math
import random
import threading

import msgspec
import pytest
import trio
from msgspec.structs import replace

from deltastream.actors.storage import Storage
from deltastream.bus import BusSettings, Gap, open_bus
from deltastream.bus.protocol import BusStatistics, GroupStatistics, TopicStatistics
from deltastream.feeds.protocol import Delivered
from deltastream.messages import MarketStatus, UnderlyingTick
from deltastream.sim import Scenario, simulate
from deltastream.sim._kinds import FullDisk, Garbage, Kill, Mute, PowerCut, ReaderStalls
from deltastream.sim.excuses import RECOVERY_S, Excuses
from deltastream.sim.faults import inject
from deltastream.sim.freshness import SLACK_S, Freshness
from deltastream.sim.health import LAG_S, Health, Intake
from deltastream.sim.invariants import watch
from deltastream.sim.leaks import Leaks
from deltastream.sim.log_check import check_log, check_trimmed
from deltastream.sim.model import Model
from deltastream.sim.plan import Plan
from supervisors import ChildSpec, SupervisorSpec, block, open_tree
from supervisors import Mailbox as Box

NS = 10**9


@pytest.fixture
def codes():
    return []


@pytest.fixture
def complain(codes):
    return lambda code, detail: codes.append(code)


def tick(product="NIFTY", ts=1):
    return UnderlyingTick(product=product, price=100.0, ts_event=ts, ts_recv=ts)


def status(kind, reason="in_session", product="NIFTY", ts=1):
    return MarketStatus(product=product, status=kind, reason=reason, since=ts, ts_event=ts, ts_recv=ts)


CUT = PowerCut(id=1, at=1.0, journal_share=0, store_share=0)


class TestExcuses:
    def test_what_a_fault_accounts_for_and_until_when(self):
        excuses = Excuses()
        assert not excuses.ever("degraded")
        excuses.strike(12.0, FullDisk(id=1, at=10.0, duration=5.0, file="both"))
        assert excuses.ever("degraded", "stale")
        assert not excuses.ever("new_epoch")
        assert excuses.around(0.0, 12.0, "degraded")
        assert not excuses.around(0.0, 11.9, "degraded")
        assert not excuses.calm(12.0, 13.0)
        assert not excuses.calm(17.0 + RECOVERY_S, 100.0)
        assert excuses.calm(17.1 + RECOVERY_S, 100.0)
        assert excuses.over == 17.0

    def test_a_reader_disturbs_nobody(self):
        excuses = Excuses()
        excuses.strike(1.0, ReaderStalls(id=1, at=1.0, duration=5.0, reader=0))
        assert excuses.calm(0.0, 2.0)

    @pytest.mark.parametrize(
        ("fault", "gap", "explained"),
        [
            (Kill(id=1, at=1.0), Gap("a", "e", 2, 1, "epoch_changed"), False),
            (CUT, Gap("a", "e", 2, 1, "epoch_changed"), True),
            (CUT, Gap("a", "e", 2, 9, "epoch_changed"), True),
            (CUT, Gap("a", "e", 2, 9, "lost"), False),
            (FullDisk(id=1, at=1.0, file="both"), Gap("a", "e", 2, 9, "epoch_changed"), False),
            (Garbage(id=1, at=1.0, per_s=1.0), Gap("a", "e", 2, 2, "undecodable"), True),
            (Garbage(id=1, at=1.0, per_s=1.0), Gap("a", "e", 2, 2, "trimmed"), False),
        ],
    )  # fmt: skip
    def test_gaps(self, fault, gap, explained):
        excuses = Excuses()
        assert not excuses.explains(gap)
        excuses.strike(1.0, fault)
        assert excuses.explains(gap) is explained

    def test_a_machine_that_syncs_every_commit_loses_nothing(self):
        excuses = Excuses(durable=True)
        excuses.strike(1.0, CUT)
        assert excuses.ever("restart")
        assert not excuses.ever("new_epoch", "lost_tail", "store_behind")

    def test_what_is_old_may_have_left_the_journal(self):
        gap = Gap("a", "e", 2, 2, "trimmed")
        assert Excuses(trims=True).explains(gap)
        assert not Excuses().explains(gap)

    def test_how_long_nobody_could_see_what_was_accepted(self):
        excuses = Excuses(trims=True)
        assert excuses.longest_down == 0.0
        for down_s in (0.2, 4.7, 1.0):
            excuses.strike(1.0, Kill(id=1, at=1.0, down_s=down_s))
        assert excuses.longest_down == 4.7

    def test_when_something_was_last_accounted_for(self):
        excuses = Excuses()
        assert excuses.last("restart") == -math.inf
        for at, fault in ((3.0, Kill(id=1, at=3.0)), (9.0, Kill(id=2, at=9.0)), (12.0, CUT)):
            excuses.strike(at, fault)
        assert excuses.last("restart") == excuses.last("lost_tail") == 12.0
        assert excuses.last("lost_any") == -math.inf


class TestFreshness:
    LIMIT = 5.0

    @pytest.fixture
    def fresh(self, complain):
        self.excuses = Excuses()
        fresh = Freshness(self.LIMIT, self.excuses, complain)
        fresh.hear(0.0, status("open"))
        fresh.publish(0.0, status("open"))
        return fresh

    def test_silence_must_be_told_in_time(self, fresh, codes):
        fresh.look(self.LIMIT + SLACK_S, 0.0)
        assert codes == []
        fresh.look(self.LIMIT + SLACK_S + 0.1, 0.0)
        assert codes == ["stale_as_live"]

    def test_told_in_time(self, fresh, codes):
        fresh.hear(6.0, status("stale", "feed_silent"))
        fresh.publish(6.0, status("stale", "feed_silent"))
        fresh.look(60.0, 0.0)
        assert codes == []
        assert fresh.is_stale("NIFTY", 60.0)

    def test_a_feed_that_has_just_begun_has_its_time(self, fresh, codes):
        fresh.look(60.0, 55.0)
        fresh.look(60.0, None)
        assert codes == []
        fresh.look(63.0, 55.0)
        assert codes == ["stale_as_live"]

    def test_a_closed_market_may_be_silent(self, fresh, codes):
        fresh.hear(1.0, status("closed"))
        fresh.look(60.0, 0.0)
        assert codes == []

    def test_stale_without_silence(self, fresh, codes):
        fresh.hear(4.0, tick())
        fresh.publish(6.0, status("stale", "feed_silent"))
        assert codes == ["stale_unearned"]

    def test_silence_begins_before_what_was_heard_is_committed(self, fresh, codes):
        fresh.hear(4.002, tick())
        fresh.publish(4.0 + self.LIMIT, status("stale", "feed_silent"))
        assert codes == []

    def test_stale_that_does_not_end(self, fresh, codes):
        fresh.publish(6.0, status("stale", "feed_silent"))
        fresh.hear(10.0, tick())
        fresh.look(10.0, 0.0)
        assert codes == ["live_as_stale"]

    def test_an_observer_that_gathers_has_its_time(self, complain, codes):
        fresh = Freshness(self.LIMIT, Excuses(), complain, gathers_s=1.0)
        fresh.hear(0.0, status("open"))
        fresh.publish(6.0, status("stale", "feed_silent"))
        for at in (10.0, 11.0, 12.0):
            fresh.hear(at, tick())
            fresh.look(at + 0.9, 0.0)
        assert codes == ["live_as_stale"]

    def test_a_disk_that_is_full_excuses(self, fresh, codes):
        self.excuses.strike(1.0, FullDisk(id=1, at=1.0, duration=5.0, file="both"))
        fresh.look(30.0, 0.0)
        assert codes == []

    def test_a_mute_feed_does_not(self, fresh, codes):
        self.excuses.strike(1.0, Mute(id=1, at=1.0, duration=20.0))
        fresh.look(30.0, 0.0)
        assert codes == ["stale_as_live"]


def bus_statistics(last, acked, state="running"):
    topic = TopicStatistics("a", "e", 1, last, 0, None)
    group = GroupStatistics("g", "a", acked, last - acked, 0, 0, 0, 0)
    return BusStatistics(state, None, 0, 0, 0, 0, 0, 0, 0, (topic,), (group,))


class TestHealth:
    @pytest.fixture
    async def tree(self, autojump_clock):
        async def degraded(ctx, /, *, task_status):
            task_status.started()
            if self.reason:
                ctx.degraded(self.reason)
            await trio.sleep_forever()

        self.reason, self.box = None, Box("box", block(2))
        child = ChildSpec(name="a", start=degraded, mailboxes=(self.box,))
        async with open_tree(SupervisorSpec(name="root", children=(child,)), rng=random.Random(1)) as tree:
            yield tree

    @pytest.fixture
    def health(self, complain):
        self.excuses = Excuses()
        return Health(self.excuses, complain)

    def test_bounds(self, health, codes):
        health.bounds(100, 100, 1024)
        assert codes == []
        health.bounds(100 << 20, 100, 0)
        health.bounds(0, 100, 1025)
        assert codes == ["queue_bound", "queue_bound"]

    async def test_all_is_well(self, health, codes, tree):
        for now in range(20):
            health.recovered(now, bus_statistics(10 + now, 10 + now - LAG_S), tree.statistics())
        assert codes == []

    async def test_a_group_that_lags(self, health, codes, tree):
        for now in range(10):
            health.recovered(now, bus_statistics(10 + now, 10 + now - LAG_S - 1), tree.statistics())
        assert set(codes) == {"lag"}
        codes.clear()
        self.excuses.strike(9.0, FullDisk(id=1, at=9.0, file="both"))
        health.recovered(10.0, bus_statistics(99, 1), tree.statistics())
        assert codes == []

    async def test_a_bus_that_does_not_work(self, health, codes, tree):
        health.recovered(1.0, bus_statistics(1, 1, "degraded"), tree.statistics())
        assert codes == ["not_recovered"]

    async def test_a_mailbox_beyond_its_bound(self, health, codes, tree):
        statistics = tree.statistics()
        box = statistics.children[0].mailboxes[0]
        object.__setattr__(box, "depth", box.capacity + 1)
        health.recovered(1.0, bus_statistics(1, 1), statistics)
        assert codes == ["queue_bound"]

    async def test_an_actor_that_is_degraded(self, health, codes, autojump_clock):
        async def degraded(ctx, /, *, task_status):
            task_status.started()
            ctx.degraded("no luck")
            await trio.sleep_forever()

        spec = SupervisorSpec(name="root", children=(ChildSpec(name="a", start=degraded),))
        async with open_tree(spec, rng=random.Random(1)) as tree:
            await trio.sleep(1)
            health.recovered(1.0, bus_statistics(1, 1), tree.statistics())
        assert codes == ["not_recovered"]

    def test_no_host_for_too_long(self, health, codes):
        health.absent(1.0)
        health.absent(2.9)
        assert codes == []
        health.absent(4.0)
        assert codes == ["not_recovered"]

    async def test_a_source_that_is_not_held_back(self, complain, codes):
        class Endless:
            name, silent_after_s = "endless", None

            def stream(self):
                return self

            async def __aenter__(self):
                return self

            async def __aexit__(self, *_):
                pass

            def __aiter__(self):
                return self

            async def __anext__(self):
                return Delivered(tick())

        done = 0
        intake = Intake(lambda: done, complain)
        async with intake.wrap(Endless()).stream() as items:
            for _ in range(130):
                await anext(items)
            done = 1
            await anext(items)
            assert codes == []
            await anext(items)
        assert codes == ["queue_bound"]


class TestLeaks:
    def test_nothing_left(self, complain, codes, tmp_path):
        Leaks(3, tmp_path, complain).check(3, {"members": 0})
        assert codes == []

    def test_whatever_is_left(self, complain, codes, tmp_path):
        leaks = Leaks(3, tmp_path, complain)
        over = threading.Event()
        # Several: the watchdog of the test before takes a while to end, and may be among those before.
        threads = [threading.Thread(target=over.wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            with (tmp_path / "journal.db").open("w"):
                leaks.check(4, {"members": 1, "followers": 0})
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert codes == ["leak_task", "leak_thread", "leak_file", "leak_held"]


class TestLogCheck:
    @pytest.fixture
    def opened(self, tmp_path, virtual_seams):
        return lambda: open_bus(tmp_path / "journal.db", BusSettings(), virtual_seams(NS))

    async def told(self, opened, codes, complain, spoil, **options):
        """What is said of a log of three ticks, of which the observer's view was then spoilt."""
        async with opened() as bus:
            await bus.append_batch([])
            for number in range(1, 4):
                await bus.append("market.tick.NIFTY", tick(ts=number))
            model = Model(msgspec.UNSET, complain)
            for record in await bus.read("market.tick.NIFTY"):
                model.observe(record)
            line = model.history.lines["market.tick.NIFTY"]
            spoil(line, model.history)
            await check_log(bus, model.history, complain, **options)
        return line

    @pytest.mark.parametrize(
        ("spoil", "code"),
        [
            (lambda line, history: None, None),
            (lambda line, history: history.lines.clear(), "unobserved"),
            (lambda line, history: line.live.pop(2), "unobserved"),
            (lambda line, history: setattr(line.live[1], "digest", b"x"), "log_changed"),
            (lambda line, history: setattr(line, "last", 2), "unobserved"),
        ],
    )
    async def test_what_is_there(self, opened, codes, complain, autojump_clock, spoil, code):
        await self.told(opened, codes, complain, spoil)
        assert codes == ([] if code is None else [code])

    @pytest.mark.parametrize("lost", [False, True])
    async def test_what_is_not_there_any_more(
        self, opened, codes, complain, autojump_clock, monkeypatch, lost
    ):
        from deltastream.bus import EmbeddedBus

        real = EmbeddedBus.read

        async def read(self, topic, **options):
            return [r for r in await real(self, topic, **options) if r.position.seq != 2]

        def spoil(line, history):
            monkeypatch.setattr(EmbeddedBus, "read", read)

        line = await self.told(opened, codes, complain, spoil, lost=lost)
        assert codes == ([] if lost else ["log_lost"])
        assert line.gone == {1}

    @pytest.mark.parametrize(("until", "marked"), [(-math.inf, []), (1.5, [1]), (math.inf, [1, 2])])
    async def test_of_what_was_trimmed_nobody_can_tell_whether_it_was_lost_before(
        self, opened, codes, complain, autojump_clock, until, marked
    ):
        def spoil(line, history):
            self.history = history
            for seq, seen in line.live.items():
                seen.at = float(seq)

        line = await self.told(opened, codes, complain, spoil)
        async with opened() as bus:
            statistics = await bus.statistics()
        [topic] = [replace(one, first_seq=3) for one in statistics.topics]
        check_trimmed(replace(statistics, topics=(topic,)), self.history, complain, math.inf, until)
        assert [seq for seq, seen in line.live.items() if seen.trimmed] == marked
        assert codes == []
        check_trimmed(replace(statistics, topics=(topic,)), self.history, complain, 1.5, until)
        assert codes == ["log_lost"]


def run(seed=5, faults=(), profile="none"):
    scenario = Scenario.short(seed, profile)
    plan = Plan(tuple(faults))
    return simulate(scenario, plan, [lambda world: watch(world, inject(world, plan))])


class TestWorlds:
    """A whole world, right and wrong."""

    def test_a_day_on_which_nothing_goes_wrong(self):
        verdict = run()
        assert verdict.violations == ()
        assert verdict.counts.accepted > 100

    def test_a_crash_that_no_fault_accounts_for(self, monkeypatch):
        async def crash(self, ctx, /, *, task_status):
            task_status.started()
            await trio.sleep(20)
            raise RuntimeError("a defect")

        monkeypatch.setattr(Storage, "run", crash)
        codes = {violation.invariant for violation in run().violations}
        assert "crash_unexplained" in codes

    def test_an_acknowledgement_before_the_effect(self, monkeypatch):
        """The batch in hand when the process dies is never stored."""

        async def run_wrongly(self, ctx, /, *, task_status):
            task_status.started()
            positions = await self._store.positions(self.GROUP)
            async with self._bus.consume(self.PATTERNS, self.GROUP) as consumer:
                assert positions is not None
                while True:
                    batch = await consumer.batch(128)
                    await consumer.ack(batch)
                    await trio.sleep(0.5)
                    await self._store.apply(self.GROUP, batch)

        monkeypatch.setattr(Storage, "run", run_wrongly)
        verdict = run(faults=[Kill(id=1, at=20.25)])
        assert {"store_missing"} <= {violation.invariant for violation in verdict.violations}
