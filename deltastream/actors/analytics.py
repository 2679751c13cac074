"""The analytics actor: volatility surfaces out of enriched chains."""

from __future__ import annotations

from typing import Final

import structlog
import trio

from deltastream.actors._entries import entry_of
from deltastream.actors._poison import blames_message
from deltastream.analytics import surface
from deltastream.bus import Bus, Consumer, Delivery, Entry, matches
from deltastream.errors import StoreError, StoreUnavailable
from deltastream.messages import EnrichedChain
from deltastream.seams import Seams
from deltastream.storage.protocol import Repository
from supervisors import Context

__all__ = ["Analytics"]

INTERVAL_S: Final = 0.5
"""How long chains are gathered before the surfaces they change are published once."""

RECALLED: Final = 64
"""Newest chains of a product that a new incarnation reads again, beside what the store holds."""

AWAY_S: Final = 0.5
"""How long a new incarnation waits before it asks a store again that is away."""

MOST: Final = 256
"""Chains gathered at the most before publishing early."""

log = structlog.get_logger("deltastream.analytics")


class Analytics:
    """Consumes `enriched.chain.*` and appends `analytics.surface.*`, one per product and interval.

    What it knows of the other expiries is the latest chain of each; a new incarnation begins with
    those of the store and the newest of the log, which the store may not have yet. Chains are
    acknowledged in the transaction that appends the surfaces they changed.
    """

    GROUP: Final = "analytics"
    PATTERNS: Final = ("enriched.chain.*",)

    def __init__(self, bus: Bus, store: Repository, seams: Seams) -> None:
        self._bus = bus
        self._store = store
        self._seams = seams

    async def run(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """Publish surfaces until cancelled. Cancellation: chains not acknowledged come again."""
        async with self._bus.consume(self.PATTERNS, self.GROUP) as consumer:
            task_status.started()
            latest = await self._recalled(ctx)
            while True:
                await self._publish(consumer, latest, await _gather(consumer))

    async def _recalled(self, ctx: Context) -> _Latest:
        """The latest chains of the store, and those that it may not have yet, or never will have.

        A store that is away is waited for: what it alone knows would be missing from every surface.
        """
        while True:
            try:
                latest = await self._stored()
                break
            except StoreUnavailable as error:
                ctx.degraded(str(error))
                await trio.sleep(AWAY_S)
        ctx.running()
        for topic in (await self._bus.statistics()).topics:
            if any(matches(pattern, topic.topic) for pattern in self.PATTERNS):
                for record in await self._bus.last(topic.topic, limit=RECALLED):
                    if isinstance(record.message, EnrichedChain):
                        latest.add(record.message)
        return latest

    async def _stored(self) -> _Latest:
        """The latest chains that the store can tell; none of a product whose chains cannot be read."""
        latest = _Latest()
        for stored in await self._store.products():
            try:
                chains = await self._store.latest_chains(stored.product)
            except StoreUnavailable:
                raise
            except StoreError as error:
                log.error("stored_chains_unreadable", product=stored.product, error=str(error))
                continue
            for chain in chains:
                latest.add(chain)
        return latest

    async def _publish(self, consumer: Consumer, latest: _Latest, batch: list[Delivery]) -> None:
        newest: dict[str, Delivery] = {}
        for delivery in batch:
            chain = delivery.message
            if isinstance(chain, EnrichedChain):
                latest.add(chain)
                newest[chain.product] = delivery
        done = list(batch)
        entries = []
        for product, delivery in newest.items():
            try:
                entries += self._surface(product, latest.of(product), delivery)
            except BaseException as error:
                if not blames_message(error):
                    raise
                await consumer.fail(delivery, error)
                done.remove(delivery)
            await trio.lowlevel.checkpoint()
        await consumer.ack(done, emit=entries)

    def _surface(self, product: str, chains: list[EnrichedChain], newest: Delivery) -> list[Entry]:
        message = surface(product, chains, ts_recv=self._seams.clock.now_ns())
        key = f"{newest.topic}@{newest.position.epoch}:{newest.position.seq}"
        return [] if message is None else [entry_of(message, key)]


class _Latest:
    """The newest chain of each (root, expiry) by its own time, but for those expired by the newest."""

    def __init__(self) -> None:
        self._by_product: dict[str, dict[tuple[str, str], EnrichedChain]] = {}

    def add(self, chain: EnrichedChain) -> None:
        series = self._by_product.setdefault(chain.product, {})
        known = series.get((chain.root, chain.expiry))
        if known is None or known.ts_event <= chain.ts_event:
            series[chain.root, chain.expiry] = chain
        newest = max(series.values(), key=lambda each: each.ts_event)  # it tells the time, expired or not
        for key, other in list(series.items()):
            if other.expiry_ts <= newest.ts_event and other is not newest:
                del series[key]

    def of(self, product: str) -> list[EnrichedChain]:
        return list(self._by_product[product].values())


async def _gather(consumer: Consumer) -> list[Delivery]:
    """Wait for a first batch, then gather more until the interval has passed."""
    gathered = await consumer.batch(MOST)
    with trio.move_on_after(INTERVAL_S):
        while len(gathered) < MOST:
            gathered += await consumer.batch(MOST - len(gathered))
    return gathered
