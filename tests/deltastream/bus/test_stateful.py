"""The bus against a model that keeps everything in lists: any order of operations, any reopening.

Reopened it is after an ordered end, after the death of its process at any instant, and by a service that
crashed and is run again.
"""

from __future__ import annotations

import shutil
import tempfile
from copy import deepcopy
from pathlib import Path

import trio
import trio.testing
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from deltastream.bus import BusSettings, EmbeddedBus, Entry, RetrySettings
from deltastream.messages import UnderlyingTick
from deltastream.seams import InlineThreads, Seams

TOPICS = ("a.x", "a.y", "b")
ATTEMPTS = 3
RETRY = RetrySettings(max_attempts=ATTEMPTS, base_s=1.0, cap_s=10.0)
ENTRIES = st.lists(
    st.tuples(st.sampled_from(TOPICS), st.integers(0, 99), st.none() | st.sampled_from("klm")),
    min_size=1,
    max_size=6,
)


class Model:
    """What must be true of one log with one group on ``a.*``."""

    def __init__(self):
        self.logs = {topic: [] for topic in TOPICS}
        self.keys = {}
        self.settled = {topic: set() for topic in TOPICS}
        self.retries = {}
        self.dead = {}

    def append(self, topic, number, key):
        if key is not None and (topic, key) in self.keys:
            return self.keys[topic, key]
        self.logs[topic].append(number)
        seq = len(self.logs[topic])
        if key is not None:
            self.keys[topic, key] = seq
        return seq


class Deadly(InlineThreads):
    """Calls once, between the `after`-th instant before or after work and the next."""

    def __init__(self, after, call):
        self._left = after
        self._call = call

    async def run(self, fn, *args, limiter=None):
        self._pass()
        result = await super().run(fn, *args, limiter=limiter)
        self._pass()
        return result

    def _pass(self):
        self._left -= 1
        if self._left == -1:
            self._call()


