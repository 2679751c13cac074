"""What the embedded bus costs: append, commit, consume, unloaded and under the load it is built for.

    python benches/bus.py [--seconds 10] [--rate 600] [--dir DIR] [--durability process|power]

The load: `rate` market chains a second of 11 KB, consumed by one group that acknowledges each with
an enriched chain of 22 KB, which a second group acknowledges and a follower reads. Stamps are
taken before `append` and in the reading tasks.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import trio
from _machine import machine, percentiles, table

from deltastream.bus import BusSettings, EmbeddedBus, Entry, Gap, Record, open_bus
from deltastream.messages import EnrichedChain, OptionChain
from deltastream.messages.types import ChainHead
from deltastream.seams import Seams

STRIKES = 60
PRODUCTS = ("NIFTY", "BANKNIFTY", "FINNIFTY", "SENSEX", "AAPL", "TSLA", "SPY", "QQQ")


def chain(product: str, stamp: int, columns: np.ndarray) -> OptionChain:
    return OptionChain(
        product=product,
        root=product,
        expiry="2026-11-24",
        expiry_ts=1,
        ts_event=stamp,
        ts_recv=stamp,
        spot=26000.0,
        currency="INR",
        multiplier=75.0,
        exercise="european",
        settlement="cash",
        oi_unit="units",
        volume_unit="units",
        oi_cadence="3min",
        columns=columns,
    )


def enriched(source: OptionChain, columns: np.ndarray) -> EnrichedChain:
    fields = {name: getattr(source, name) for name in OptionChain.__struct_fields__}
    return EnrichedChain(**fields | {"columns": columns}, rate=0.065, rate_source="bench")


class Latencies:
    """Microseconds since stamps of `time.perf_counter_ns`."""

    def __init__(self) -> None:
        self.us: list[float] = []

    def since(self, stamp_ns: int) -> None:
        self.us.append((time.perf_counter_ns() - stamp_ns) / 1000)

    def since_all(self, items: Sequence[Record | Gap]) -> None:
        for item in items:
            if isinstance(item, Record) and isinstance(item.message, ChainHead):
                self.since(item.message.ts_event)

    def row(self, name: str) -> tuple[str, ...]:
        return (name, str(len(self.us)), *(f"{value:,.0f}" for value in percentiles(self.us).values()))


async def unloaded(bus: EmbeddedBus, count: int, pause_s: float) -> dict[str, Latencies]:
    """One append at a time, `pause_s` apart, with a group reading in another task."""
    append, delivered, acked = Latencies(), Latencies(), Latencies()
    rng = np.random.default_rng(1)

    async def read(task_status: trio.TaskStatus[None]) -> None:
        async with bus.consume(["quiet.chain.*"], "reader") as consumer:
            task_status.started()
            while True:
                deliveries = await consumer.batch()
                delivered.since_all(deliveries)
                began = time.perf_counter_ns()
                await consumer.ack(deliveries)
                acked.since(began)

    async with trio.open_nursery() as nursery:
        await nursery.start(read)
        for matrix in [rng.random((23, STRIKES)) for _ in range(count)]:
            message = chain("NIFTY", time.perf_counter_ns(), matrix)
            await bus.append("quiet.chain.NIFTY", message)
            append.since(message.ts_event)
            await trio.sleep(pause_s)
        nursery.cancel_scope.cancel()
    return {"append": append, "append to batch": delivered, "ack": acked}


async def alone(bus: EmbeddedBus, count: int) -> Latencies:
    """One append after another, nobody reading."""
    append = Latencies()
    rng = np.random.default_rng(1)
    for matrix in [rng.random((23, STRIKES)) for _ in range(count)]:
        message = chain("NIFTY", time.perf_counter_ns(), matrix)
        await bus.append("lonely.chain.NIFTY", message)
        append.since(message.ts_event)
    return append


async def flood(bus: EmbeddedBus, count: int) -> float:
    """Messages a second when 64 callers append as fast as they can."""
    message = chain("NIFTY", 1, np.random.default_rng(1).random((23, STRIKES)))

    async def append() -> None:
        for _ in range(count // 64):
            await bus.append("flood.chain.NIFTY", message)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(64):
            nursery.start_soon(append)
    return count // 64 * 64 / (time.perf_counter() - began)


class Load:
    """The pipeline's traffic without its arithmetic."""

    def __init__(self, bus: EmbeddedBus, rate: float, seconds: float) -> None:
        self.bus, self.rate, self.seconds = bus, rate, seconds
        self.append, self.to_group, self.to_store, self.to_follower = (Latencies() for _ in range(4))
        self.lag = Latencies()
        rng = np.random.default_rng(7)
        self.market = [rng.random((23, STRIKES)) for _ in range(64)]
        self.enriched = [rng.random((45, STRIKES)) for _ in range(64)]

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.enrich)
            await nursery.start(self.store)
            await nursery.start(self.follow)
            nursery.start_soon(self.measure_lag)
            await self.feed()
            await trio.sleep(0.3)
            nursery.cancel_scope.cancel()

    async def feed(self) -> None:
        began, sent = trio.current_time(), 0
        async with trio.open_nursery() as nursery:
            while (elapsed := trio.current_time() - began) < self.seconds:
                due = int(elapsed * self.rate)
                for number in range(sent, due):
                    nursery.start_soon(self.one, number)
                sent = due
                await trio.sleep(0.001)

    async def one(self, number: int) -> None:
        product = PRODUCTS[number % len(PRODUCTS)]
        message = chain(product, time.perf_counter_ns(), self.market[number % 64])
        await self.bus.append(f"market.chain.{product}", message)
        self.append.since(message.ts_event)

    async def enrich(self, task_status: trio.TaskStatus[None]) -> None:
        async with self.bus.consume(["market.chain.*"], "enricher") as consumer:
            task_status.started()
            while True:
                deliveries = await consumer.batch()
                emit = []
                for delivery in deliveries:
                    message = delivery.message
                    assert isinstance(message, OptionChain)
                    self.to_group.since(message.ts_event)
                    result = enriched(message, self.enriched[delivery.position.seq % 64])
                    key = f"{delivery.topic}/{delivery.position.epoch}/{delivery.position.seq}"
                    emit.append(Entry(f"enriched.chain.{message.product}", result, key))
                await consumer.ack(deliveries, emit=emit)

    async def store(self, task_status: trio.TaskStatus[None]) -> None:
        async with self.bus.consume(["enriched.chain.*"], "storage") as consumer:
            task_status.started()
            while True:
                deliveries = await consumer.batch()
                self.to_store.since_all(deliveries)
                await consumer.ack(deliveries)

    async def follow(self, task_status: trio.TaskStatus[None]) -> None:
        async with self.bus.follow(["enriched.chain.*"], live=True) as follower:
            task_status.started()
            while True:
                self.to_follower.since_all(await follower.batch())

    async def measure_lag(self) -> None:
        while True:
            due = time.perf_counter_ns() + 10_000_000
            await trio.sleep(0.010)
            self.lag.since(due)


