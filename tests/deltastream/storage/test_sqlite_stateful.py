"""The store against a model in any order: batches with repeats, refusals, a disk that fails, deaths.

A process dies between any two of its pieces of work, or right before a statement of one; what it
leaves is what the next one opens.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from pathlib import Path
from unittest import mock

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from deltastream.bus.protocol import Record
from deltastream.errors import StoreError, StoreUnavailable
from deltastream.messages import MarketStatus, Position, UnderlyingTick
from deltastream.seams import InlineThreads, Seams
from deltastream.storage import SqliteRepository, StoreSettings

MINUTE = 60 * 10**9
ALL = {"start": 0, "end": 1 << 62}
TOPICS = ("tick", "status")
EPOCHS = ("e1", "e2")
BATCHES = st.lists(
    st.tuples(st.sampled_from(TOPICS), st.sampled_from(EPOCHS), st.integers(1, 12)), max_size=8
)


def record(topic: str, epoch: str, seq: int) -> Record:
    """The one message that has this position."""
    rng = random.Random(f"{topic}{epoch}{seq}")
    ts = rng.randrange(20) * MINUTE // 4
    if topic == "tick":
        price = float(rng.randint(1, 9))
        message = UnderlyingTick(product="SPY", price=price, ts_event=ts, ts_recv=seq)
    else:
        message = MarketStatus(
            product="SPY", status="open", reason=f"{epoch}{seq}", since=0, ts_event=ts, ts_recv=seq
        )
    return Record(topic, Position(epoch, seq), message)


class Connection(sqlite3.Connection):
    """Asks before each statement."""

    ask = staticmethod(lambda sql: None)

    def execute(self, sql, *values):
        Connection.ask(sql)
        return super().execute(sql, *values)


class StoreMachine(RuleBasedStateMachine):
    """Each rule is a life of the store; `applied` and `positions` are what the model knows."""

    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.copy = None
        self.epochs = {}
        self.applied = {}
        self.positions = {}

    def teardown(self):
        shutil.rmtree(self.directory)

    def on_store(self, operation, ask=lambda sql: None):
        """Open, have `operation(store)` done with statements asked for, and close."""
        system = Seams.system()
        seams = Seams(system.clock, random.Random(1), system.ids, InlineThreads())

        async def main():
            async with SqliteRepository(
                self.directory / "store.db", StoreSettings(readers=1), seams
            ) as store:
                with mock.patch.object(Connection, "ask", staticmethod(ask)):
                    return await operation(store)

        def connect(*args, **options):
            return real(*args, **options, factory=Connection)

        real = sqlite3.connect
        with mock.patch.object(sqlite3, "connect", connect):
            result = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        if self.copy is not None:
            shutil.rmtree(self.directory)
            self.directory, self.copy = self.copy, None
        return result

    def die(self):
        """Leave what is there now to the next life."""
        if self.copy is None:
            self.copy = Path(tempfile.mkdtemp())
            for file in sorted(self.directory.iterdir()):
                shutil.copyfile(file, self.copy / file.name)

    # The model

    def apply(self, batch, passed=()):
        """How many are new."""
        new = 0
        for topic, epoch, seq in (*batch, *passed):
            self.epochs.setdefault((topic, epoch), len(self.epochs))  # in order of arrival
            place = self.epochs[topic, epoch], seq
            if place > self.positions.get(topic, ((-1, 0), None))[0]:
                self.positions[topic] = place, Position(epoch, seq)
        for where in batch:
            new += where not in self.applied
            self.applied[where] = record(*where)
        return new

    def series(self, topic):
        held = [
            (self.epochs[where[:2]], where[2], each)
            for where, each in self.applied.items()
            if where[0] == topic
        ]
        held.sort(key=lambda each: (each[2].message.ts_event, *each[:2]))
        return [each.message for *_, each in held]

    # The rules

    @rule(batch=BATCHES, passed=BATCHES)
    def apply_batch(self, batch, passed):
        async def operation(store):
            records = [record(*where) for where in batch]
            return await store.apply("g", records, passed=[record(*where) for where in passed])

        assert self.on_store(operation) == self.apply(batch, passed)

    @rule(batch=BATCHES, place=st.integers(0, 8))
    def refuse_one(self, batch, place):
        """A record that cannot be stored takes its whole batch with it, which then goes without it."""
        bad = UnderlyingTick(product="SPY", price=-1.0, ts_event=0, ts_recv=0)

        async def operation(store):
            records = [record(*where) for where in batch]
            with pytest.raises(StoreError, match="price"):
                await store.apply(
                    "g", [*records[:place], Record("tick", Position("e1", 99), bad), *records[place:]]
                )
            return await store.apply("g", records)

        assert self.on_store(operation) == self.apply(batch)

    @rule(batch=BATCHES, after=st.integers(0, 30))
    def disk_fails(self, batch, after):
        """Some statement fails; tried again, the batch takes effect once."""
        left = after

        def ask(sql):
            nonlocal left
            left -= 1
            if left == -1 and not sql.startswith("ROLLBACK"):
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error

        async def operation(store):
            records = [record(*where) for where in batch]
            try:
                return await store.apply("g", records)
            except StoreUnavailable:
                return await store.apply("g", records)

        assert self.on_store(operation, ask) == self.apply(batch)

    @rule(batch=BATCHES, after=st.integers(0, 30))
    def die_within(self, batch, after):
        """Before some statement, or after the answer: the batch is there wholly or comes again."""
        left = after

        def ask(sql):
            nonlocal left
            left -= 1
            if left == -1:
                self.die()

        async def operation(store):
            await store.apply("g", [record(*where) for where in batch])
            acknowledged = self.copy is None
            self.die()
            return acknowledged

        async def again(store):
            return await store.apply("g", [record(*where) for where in batch])

        acknowledged = self.on_store(operation, ask)
        expected = self.apply(batch)
        new = self.on_store(again)
        assert new == 0 if acknowledged else new in (0, expected)

    @rule()
    def look(self):
        async def operation(store):
            ticks, statuses = await store.ticks("SPY", **ALL), await store.statuses("SPY", **ALL)
            bars = [await store.bars("SPY", interval_s=each, **ALL) for each in (60, 300, 900)]
            latest = [await store.tick("SPY", at=at) for at in (None, 2 * MINUTE)]
            return (
                await store.positions("g"),
                ticks.items,
                statuses.items,
                [page.items for page in bars],
                latest,
            )

        positions, ticks, statuses, bars, latest = self.on_store(operation)
        assert positions == {topic: position for topic, (_, position) in self.positions.items()}
        held = self.series("tick")
        assert ticks == held
        assert statuses == self.series("status")
        for found in bars:
            assert sum(bar.ticks for bar in found) == len(held)
            for bar in found:
                prices = [t.price for t in held if 0 <= t.ts_event - bar.start < bar.interval_s * 10**9]
                ohlc = prices[0], max(prices), min(prices), prices[-1], len(prices)
                assert (bar.open, bar.high, bar.low, bar.close, bar.ticks) == ohlc
        early = [t for t in held if t.ts_event <= 2 * MINUTE]
        assert latest == [held[-1] if held else None, early[-1] if early else None]


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
