"""The storage actor: whatever is history goes into the store, exactly once."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from deltastream.actors._poison import blames_message
from deltastream.bus import Bus, Consumer, Delivery
from deltastream.errors import StoreDamaged, StoreUnavailable
from deltastream.storage.protocol import Repository
from supervisors import Context

__all__ = ["Storage"]

BATCH: Final = 128
GATHER_S: Final = 0.01
"""How long what has come waits for more; whoever is to be told of it goes first meanwhile."""
ACK_S: Final = 1.0
"""How long what took effect may wait to be acknowledged together with what comes next."""
RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 5.0

T = TypeVar("T")


class Storage:
    """Applies messages to the store; effect and position commit in the store's one transaction.

    The bus is told of that position once a second: nothing depends on it but the
    journal's retention, and what is shown of the group's lag.

    While the store is away or damaged the actor waits, degraded, and takes nothing more from the
    bus, which keeps what comes. A record that the store refuses is failed by itself; its batch
    goes on without it.
    """

    GROUP: Final = "storage"
    PATTERNS: Final = ("market.tick.*", "market.status.*", "enriched.chain.*", "analytics.surface.*")

    def __init__(self, bus: Bus, store: Repository) -> None:
        self._bus = bus
        self._store = store

    async def run(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """Store until cancelled. Cancellation: a batch is applied wholly or comes again."""
        task_status.started()
        positions = await _patiently(ctx, lambda: self._store.positions(self.GROUP))
        earlier = await _patiently(ctx, lambda: self._store.earlier_positions(self.GROUP))
        async with self._bus.consume(
            self.PATTERNS, self.GROUP, positions=positions, earlier=earlier
        ) as consumer:
            while True:
                await self._round(ctx, consumer)

    async def _round(self, ctx: Context, consumer: Consumer) -> None:
        """Apply batch after batch for a while, then acknowledge them together."""
        done = await self._applied(ctx, consumer, await _gathered(consumer, math.inf))
        until = trio.current_time() + ACK_S
        while trio.current_time() < until:
            batch = await _gathered(consumer, until)
            if batch:
                done += await self._applied(ctx, consumer, batch)
        await consumer.ack(done)

    async def _applied(self, ctx: Context, consumer: Consumer, batch: list[Delivery]) -> list[Delivery]:
        """Apply a batch, one by one where it will not go as a whole; the deliveries that took effect."""
        try:
            await _patiently(ctx, lambda: self._store.apply(self.GROUP, batch))
        except BaseException as error:
            if not blames_message(error):
                raise
            if len(batch) == 1:
                await consumer.fail(batch[0], error)
                await _patiently(ctx, lambda: self._store.apply(self.GROUP, [], passed=batch))
                return []
        else:
            return batch
        return [done for delivery in batch for done in await self._applied(ctx, consumer, [delivery])]


async def _gathered(consumer: Consumer, until: float) -> list[Delivery]:
    """A batch that begins to come before a Trio time, with what follows at once; empty where none does."""
    gathered: list[Delivery] = []
    with trio.move_on_at(until) as scope:
        gathered += await consumer.batch(BATCH)
        scope.deadline = trio.current_time() + GATHER_S
        while len(gathered) < BATCH:
            gathered += await consumer.batch(BATCH - len(gathered))
    return gathered


async def _patiently(ctx: Context, call: Callable[[], Awaitable[T]]) -> T:
    """Call until the store is there; the delay doubles up to five seconds."""
    delay = RETRY_FIRST_S
    while True:
        try:
            result = await call()
        except (StoreUnavailable, StoreDamaged) as error:
            ctx.degraded(str(error))
            await trio.sleep(delay)
            delay = min(2 * delay, RETRY_MOST_S)
        else:
            ctx.running()
            return result
