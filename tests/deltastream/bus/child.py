"""A process of its own that uses a bus, to be killed or watched by a test. Not a test itself.

``child.py kill JOURNAL SEED`` appends and derives until it is killed, and writes a line for each
promise the bus has given, after it has given it: ``append TOPIC SEQ ID`` or ``ack TOPIC SEQ``.

``child.py power JOURNAL DURABILITY COUNT`` appends COUNT messages one after another, then COUNT at
once, and writes the number of commits.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import trio

from deltastream.bus import BusSettings, Entry, open_bus
from deltastream.messages import UnderlyingTick
from deltastream.seams import Seams


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def tick(number: int) -> UnderlyingTick:
    return UnderlyingTick(product="x" * (number % 7 * 400), price=1.0, ts_event=number, ts_recv=number)


async def kill(path: Path, seed: int) -> None:
    rng = random.Random(seed)
    settings = BusSettings(max_bytes=8 << 20, cache_bytes=1 << 20)
    async with open_bus(path, settings, Seams.system()) as bus, trio.open_nursery() as nursery:

        async def feed(topic: str) -> None:
            while True:
                numbers = [rng.getrandbits(62) for _ in range(rng.choice((1, 1, 1, 7)))]
                positions = await bus.append_batch([Entry(topic, tick(n), str(n)) for n in numbers])
                for number, position in zip(numbers, positions, strict=True):
                    say("append", topic, position.seq, number)

        async def derive() -> None:
            async with bus.consume(["in.*"], "deriver") as consumer:
                while True:
                    deliveries = await consumer.batch(rng.choice((1, 5, 40)))
                    emit = [
                        Entry(f"out.{d.topic}", d.message, f"{d.position.epoch}/{d.position.seq}")
                        for d in deliveries
                    ]
                    await consumer.ack(deliveries, emit=emit)
                    for delivery in deliveries:
                        say("ack", delivery.topic, delivery.position.seq)

        say("ready")
        for topic in ("in.a", "in.b", "in.c"):
            nursery.start_soon(feed, topic)
        nursery.start_soon(derive)


async def power(path: Path, durability: str, count: int) -> None:
    settings = BusSettings(durability="power" if durability == "power" else "process")
    async with open_bus(path, settings, Seams.system()) as bus:
        for number in range(count):
            await bus.append("a", tick(number))
        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(bus.append, "a", tick(number))
        say((await bus.statistics()).commits)


if __name__ == "__main__":
    if sys.argv[1] == "kill":
        trio.run(kill, Path(sys.argv[2]), int(sys.argv[3]))
    else:
        trio.run(power, Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
