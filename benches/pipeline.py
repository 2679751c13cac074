"""The whole pipeline under load: generate, append, enrich, append, store; latency and throughput.

One process, one host, the real journal and store in a temporary directory, the synthetic feed in
load mode. Each chain is stamped when it is handed to the bus, before `append`; another task follows
the enriched topics and reads the stamp once the enriched chain has been committed. Stored means
that the store's transaction has committed.

    python benches/pipeline.py              unloaded, then 600 chains/s for 60 s, then the tutorial's design
    python benches/pipeline.py --ladder     besides, the highest rate that holds 2 ms (p50) and 15 ms
                                            (p99), and the highest that is sustained at all
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import structlog
import trio
from _machine import machine, percentiles, table

from deltastream.bus import EmbeddedBus, Entry, Gap, Record
from deltastream.host.config import PIPELINE, Flag, Settings, load
from deltastream.host.tree import Host, caught_up
from deltastream.messages import EnrichedChain, OptionChain, Position
from deltastream.seams import Seams
from deltastream.storage import SqliteRepository

TUTORIAL = Path(__file__).parent / "tutorial" / "run.py"
WARM_UP_S = 2.0
LADDER = (300, 600, 800, 1000, 1250, 1500, 2000, 2500, 3000)
SMALL_STRIKES = 21
SMALL_RATE = 2000.0
QUOTES = ("call_bid", "call_ask", "put_bid", "put_ask")


@dataclass
class Measured:
    """What is seen of the chains appended after the warm-up.

    Attributes:
        since: nanoseconds UTC.
        stamps: when a chain was about to be appended, by series and `ts_event`.
        enriched, stored: seconds from the stamp.
        changed: share of a chain's quotes that differ from the chain before it in its series.
    """

    since: int = 0
    stamps: dict[tuple[str, str, int], int] = field(default_factory=dict)
    enriched: list[float] = field(default_factory=list)
    stored: list[float] = field(default_factory=list)
    changed: list[float] = field(default_factory=list)

    def stamp(self, now: int, entries: Sequence[Entry]) -> None:
        for entry in entries:
            chain = entry.message
            if isinstance(chain, OptionChain):
                self.stamps[chain.root, chain.expiry, chain.ts_event] = now

    def note(self, into: list[float], now: int, records: Sequence[Record | Gap]) -> None:
        for record in records:
            if isinstance(record, Gap):
                raise SystemExit(f"{record} while measuring")
            chain = record.message
            if isinstance(chain, EnrichedChain) and chain.ts_event > self.since:
                into.append((now - self.stamps[chain.root, chain.expiry, chain.ts_event]) / 1e9)


class MeasuredBus(EmbeddedBus):
    """The bus, noting when a chain is handed to it."""

    measured: Measured
    now_ns: Callable[[], int]

    async def append_batch(self, entries: Sequence[Entry]) -> list[Position]:
        self.measured.stamp(self.now_ns(), entries)
        return await super().append_batch(entries)


class MeasuredStore(SqliteRepository):
    """The store, noting when each transaction has committed."""

    measured: Measured

    async def apply(self, group: str, records: Sequence[Record], *, passed: Sequence[Record] = ()) -> int:
        new = await super().apply(group, records, passed=passed)
        self.measured.note(self.measured.stored, self._seams.clock.now_ns(), records)
        return new


class MeasuredHost(Host):
    """The host with a bus and a store that are measured."""

    def __init__(self, settings: Settings, seams: Seams) -> None:
        self.measured = Measured()
        super().__init__(settings, seams)

    def make_bus(self) -> MeasuredBus:
        bus = MeasuredBus(self.data_dir.journal, self.settings.bus, self.seams)
        bus.measured, bus.now_ns = self.measured, self.seams.clock.now_ns
        return bus

    def make_store(self) -> MeasuredStore:
        store = MeasuredStore(self.data_dir.store, self.settings.store, self.seams)
        store.measured = self.measured
        return store


@dataclass(frozen=True)
class Result:
    """One run. Latencies in seconds."""

    rate: float
    seconds: float
    strikes: int
    accepted: int
    enriched: int
    stored: int
    lost: int
    dead: int
    changed_least: float
    changed_mean: float
    cores: float
    lag_p99: float
    enriched_p50: float
    enriched_p99: float
    stored_p50: float
    stored_p99: float
    drain_s: float

    @property
    def complete(self) -> bool:
        """Every chain was enriched and stored, at the rate asked for, and no backlog grew."""
        whole = self.accepted == self.enriched == self.stored and self.lost == self.dead == 0
        return whole and self.accepted >= 0.985 * self.rate * self.seconds and self.drain_s < 1.0

    @property
    def holds(self) -> bool:
        return self.complete and self.enriched_p50 <= 2e-3 and self.enriched_p99 <= 15e-3


async def run_once(rate: float, seconds: float, strikes: int) -> Result:
    """One host at one rate, in a directory of its own, until everything has taken effect."""
    with tempfile.TemporaryDirectory(prefix="deltastream-bench-") as directory:
        host = make_host(directory, rate, strikes)
        async with trio.open_nursery() as nursery:
            await nursery.start(host.run)
            await nursery.start(follow_enriched, host)
            await nursery.start(follow_market, host)
            gc.freeze()  # as `deltastream run` does
            await trio.sleep(WARM_UP_S)
            cpu = -processor_s()
            host.measured.since = host.seams.clock.now_ns()
            await trio.sleep(seconds)
            cpu += processor_s()
            lag = host.loop_lag()
            drained_s = await stop_and_drain(host)
            bus = await host.bus.statistics()
            stored = await stored_chains(host)
            host.request_stop("measured")
            nursery.cancel_scope.cancel("measured")
    accepted, enriched = (
        sum(topic.last_seq for topic in bus.topics if topic.topic.startswith(f"{kind}.chain."))
        for kind in ("market", "enriched")
    )
    measured = host.measured
    to_enriched, to_stored = percentiles(measured.enriched), percentiles(measured.stored)
    return Result(
        rate=rate,
        seconds=WARM_UP_S + seconds,
        strikes=strikes,
        accepted=accepted,
        enriched=enriched,
        stored=stored,
        lost=sum(group.lost for group in bus.groups),
        dead=sum(group.dead for group in bus.groups),
        changed_least=min(measured.changed, default=0.0),
        changed_mean=sum(measured.changed) / max(1, len(measured.changed)),
        cores=cpu / seconds,
        lag_p99=lag.p99 or 0.0,
        enriched_p50=to_enriched[50],
        enriched_p99=to_enriched[99],
        stored_p50=to_stored[50],
        stored_p99=to_stored[99],
        drain_s=drained_s,
    )


def make_host(directory: str, rate: float, strikes: int) -> MeasuredHost:
    values = {
        "data_dir": directory,
        "actors": PIPELINE,
        "log.level": "error",
        "synthetic.load_chains_per_s": rate,
        "synthetic.strikes": strikes,
    }
    flags = tuple(Flag("--bench", path, value, lax=False) for path, value in values.items())
    return MeasuredHost(load(flags=flags, environ={}).settings, Seams.system())


def processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def stop_and_drain(host: Host) -> float:
    """Stop the feed and wait until every group has caught up; how many seconds that took."""
    assert host.tree is not None
    await host.tree.supervisor("host/pipeline").terminate_child("feed")
    stopped_at = trio.current_time()
    with trio.fail_after(60):
        while not await caught_up(host.bus):  # noqa: ASYNC110  a lag has no event
            await trio.sleep(0.01)
    return trio.current_time() - stopped_at


async def follow_enriched(host: MeasuredHost, *, task_status: trio.TaskStatus[None]) -> None:
    """Read the stamps of enriched chains as soon as these are committed."""
    async with host.bus.follow(["enriched.chain.*"]) as follower:
        task_status.started()
        while True:
            records = await follower.batch()
            host.measured.note(host.measured.enriched, host.seams.clock.now_ns(), records)


async def follow_market(host: MeasuredHost, *, task_status: trio.TaskStatus[None]) -> None:
    """Compare the quotes of consecutive chains of a series, one chain in ten of one product."""
    before: dict[tuple[str, str], OptionChain] = {}
    async with host.bus.follow(["market.chain.NIFTY"]) as follower:
        task_status.started()
        while True:
            for record in await follower.batch():
                if isinstance(record, Gap) or not isinstance(record.message, OptionChain):
                    raise SystemExit(f"{record} while measuring")
                new = record.message
                old = before.get((new.root, new.expiry))
                before[new.root, new.expiry] = new
                if old is None or record.position.seq % 10:
                    continue
                if np.array_equal(old.strikes, new.strikes):
                    host.measured.changed.append(share_changed(old, new))


def share_changed(old: OptionChain, new: OptionChain) -> float:
    """The share of quotes whose bid or ask differs."""
    same = {name: (old[name] == new[name]) | (np.isnan(old[name]) & np.isnan(new[name])) for name in QUOTES}
    calls, puts = same["call_bid"] & same["call_ask"], same["put_bid"] & same["put_ask"]
    return 1.0 - float(np.concatenate((calls, puts)).mean())


async def stored_chains(host: Host) -> int:
    """How many chains the store answers with, page by page."""
    count = 0
    for product in await host.store.products():
        for series in await host.store.expiries(product.product):
            cursor = None
            while True:
                page = await host.store.metrics(
                    product.product,
                    root=series.root,
                    expiry=series.expiry,
                    start=0,
                    end=2**62,
                    limit=5000,
                    cursor=cursor,
                )
                count += len(page.items)
                cursor = page.cursor
                if cursor is None:
                    break
    return count


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def rows(results: Sequence[tuple[str, Result]]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            f"{r.rate:g}/s",
            f"{r.strikes}",
            f"{r.seconds:g} s",
            f"{r.accepted}/{r.enriched}/{r.stored}",
            f"{r.enriched_p50 * 1e3:.2f} / {r.enriched_p99 * 1e3:.2f} ms",
            f"{r.stored_p50 * 1e3:.2f} / {r.stored_p99 * 1e3:.2f} ms",
            f"{r.cores:.2f}",
            milliseconds(r.lag_p99),
            "holds" if r.holds else "sustained" if r.complete else "NOT SUSTAINED",
        )
        for name, r in results
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=600.0, help="chains per second under load")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the load lasts")
    parser.add_argument("--strikes", type=int, default=60, help="strikes per chain, two sides each")
    parser.add_argument("--ladder", action="store_true", help="find the highest rates too")
    parser.add_argument("--no-tutorial", action="store_true", help="leave the tutorial's design out")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    results = [("unloaded", trio.run(run_once, 5.0, min(options.seconds, 20.0), options.strikes))]
    results.append(("load", trio.run(run_once, options.rate, options.seconds, options.strikes)))
    for rate in LADDER if options.ladder else ():
        results.append((f"ladder {rate}", trio.run(run_once, float(rate), 10.0, options.strikes)))
        if not results[-1][1].complete:
            break
    peer = None
    if not options.no_tutorial:
        small = trio.run(run_once, SMALL_RATE, min(options.seconds, 15.0), SMALL_STRIKES)
        results.append(("tutorial's size", small))
        done = subprocess.run(
            [sys.executable, TUTORIAL, "--json"], capture_output=True, text=True, check=False
        )
        peer = json.loads(done.stdout) if done.returncode == 0 else {"skipped": done.stderr.strip()[-500:]}
    if options.json:
        print(
            json.dumps(
                {"machine": machine(), "results": {n: asdict(r) for n, r in results}, "tutorial": peer}
            )
        )
        return
    print(machine())
    head = (
        "run",
        "rate",
        "strikes",
        "for",
        "accepted/enriched/stored",
        "→enriched p50/p99",
        "→stored p50/p99",
        "cores",
        "loop lag p99",
        "",
    )
    print(table(head, rows(results)))
    load = results[1][1]
    print(f"quotes that differ from chain to chain: {load.changed_mean:.0%}, least {load.changed_least:.0%}")
    print(f"the tutorial's design, same machine: {json.dumps(peer)}")


if __name__ == "__main__":
    main()