async def main(seconds: float, rate: float, directory: Path, settings: BusSettings) -> None:
    """Run everything on one journal and print the table."""
    rows = []
    async with open_bus(directory / "journal.db", settings, Seams.system()) as bus:
        rows.append((await alone(bus, 1000)).row("append, back to back"))
        for name, latencies in (await unloaded(bus, 400, 0.005)).items():
            rows.append(latencies.row(f"{name}, every 5 ms"))
        flooded = await flood(bus, 12_800)
        load = Load(bus, rate, seconds)
        cpu, wall, before = time.process_time(), time.perf_counter(), await bus.statistics()
        await load.run()
        cpu, wall, after = time.process_time() - cpu, time.perf_counter() - wall, await bus.statistics()
    rows += [
        load.append.row("loaded: append"),
        load.to_group.row("loaded: append to group"),
        load.to_store.row("loaded: append to second group"),
        load.to_follower.row("loaded: append to follower"),
        load.lag.row("loaded: loop lag"),
    ]
    print(machine())
    print(table(("latency, us", "count", "p50", "p90", "p99", "max"), rows))
    messages, commits = after.appended - before.appended, after.commits - before.commits
    print(f"64 callers, as fast as they can: {flooded:,.0f} messages of 11 KB a second")
    print(
        f"loaded, {rate:g} chains/s for {seconds:g} s: {messages:,} messages in {commits:,} commits,"
        f" processor {cpu / wall:.0%} of one core, journal {after.bytes_on_disk / 1e6:,.0f} MB"
    )


@click.command()
@click.option("--seconds", default=10.0)
@click.option("--rate", default=600.0, help="Market chains a second.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--durability", type=click.Choice(["process", "power"]), default="process")
def command(seconds: float, rate: float, directory: Path | None, durability: str) -> None:
    """Measure the embedded bus."""
    own = directory is None
    where = Path(tempfile.mkdtemp()) if directory is None else directory
    settings = BusSettings(durability="power" if durability == "power" else "process")
    try:
        trio.run(main, seconds, rate, where, settings)
    finally:
        if own:
            shutil.rmtree(where)


if __name__ == "__main__":
    command()
