"""The latest state of the market, followed from the bus: what the gateway answers of now."""

from __future__ import annotations

from typing import Final

import structlog
import trio

from deltastream.bus import Bus, Follower, Record, TopicStatistics, matches
from deltastream.errors import StoreError, StoreUnavailable
from deltastream.gateway._latest import Held, Latest
from deltastream.gateway._memo import Memo
from deltastream.gateway.routing import Answer
from deltastream.messages import EnrichedChain, MarketStatus, Position, UnderlyingTick, VolatilitySurface
from deltastream.seams import Seams
from deltastream.storage.protocol import Repository
from supervisors import Context

__all__ = ["Held", "Live"]

CHAIN_BYTES: Final = 64 << 20
"""The most that the columns of all live chains may take."""

STALE_AFTER_S: Final = 900.0
"""Age at which data of a market that is not closed are stale, unless told otherwise."""

RENDERED_BYTES: Final = 16 << 20
"""The most that the answers kept may take."""

RECALLED: Final = 64
"""Newest chains of a product that are read again at the start, beside what the store holds."""

PIECE: Final = 8
"""Messages read from the log, or taken, between two turns of the event loop."""

WATCH_S: Final = 1.0
PATIENCE_S: Final = 2.0
"""How long the start waits for the store."""

_STATUS_FLAG: Final = {
    "closed": "market_closed",
    "halted": "market_halted",
    "stale": "stale",
    "degraded": "market_degraded",
}

log = structlog.get_logger("deltastream.live")


