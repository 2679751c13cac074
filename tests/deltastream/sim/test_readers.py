"""Readers: positions, latest state, gaps; and that what is wrong with them is told."""

from __future__ import annotations

import msgspec
import pytest

from deltastream.bus import Gap, Record
from deltastream.messages import MarketStatus, Position, UnderlyingTick, encode
from deltastream.sim import Scenario, simulate
from deltastream.sim._kinds import Kill, ReaderLeaves, ReaderStalls
from deltastream.sim.faults import inject
from deltastream.sim.history import History, digest_of, understood
from deltastream.sim.invariants import watch
from deltastream.sim.plan import Plan
from deltastream.sim.readers import Reader, Readers
from deltastream.storage import SqliteRepository, StoreSettings

TICK, STATUS = "market.tick.NIFTY", "market.status.NIFTY"


def tick(ts, price=100.0):
    return UnderlyingTick(product="NIFTY", price=price, ts_event=ts, ts_recv=ts)


def status(ts, kind):
    return MarketStatus(product="NIFTY", status=kind, reason="test", since=ts, ts_event=ts, ts_recv=ts)


def record(seq, message, epoch="e"):
    topic = TICK if isinstance(message, UnderlyingTick) else STATUS
    return Record(topic, Position(epoch, seq), message)


@pytest.fixture
def codes():
    return []


@pytest.fixture
def complain(codes):
    return lambda code, detail: codes.append(code)


@pytest.fixture
def reader(complain):
    return Reader(0, ("market.*",), complain)


@pytest.fixture
def readers(complain, reader):
    """All readers of a world that has one."""

    class World:
        scenario = Scenario(seed=1, readers=0)

    found = Readers(World(), complain)
    found.readers.append(reader)
    return found


class TestReader:
    def test_the_latest_by_time_wins_and_of_equals_the_later(self, reader, codes):
        reader.take([record(1, tick(5)), record(2, tick(9)), record(3, tick(7)), record(4, tick(9, 7.0))])
        assert reader.latest[TICK, "", ""] == tick(9, 7.0)
        assert reader.positions == {TICK: Position("e", 4)}
        assert codes == []

    @pytest.mark.parametrize("seqs", [(1, 3), (2, 2), (2, 1)])
    def test_numbers_that_do_not_follow(self, reader, codes, seqs):
        reader.take([record(seq, tick(seq)) for seq in seqs])
        assert codes == ["reader_gap"]

    def test_a_declared_gap(self, reader, codes):
        reader.take([record(1, tick(1)), Gap(TICK, "e", 2, 4, "trimmed"), record(5, tick(5))])
        assert codes == []

    def test_a_new_epoch_that_keeps_everything(self, reader, codes):
        reader.take([record(1, tick(1)), Gap(TICK, "e", 2, 1, "epoch_changed"), record(2, tick(2), "f")])
        assert codes == []
        assert not reader._voided

    def test_a_new_epoch_that_voids_what_was_seen(self, reader, codes):
        reader.take([record(1, tick(1)), record(2, tick(2)), record(1, status(1, "open"))])
        reader.take([Gap(TICK, "e", 2, 2, "epoch_changed")])
        reader._forget()
        assert list(reader.latest) == [(STATUS, "", "")]
        assert TICK not in reader.positions
        reader.take([record(1, tick(1), "f")])
        assert codes == []


class TestReaders:
    def test_who_lags(self, reader, readers, codes):
        reader.take([record(1, tick(1))])
        readers.look(100.0, {TICK: ("e", 1), "enriched.chain.NIFTY": ("e", 5)}, 5.0)
        assert codes == []
        readers.look(100.0, {TICK: ("e", 2)}, 5.0)
        assert codes == ["reader_behind"]
        reader.absent_until = 96.0
        readers.look(100.0, {TICK: ("e", 2)}, 5.0)
        assert codes == ["reader_behind"]

    def test_who_does_not_know_that_a_market_is_stale(self, reader, readers, codes):
        reader.take([record(1, status(1, "open")), record(2, status(2, "stale"))])
        readers.know_stale("NIFTY", 100.0, 5.0)
        assert codes == []
        reader.take([record(3, status(3, "open"))])
        readers.know_stale("NIFTY", 100.0, 5.0)
        assert codes == ["reader_not_stale"]

    @pytest.mark.parametrize("wrong", [None, "older", "other", "behind", "void"])
    async def test_who_differs_from_the_store(
        self, reader, readers, codes, tmp_path, virtual_seams, autojump_clock, wrong
    ):
        history = History(lambda *_: None, lambda gap: True)
        log = [record(1, tick(1)), record(2, tick(2)), record(1, status(1, "open"))]
        for each in log:
            history.take(each, digest_of(understood(encode(each.message))[0]), each.message.ts_event)
        async with SqliteRepository(tmp_path / "store.db", StoreSettings(), virtual_seams(1)) as store:
            await store.apply("storage", log)
            reader.take(log)
            if wrong in ("older", "void"):
                reader.latest[TICK, "", ""] = tick(1)
            if wrong == "void":
                history.lines[TICK].lose(1)
            if wrong == "other":
                reader.latest[STATUS, "", ""] = msgspec.structs.replace(status(1, "open"), reason="else")
            if wrong == "behind":
                reader.positions[TICK] = Position("e", 1)
            await readers.compare(store, history)
        expected = {"older": ["reader_differs"], "other": ["reader_differs"], "behind": ["reader_behind"]}
        assert codes == expected.get(wrong, [])


def test_readers_that_stall_leave_and_survive_their_host():
    scenario = Scenario.short(8, "none")
    plan = Plan(
        (
            ReaderStalls(id=1, at=5.0, duration=10.0, reader=0),
            ReaderLeaves(id=2, at=8.0, duration=20.0, reader=1),
            Kill(id=3, at=12.0, down_s=0.5),
            ReaderLeaves(id=4, at=40.0, duration=5.0, reader=0),
        )
    )
    found = {}

    def part(world):
        found["readers"] = watch(world, inject(world, plan)).readers.readers

    verdict = simulate(scenario, plan, [part])
    assert verdict.violations == ()
    assert verdict.counts.struck == {"reader_stalls": 1, "reader_leaves": 2, "kill": 1}
    everything, one_product = found["readers"]
    assert everything.seen > one_product.seen > 50
    assert everything.absent_until == pytest.approx(45.0, abs=0.1)
    assert one_product.absent_until == pytest.approx(28.0, abs=0.1)
    assert {key[0] for key in one_product.latest} < {key[0] for key in everything.latest}
