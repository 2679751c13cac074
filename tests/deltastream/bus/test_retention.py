"""Trimming by age and size: what goes, what stays, who is told."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
import trio
from structlog.testing import capture_logs

from deltastream.bus import BusSettings, Entry, Gap, RetrySettings, open_bus
from deltastream.bus._retention import Retention
from deltastream.messages import encode

MIB = 1 << 20


async def fill(bus, chain, count, topics=("a",), start=0):
    for n in range(start, start + count, 10):
        await bus.append_batch([Entry(topic, chain(i)) for i in range(n, n + 10) for topic in topics])


async def topics_of(bus):
    return {topic.topic: topic for topic in (await bus.statistics()).topics}


async def groups_of(bus):
    return {(g.group, g.topic): g for g in (await bus.statistics()).groups}


@pytest.fixture
def opened(tmp_path, virtual):
    def make(**settings):
        given = {
            "max_bytes": 8 * MIB,
            "cache_bytes": 0,
            "retry": RetrySettings(base_s=0.02, cap_s=0.1),
        } | settings
        return open_bus(tmp_path / "journal.db", BusSettings(**given), virtual)

    return make


async def test_size_is_kept_and_the_oldest_go(opened, chain, autojump_clock):
    async with opened() as bus:
        largest = 0
        for n in range(0, 1000, 20):
            await fill(bus, chain, 20, ("a", "b"), n)
            await trio.sleep(0.01)
            largest = max(largest, (await bus.statistics()).bytes_on_disk)
        assert 6 * MIB < largest < 8 * MIB
        topics = await topics_of(bus)
        assert topics["a"].last_seq == 1000
        assert 600 < topics["a"].first_seq < 900
        assert abs(topics["a"].first_seq - topics["b"].first_seq) <= 64
        records = await bus.read("a", limit=1000)
        assert [r.position.seq for r in records] == list(range(topics["a"].first_seq, 1001))
        assert topics["a"].bytes == sum(len(encode(r.message)) for r in records)
        before = topics
    async with opened() as bus:
        assert await topics_of(bus) == before
        assert (await bus.append("a", chain(0))).seq == 1001


async def test_acknowledged_goes_before_unacknowledged(opened, chain, autojump_clock):
    async with opened() as bus:
        async with bus.consume(["slow"], "g"):
            pass
        await fill(bus, chain, 50, ("slow",))
        await trio.sleep(1)
        await fill(bus, chain, 1000, ("free",))
        await trio.sleep(1)
        assert (await topics_of(bus))["slow"].first_seq == 1
        assert (await topics_of(bus))["free"].first_seq > 400
        assert (await groups_of(bus))["g", "slow"].lost == 0


async def test_unacknowledged_goes_with_a_word(opened, chain, autojump_clock):
    with capture_logs() as lines:
        async with opened() as bus, bus.consume(["a"], "g") as consumer, bus.follow(["a"]) as follower:
            await fill(bus, chain, 10)
            held = await consumer.batch(5)
            await consumer.ack(held[:3])
            await fill(bus, chain, 1000, start=10)
            await trio.sleep(1)
            topic = (await topics_of(bus))["a"]
            assert topic.first_seq > 400
            lost = (await groups_of(bus))["g", "a"].lost
            assert lost == topic.first_seq - 1 - 3
            gap = (await follower.batch())[0]
            assert gap == Gap("a", topic.epoch, 1, topic.first_seq - 1, "trimmed")
            assert [r.position.seq for r in await follower.batch(1)] == [topic.first_seq]
            await consumer.ack(held)  # commits take room, so from here on more may go
            [after] = await consumer.batch(1)
            assert after.position.seq >= topic.first_seq
            await consumer.ack([after])
        async with opened() as bus:
            group = (await groups_of(bus))["g", "a"]
            reported = [line for line in lines if line["event"] == "messages_lost"]
            assert group.lost >= sum(line["lost"] for line in reported) >= lost
            assert group.acked >= after.position.seq
        assert {(line["group"], line["topic"], line["log_level"]) for line in reported} == {
            ("g", "a", "error")
        }


async def test_a_group_of_which_nobody_is_there_holds_messages_by_age(opened, tick, autojump_clock):
    async with opened(max_age_s=100) as bus:
        async with bus.consume(["a", "later"], "g") as consumer:
            await bus.append_batch([Entry("a", tick(n)) for n in range(100)])
            await consumer.ack(await consumer.batch(40))
        await bus.append_batch([Entry("b", tick(n)) for n in range(100)])
        await bus.append_batch([Entry("later", tick(n)) for n in range(3)])
        await trio.sleep(50)
        await bus.append("b", tick(0))
        await trio.sleep(70)
        firsts = {name: topic.first_seq for name, topic in (await topics_of(bus)).items()}
        assert firsts == {"a": 41, "b": 101, "later": 1}
        assert (await bus.statistics()).groups[0].lost == 0


async def test_the_newest_message_of_a_topic_stays(opened, tick, autojump_clock):
    """However old it is: a status that was told once stands until the next one."""
    async with opened(max_age_s=10) as bus:
        await bus.append_batch([Entry("a", tick(n), f"k{n}") for n in range(5)])
        await trio.sleep(30)
        topic = (await topics_of(bus))["a"]
        assert (topic.first_seq, topic.last_seq, topic.bytes) == (5, 5, len(encode(tick(4))))
        assert [record.message for record in await bus.last("a")] == [tick(4)]
    async with opened(max_age_s=10) as bus:
        assert (await bus.append("a", tick(4), key="k4")).seq == 5
        assert (await bus.append("a", tick(0), key="k0")).seq == 6
        async with bus.consume(["a"], "g") as consumer:
            assert [d.position.seq for d in await consumer.batch()] == [5, 6]


async def test_the_newest_message_stays_where_the_journal_is_full(opened, tick, chain, autojump_clock):
    async with opened() as bus:
        await bus.append("status", tick(0))
        await fill(bus, chain, 1000)
        await trio.sleep(100)
        topics = await topics_of(bus)
        assert topics["a"].first_seq > 1
        assert [record.message for record in await bus.last("status")] == [tick(0)]


async def test_a_smaller_limit_gives_the_disk_back(opened, chain, tmp_path, autojump_clock):
    async with opened(max_bytes=32 * MIB) as bus:
        await fill(bus, chain, 2000)
    assert (tmp_path / "journal.db").stat().st_size > 20 * MIB
    async with opened(max_bytes=8 * MIB) as bus:
        await fill(bus, chain, 20)
        await trio.sleep(100)
        assert (await topics_of(bus))["a"].first_seq > 1300
    assert (tmp_path / "journal.db").stat().st_size < 8 * MIB


async def test_dead_letters_take_an_eighth(opened, chain, autojump_clock):
    with capture_logs() as lines:
        async with opened(retry=RetrySettings(max_attempts=1)) as bus, bus.consume(["a"], "g") as consumer:
            await fill(bus, chain, 200)
            for _ in range(200):
                [delivery] = await consumer.batch(1)
                await consumer.fail(delivery, ValueError("bad"))
            await trio.sleep(100)
            letters = await bus.dead_letters()
            assert 60 < len(letters) < 100
            assert letters[-1].position.seq == 200
            group = (await groups_of(bus))["g", "a"]
            assert (group.dead, group.lost) == (len(letters), 200 - len(letters))
    assert sum(line["lost"] for line in lines if line["event"] == "messages_lost") == 200 - len(letters)


async def test_retries_keep_their_message_when_the_log_is_trimmed(opened, chain, autojump_clock):
    async with opened(retry=RetrySettings(base_s=50, cap_s=50)) as bus, bus.consume(["a"], "g") as consumer:
        await bus.append("a", chain(7))
        [delivery] = await consumer.batch()
        await consumer.fail(delivery, ValueError("bad"))
        async with bus.consume(["other"], "h"):
            await fill(bus, chain, 1000)
        await consumer.ack(await consumer.batch(2000))
        await trio.sleep(1)
        assert (await topics_of(bus))["a"].first_seq > 1
        while not (again := [d for d in await consumer.batch() if d.attempt == 2]):
            pass
        assert again[0].message.ts_event == 7


async def test_a_hole_that_damage_left_is_trimmed_like_messages(opened, chain, tmp_path, autojump_clock):
    async with opened(max_bytes=32 * MIB) as bus:
        await fill(bus, chain, 2000)
        async with bus.consume(["a"], "g") as consumer:
            while (group := (await groups_of(bus))["g", "a"]).acked < 300:
                await consumer.ack(await consumer.batch(min(64, 300 - group.acked)))
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.execute("DELETE FROM message WHERE id & 0xffff BETWEEN 150 AND 400")
        db.commit()
    async with opened(max_bytes=8 * MIB) as bus:
        await fill(bus, chain, 20)
        await trio.sleep(100)
        assert (await topics_of(bus))["a"].first_seq > 1300


async def test_no_step_is_long(opened, chain, tmp_path, autojump_clock, monkeypatch):
    """A step takes a bounded number of messages, so that commits wait for no more than it."""
    taken = []
    trim = Retention._trim

    async def watched(self, topic, limit, before=None):
        first = topic.trimmed
        await trim(self, topic, limit, before)
        taken.append(topic.trimmed - first)

    monkeypatch.setattr(Retention, "_trim", watched)
    async with opened(max_bytes=32 * MIB) as bus:
        await fill(bus, chain, 2000)
    async with opened(max_bytes=8 * MIB) as bus:
        await fill(bus, chain, 20)
        await trio.sleep(100)
    assert sum(taken) > 1000
    assert max(taken) <= 64


async def test_the_write_ahead_log_stays_small(log, clock, chain, tmp_path):
    async with log.open(max_bytes=8 * MIB) as bus:
        for n in range(0, 600, 5):
            await bus.append_batch([Entry("a", chain(i)) for i in range(n, n + 5)])
            assert (tmp_path / "journal.db-wal").stat().st_size < 3 * MIB
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
