"""How much one call gathers in memory, however large the messages are."""

from __future__ import annotations

import pytest

from deltastream.bus import Entry, RetrySettings, _journal, embedded
from deltastream.messages import encode


@pytest.fixture
def sizes(monkeypatch, chain):
    """A read takes two chains' bytes at a time, a call gathers five chains'."""
    size = len(encode(chain(1)))
    monkeypatch.setattr(_journal, "_READ_BYTES", 2 * size - 1)
    monkeypatch.setattr(_journal, "ANSWER_BYTES", 5 * size - 1)
    monkeypatch.setattr(embedded, "ANSWER_BYTES", 5 * size - 1)


async def test_the_newest_messages(log, clock, chain, seqs, sizes):
    async with log.open(cache_bytes=0) as bus:
        await bus.append_batch([Entry("a", chain(n)) for n in range(1, 11)])
        await bus.append("b", chain(1))
        for limit, first in ((1, 10), (3, 8), (4, 7), (6, 5), (7, 5), (1000, 5)):
            records = await bus.last("a", limit=limit)
            assert seqs(records) == list(range(first, 11))
            assert [record.message.ts_event for record in records] == seqs(records)
        assert seqs(await bus.read("a", limit=1000)) == [1, 2]
        assert seqs(await bus.last("b", limit=1000)) == [1]
        assert await bus.last("absent") == []


async def test_dead_letters(log, clock, chain, sizes):
    async with log.open(retry=RetrySettings(max_attempts=1)) as bus, bus.consume(["a"], "g") as consumer:
        await bus.append_batch([Entry("a", chain(n)) for n in range(10)])
        for delivery in await consumer.batch():
            await consumer.fail(delivery, ValueError("bad"))
        assert [letter.position.seq for letter in await bus.dead_letters()] == [6, 7, 8, 9, 10]
