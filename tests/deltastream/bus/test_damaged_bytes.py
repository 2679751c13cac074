"""Journals whose bytes are others: whatever they are, the bus opens, and all can use it."""

from __future__ import annotations

import random
import shutil

import pytest
import trio
from structlog.testing import capture_logs

from deltastream.bus import BusSettings, open_bus
from deltastream.errors import JournalError
from deltastream.messages import Position, UnderlyingTick

PAGE = 4096


def long_tick(n):
    return UnderlyingTick(product="A" * (10 + n * 7 % 900), price=1.0, ts_event=n, ts_recv=n)


@pytest.fixture
async def intact(tmp_path, virtual, autojump_clock):
    """A directory with a journal of three topics, a group, and a message of it out of line."""
    path = tmp_path / "intact"
    path.mkdir()
    async with open_bus(path / "a.db", BusSettings(), virtual) as bus:
        for n in range(100):
            for topic in ("market.tick.A", "market.tick.B", "x"):
                await bus.append(topic, long_tick(n), key=f"k{n}" if n % 3 else None)
        async with bus.consume(["*"], "g") as consumer:
            batch = await consumer.batch(50)
            await consumer.ack(batch[:20])
            await consumer.fail(batch[21], ValueError("x"))
    return path


def spoil(content: bytearray, rng: random.Random):
    """A few bytes: anywhere, at the heads of pages, or in the small tables."""
    where = rng.randrange(4)
    for _ in range(rng.choice((1, 2, 4, 16))):
        page = rng.randrange(len(content) // PAGE if where < 2 else 14) * PAGE
        at = page + (rng.randrange(PAGE), rng.randrange(12), rng.randrange(100), -rng.randint(1, 300))[where]
        content[at % len(content)] = rng.choice((0, 255, rng.randrange(256), content[at % len(content)] ^ 4))


async def use(path, seams):
    with trio.fail_after(600):
        async with open_bus(path, BusSettings(), seams) as bus:
            await bus.append("x", long_tick(1))
            await bus.dead_letters()
            async with bus.follow(["*"]) as follower:
                with trio.move_on_after(0.01):
                    while True:
                        await follower.batch()
            async with bus.consume(["*"], "g", positions={"x": Position("other", 3)}) as consumer:
                with trio.move_on_after(0.01):
                    while True:
                        await consumer.ack(await consumer.batch())


@pytest.mark.parametrize("seeds", [range(30), pytest.param(range(30, 1000), marks=pytest.mark.slow)], ids=len)
async def test_it_opens_whatever_the_bytes_are(tmp_path, virtual, autojump_clock, intact, seeds):
    """Damage found only by reading ends the service, and the next one mends it, as under a supervisor.

    Where the file's own head tells that it is another program's, or of a newer version, it stays as it is.
    """
    content = (intact / "a.db").read_bytes()
    salvaged = 0
    for seed in seeds:
        spoiled = bytearray(content)
        spoil(spoiled, random.Random(f"spoil/{seed}"))
        path = tmp_path / "spoiled"
        shutil.copytree(intact, path)
        (path / "a.db").write_bytes(spoiled)
        with capture_logs() as lines:
            for _ in range(3):
                try:
                    await use(path / "a.db", virtual)
                except JournalError as error:
                    if "not a journal" in str(error) or "newer version" in str(error):
                        break
                    if "is damaged" not in str(error):
                        raise
                else:
                    break
            else:
                pytest.fail(f"damaged for ever, with seed {seed}")
        salvaged += any(line["event"] == "journal_salvaged" for line in lines)
        shutil.rmtree(path)
    assert salvaged > len(seeds) / 8