class BusMachine(RuleBasedStateMachine):
    """Each rule runs the event loop until the operation is done; time is virtual."""

    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.model = Model()
        self.copy = None
        self.dies = False
        self.ids = 0
        self.now = 0.0

    def teardown(self):
        shutil.rmtree(self.directory)

    def seams(self, threads=None):
        machine = self

        class Clock:
            def now_ns(self):
                return int((machine.now + trio.current_time()) * 1e9)

        class Ids:
            def new(self):
                machine.ids += 1
                return f"{machine.ids:016x}"

        class Rng:
            def random(self):
                return 0.5

        return Seams(clock=Clock(), rng=Rng(), ids=Ids(), threads=threads or InlineThreads())

    def bus(self, seams=None):
        settings = BusSettings(cache_bytes=200, retry=RETRY)
        return EmbeddedBus(self.directory / "journal.db", settings, seams or self.seams())

    def on_bus(self, operation):
        """Open the bus, run `operation(bus)` and close it: every rule is a reopening."""

        async def main():
            bus = self.bus()
            async with trio.open_nursery() as nursery:
                await nursery.start(bus.run)
                result = await operation(bus)
                assert bus.salvage is None
                if self.dies:
                    self.leave_copy()
                bus.close()
            self.now += trio.current_time()
            return result

        return self.run(main)

    def run(self, main):
        """Run to the end; where the process died, go on with what its files were then."""
        result = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        if self.copy is not None:
            shutil.rmtree(self.directory)
            self.directory, self.copy = self.copy, None
        return result

    def leave_copy(self):
        """What a process leaves that dies now."""
        if self.copy is None:
            self.copy = Path(tempfile.mkdtemp())
            for file in sorted(self.directory.iterdir()):
                shutil.copyfile(file, self.copy / file.name)

    @rule(dies=st.booleans())
    def from_now_on(self, dies):
        """Whether processes die as soon as they have their answers, or end in order."""
        self.dies = dies

    @rule(entries=ENTRIES, after=st.integers(0, 12))
    def append_and_die(self, entries, after):
        """Die while appending: everything is there or nothing, and it is there if it was acknowledged."""
        answers = []

        async def main():
            bus = self.bus(self.seams(Deadly(after, self.leave_copy)))
            async with trio.open_nursery() as nursery:
                await nursery.start(bus.run)
                positions = await bus.append_batch([Entry(topic, tick(n), key) for topic, n, key in entries])
                if self.copy is None:
                    answers.extend(positions)
                    self.leave_copy()
                bus.close()

        self.run(main)
        before = deepcopy(self.model)
        expected = [self.model.append(*entry) for entry in entries]
        if answers:
            assert [position.seq for position in answers] == expected
        elif self.lengths() == {topic: len(log) for topic, log in before.logs.items()}:
            self.model = before
        assert self.lengths() == {topic: len(log) for topic, log in self.model.logs.items()}

    def lengths(self):
        async def operation(bus):
            found = {topic.topic: topic.last_seq for topic in (await bus.statistics()).topics}
            return {topic: found.get(topic, 0) for topic in TOPICS}

        return self.on_bus(operation)

    @rule(first=ENTRIES, second=ENTRIES)
    def service_crashes(self, first, second):
        """Its handle stays: what is appended meanwhile waits for the next service."""

        def written(entries):
            return [Entry(topic, tick(number), key) for topic, number, key in entries]

        async def main():
            bus = self.bus()
            positions = []

            async def append(entries):
                positions.extend(await bus.append_batch(written(entries)))

            async with trio.open_nursery() as nursery:
                async with trio.open_nursery() as service:
                    await service.start(bus.run)
                    await append(first)
                    service.cancel_scope.cancel()
                nursery.start_soon(append, second)
                await trio.testing.wait_all_tasks_blocked()
                assert len(positions) == len(first)
                await nursery.start(bus.run)
                await trio.testing.wait_all_tasks_blocked()
                bus.close()
            return [position.seq for position in positions]

        assert self.run(main) == [self.model.append(*entry) for entry in (*first, *second)]

    @rule(entries=ENTRIES)
    def append(self, entries):
        async def operation(bus):
            return await bus.append_batch([Entry(topic, tick(number), key) for topic, number, key in entries])

        expected = [self.model.append(*entry) for entry in entries]
        assert [p.seq for p in self.on_bus(operation)] == expected

    @rule(
        choices=st.lists(st.sampled_from(["ack", "fail", "keep"]), min_size=1, max_size=6),
        emit=st.none() | st.sampled_from("pq"),
        limit=st.integers(1, 4),
    )
    def consume(self, choices, emit, limit):
        """Take a batch; settle some of it; leave with the rest in flight."""
        model = self.model

        async def operation(bus):
            async with bus.consume(["a.*"], "g") as consumer:
                with trio.move_on_after(0.001):
                    deliveries = await consumer.batch(limit)
                    self.check_batch(deliveries)
                    acked = []
                    for delivery, choice in zip(deliveries, choices, strict=False):
                        if choice == "fail":
                            await consumer.fail(delivery, ValueError("no"))
                            self.failed(delivery)
                        elif choice == "ack":
                            acked.append(delivery)
                    emitted = [] if emit is None else [Entry("b", tick(7), emit)]
                    positions = await consumer.ack(acked, emit=emitted)
                    for entry, position in zip(emitted, positions, strict=True):
                        assert position.seq == model.append("b", 7, entry.key)
                    for delivery in acked:
                        self.settle(delivery)
                return (await bus.statistics()).groups

        groups = self.on_bus(operation)
        for group in groups:
            self.check_group(group)
        self.forget_unsettled()

    def check_batch(self, deliveries):
        """In order per topic, each what was appended, none that is settled."""
        last = {}
        for delivery in deliveries:
            topic, seq = delivery.topic, delivery.position.seq
            assert delivery.message == tick(self.model.logs[topic][seq - 1])
            retry = self.model.retries.get((topic, seq))
            if retry is None:
                assert seq not in self.model.settled[topic]
                assert seq > last.get(topic, 0)
                assert delivery.attempt == 1
                last[topic] = seq
            else:
                assert delivery.attempt == retry + 1

    def settle(self, delivery):
        where = delivery.topic, delivery.position.seq
        self.model.retries.pop(where, None)
        self.model.settled[delivery.topic].add(delivery.position.seq)

    def failed(self, delivery):
        self.settle(delivery)
        where = delivery.topic, delivery.position.seq
        if delivery.attempt < ATTEMPTS:
            self.model.retries[where] = delivery.attempt
        else:
            self.model.dead[where] = delivery.attempt

    def forget_unsettled(self):
        """What was settled beyond the group's position comes again after a reopening."""
        for topic in TOPICS:
            settled = self.model.settled[topic]
            through = next(n for n in range(len(settled) + 1) if n + 1 not in settled)
            out_of_line = {seq for t, seq in (*self.model.retries, *self.model.dead) if t == topic}
            self.model.settled[topic] = {seq for seq in settled if seq <= through or seq in out_of_line}

    def check_group(self, group):
        settled = self.model.settled[group.topic]
        through = next(n for n in range(len(settled) + 1) if n + 1 not in settled)
        assert group.acked == through
        assert group.retrying == sum(topic == group.topic for topic, _ in self.model.retries)
        assert group.dead == sum(topic == group.topic for topic, _ in self.model.dead)

    @rule(seconds=st.sampled_from([0.5, 3.0, 20.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule(action=st.sampled_from(["replay", "drop"]))
    def dead_letter(self, action):
        async def operation(bus):
            letters = await bus.dead_letters("g")
            assert {(letter.topic, letter.position.seq) for letter in letters} == set(self.model.dead)
            if letters:
                call = bus.replay_dead_letter if action == "replay" else bus.drop_dead_letter
                await call(letters[0].id)
            return letters

        if letters := self.on_bus(operation):
            where = letters[0].topic, letters[0].position.seq
            del self.model.dead[where]
            if action == "replay":
                self.model.retries[where] = 0

    @rule(after=st.integers(0, 5), limit=st.integers(1, 20))
    def read(self, after, limit):
        async def operation(bus):
            found = {topic: await bus.read(topic, after=after, limit=limit) for topic in TOPICS}
            async with bus.follow(["*"]) as follower:
                followed = []
                while len(followed) < sum(map(len, self.model.logs.values())):
                    followed += await follower.batch(limit)
            return found, followed

        found, followed = self.on_bus(operation)
        for topic, log in self.model.logs.items():
            expected = [(n, tick(number)) for n, number in enumerate(log, 1)]
            assert [(r.position.seq, r.message) for r in found[topic]] == expected[after:][:limit]
            assert [(r.position.seq, r.message) for r in followed if r.topic == topic] == expected


def tick(number):
    return UnderlyingTick(product="SPY", price=1.0 + number, ts_event=number, ts_recv=number)


TestBusMachine = BusMachine.TestCase
TestBusMachine.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