class Live:
    """Follows the bus; everything but `run` is answered at once, from memory.

    It begins with the newest messages of the log and with the latest state of the store, and goes
    on without the store where that is away; what the store alone knows follows when it is back.
    What was known when a run ended stays readable, flagged "bus_away", until the next has begun.

    Attributes:
        positions: the newest seen of each topic.
        store_away: whether the store did not answer when it was last asked.
        recalled: set once what the store knew when the present run began is known.
        rendered: answers made of the present state, for who asks next.

    Args:
        bus, store: where the state comes from.
        seams: time.
        stale_after_s: age at which data of a market that is not closed are flagged "stale".
    """

    PATTERNS: Final = ("market.tick.*", "enriched.chain.*", "analytics.surface.*", "market.status.*")

    def __init__(
        self, bus: Bus, store: Repository, seams: Seams, *, stale_after_s: float = STALE_AFTER_S
    ) -> None:
        self._bus = bus
        self._store = store
        self._seams = seams
        self._stale_ns = round(stale_after_s * 1e9)
        self._latest = Latest(CHAIN_BYTES)
        self._following = False
        self._in_store: tuple[str, ...] = ()
        self.positions: dict[str, Position] = {}
        self.store_away = False
        self.recalled = trio.Event()
        self.rendered: Memo[Answer] = Memo(RENDERED_BYTES)

    async def run(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """Follow until cancelled. Started when the log, and within two seconds the store, are recalled.

        Cancellation: what is known stays readable.

        Raises:
            BusClosed: the bus was closed; in an exception group.
        """
        latest = Latest(CHAIN_BYTES)
        self.positions.clear()
        self.recalled = trio.Event()
        async with self._bus.follow(self.PATTERNS, live=True) as follower:
            await self._recall_log(latest)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch_store, ctx, latest)
                    with trio.move_on_after(PATIENCE_S):
                        await self.recalled.wait()
                    self._latest, self._following = latest, True
                    task_status.started()
                    await self._follow(follower, latest)
            finally:
                self._following = False

    def products(self) -> list[str]:
        """Products with data, live or stored, by symbol."""
        return sorted({*self._latest.products(), *self._in_store})

    def tick(self, product: str) -> Held[UnderlyingTick] | None:
        """The latest tick."""
        return self._latest.tick(product)

    def chain(
        self, product: str, expiry: str | None = None, root: str | None = None
    ) -> Held[EnrichedChain] | None:
        """The latest chain of a live series, chosen as `Repository.chain` does; None where it has none.

        A series that has expired is not live: the store has it.
        """
        return self._latest.chain(product, expiry, root)

    def chains(self, product: str) -> list[Held[EnrichedChain]]:
        """The latest chain of every live series, nearest expiry first."""
        return list(self._latest.chains(product))

    def contract_chain(self, root: str, expiry: str) -> Held[EnrichedChain] | None:
        """The latest chain of the live series that lists a root's contracts of an expiry."""
        return self._latest.of_contract(root, expiry)

    def surface(self, product: str) -> Held[VolatilitySurface] | None:
        """The latest volatility surface."""
        return self._latest.surface(product)

    def status(self, product: str) -> Held[MarketStatus] | None:
        """The latest market status."""
        return self._latest.status(product)

    def newest(self, product: str) -> int | None:
        """Time of the product's latest data, nanoseconds UTC."""
        return self._latest.newest(product)

    def stale(self, product: str, now: int, ts_event: int | None = None) -> tuple[str, ...]:
        """Flags that say why what is known of a product may not be the present.

        Args:
            product: whose it is.
            now: nanoseconds UTC.
            ts_event: of what is shown; None: of the product's newest data.

        Returns:
            Of "market_closed", "market_halted", "market_degraded", "stale", "bus_away" and
            "store_away", those that hold.
        """
        status = self._latest.status(product)
        flag = None if status is None else _STATUS_FLAG.get(status.message.status)
        flags = [] if flag is None else [flag]
        shown = self._latest.newest(product) if ts_event is None else ts_event
        if flag not in ("stale", "market_closed", "market_halted") and (
            shown is not None and now - shown > self._stale_ns
        ):
            flags.append("stale")
        return (*flags, *self.away())

    def away(self) -> tuple[str, ...]:
        """Of the flags "bus_away" and "store_away" those that hold."""
        flags = (("bus_away", not self._following), ("store_away", self.store_away))
        return tuple(flag for flag, holds in flags if holds)

    async def _recall_log(self, latest: Latest) -> None:
        """The newest of each topic, a few at a time."""
        for topic in (await self._bus.statistics()).topics:
            if any(matches(pattern, topic.topic) for pattern in self.PATTERNS):
                await self._recall_topic(latest, topic)

    async def _recall_topic(self, latest: Latest, topic: TopicStatistics) -> None:
        if not matches("enriched.chain.*", topic.topic):
            for record in await self._bus.last(topic.topic):
                self._take(latest, record)
            return
        after = max(topic.first_seq - 1, topic.last_seq - RECALLED)
        while after < topic.last_seq:
            records = await self._bus.read(topic.topic, after=after, limit=PIECE)
            for record in records:
                self._take(latest, record)
            after = records[-1].position.seq if records else topic.last_seq

    async def _watch_store(self, ctx: Context, latest: Latest) -> None:
        """Recall what the store holds as soon as it answers, then look every second whether it does."""
        while True:
            try:
                self._in_store = tuple(stored.product for stored in await self._store.products())
                if not self.recalled.is_set():
                    await self._recall_store(latest)
            except StoreError as error:
                self.store_away = True
                ctx.degraded(str(error))
            else:
                self.store_away = False
                ctx.running()
                self.recalled.set()
            await trio.sleep(WATCH_S)

    async def _recall_store(self, latest: Latest) -> None:
        """The latest of each product; what is damaged is logged and left out.

        Raises:
            StoreUnavailable: the store has gone away meanwhile.
        """
        store = self._store
        for product in self._in_store:
            try:
                if (tick := await store.tick(product)) is not None:
                    latest.take(tick, f"market.tick.{product}", None)
                if (status := await store.status(product)) is not None:
                    latest.take(status, f"market.status.{product}", None)
                if (surface := await store.surface(product)) is not None:
                    latest.take(surface, f"analytics.surface.{product}", None)
                for chain in await store.latest_chains(product):
                    latest.take(chain, f"enriched.chain.{product}", None)
            except StoreUnavailable:
                raise
            except StoreError as error:
                log.error("stored_state_unreadable", product=product, error=str(error))

    async def _follow(self, follower: Follower, latest: Latest) -> None:
        dropped = 0
        while True:
            for item in await follower.batch(PIECE):
                if isinstance(item, Record):
                    self._take(latest, item)
            if latest.dropped > dropped:
                if not dropped:
                    log.warning("live_chains_dropped", limit_bytes=CHAIN_BYTES)
                dropped = latest.dropped

    def _take(self, latest: Latest, record: Record) -> None:
        latest.take(record.message, record.topic, record.position)
        self.positions[record.topic] = record.position
