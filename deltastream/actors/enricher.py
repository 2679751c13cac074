"""The enricher: market chains in, enriched chains out."""

from __future__ import annotations

from functools import partial
from typing import Final

import trio

from deltastream.actors._entries import entry_of
from deltastream.actors._poison import blames_message
from deltastream.analytics import AnalyticsSettings, enrich
from deltastream.analytics.reference import PreviousSession
from deltastream.bus import Bus, Consumer, Delivery, Entry
from deltastream.latency import Latency
from deltastream.messages import OptionChain
from deltastream.seams import Seams
from deltastream.storage.protocol import Repository
from supervisors import Context

__all__ = ["Enricher"]

WIDE: Final = 1000
"""Strikes above which a chain takes longer than the event loop may be held."""

BATCH: Final = 32
"""Chains per transaction: some milliseconds of computing, so that results do not wait for long."""


class Enricher:
    """Consumes `market.chain.*` and appends `enriched.chain.*`, keyed by the source's position.

    A chain that cannot be enriched is failed by itself: retried out of line, then a dead letter.

    Attributes:
        latency: from the feed's receipt of a chain until what was made of it is on the bus.
    """

    GROUP: Final = "enricher"
    PATTERNS: Final = ("market.chain.*",)

    def __init__(self, bus: Bus, store: Repository, settings: AnalyticsSettings, seams: Seams) -> None:
        self._bus = bus
        self._settings = settings
        self._seams = seams
        self._previous = PreviousSession(store)
        self.latency = Latency()

    async def run(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """Enrich until cancelled. Cancellation: chains not acknowledged come again."""
        async with self._bus.consume(self.PATTERNS, self.GROUP) as consumer:
            task_status.started()
            while True:
                await self._process(consumer, await consumer.batch(BATCH))

    async def _process(self, consumer: Consumer, batch: list[Delivery]) -> None:
        done: list[Delivery] = []
        derived: list[Entry] = []
        for number, delivery in enumerate(batch):
            if number:
                await trio.lowlevel.checkpoint()
            try:
                derived.append(await self._enriched(delivery))
            except BaseException as error:
                if not blames_message(error):
                    raise
                await consumer.fail(delivery, error)
            else:
                done.append(delivery)
        await consumer.ack(done, emit=derived)
        now = self._seams.clock.now_ns()
        for delivery in done:
            if isinstance(delivery.message, OptionChain):
                self.latency.add((now - delivery.message.ts_recv) / 1e9)

    async def _enriched(self, delivery: Delivery) -> Entry:
        chain = delivery.message
        if not isinstance(chain, OptionChain):
            raise TypeError(f"{delivery.topic} holds a {type(chain).__name__}, expected an OptionChain")
        work = partial(
            enrich,
            await self._previous.complete(chain),
            self._settings,
            ts_recv=self._seams.clock.now_ns(),
            source=(delivery.topic, delivery.position),
        )
        wide = chain.strikes.size > WIDE
        result = await self._seams.threads.run(work) if wide else work()
        key = f"{delivery.topic}@{delivery.position.epoch}:{delivery.position.seq}"
        return entry_of(result, key)
