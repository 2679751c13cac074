"""What a store is: the history that DeltaStream can answer, behind one protocol.

Two implementations pass one conformance suite: SQLite (embedded) and MongoDB. Writes are
idempotent by the message's topic and position, and commit together with the group's positions, so
that every accepted message takes effect exactly once whatever is killed, whenever.

Every read takes ``at``: the state as of that instant, that is the last with ``ts_event <= at``.
Ranges are half open, ``start <= ts_event < end``, oldest first, and continue by an opaque cursor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from deltastream.bus.protocol import Record
from deltastream.messages import (
    Bar,
    EnrichedChain,
    MarketStatus,
    OptionQuote,
    Position,
    UnderlyingTick,
    VolatilitySurface,
)

__all__ = [
    "METRICS",
    "BadCursor",
    "MetricRow",
    "Page",
    "Repository",
    "StoreStatistics",
    "StoredExpiry",
    "StoredProduct",
    "metrics_of",
]

T = TypeVar("T")

METRICS = (
    "spot",
    "forward",
    "forward_error",
    "atm_strike",
    "atm_straddle_price",
    "atm_iv",
    "avg_iv",
    "total_call_oi",
    "total_put_oi",
    "pcr_oi",
    "total_call_volume",
    "total_put_volume",
    "pcr_volume",
    "call_oi_change",
    "put_oi_change",
    "max_pain_strike",
    "max_pain_low",
    "max_pain_high",
)
"""The metrics that are kept as series, by name."""


def metrics_of(chain: EnrichedChain) -> dict[str, float | None]:
    """The values of `METRICS` that are kept of a chain; NaN becomes None."""
    low, high = chain.max_pain_interval or (None, None)
    own = {"max_pain_low": low, "max_pain_high": high}
    values = {name: own[name] if name in own else getattr(chain, name) for name in METRICS}
    return {
        name: None if value is None or math.isnan(value) else float(value) for name, value in values.items()
    }


class BadCursor(ValueError):
    """The cursor was not made by this store for this query."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a range.

    Attributes:
        items: oldest first.
        cursor: hand it in to get the next page; None at the end.
    """

    items: list[T]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class MetricRow:
    """The metrics of one chain at one instant; None where they could not be computed."""

    product: str
    root: str
    expiry: str
    ts_event: int
    values: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class StoredProduct:
    """A product with data, and the span of it (nanoseconds UTC)."""

    product: str
    first_ts: int
    last_ts: int


@dataclass(frozen=True, slots=True)
class StoredExpiry:
    """One chain series of a product."""

    root: str
    expiry: str
    expiry_ts: int
    first_ts: int
    last_ts: int


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """Size and contents of the store, and what retention has removed since it was opened.

    Attributes:
        state: "running", "degraded" (see `reason`) or "closed".
        reason: why it is degraded.
        bytes_on_disk: its files together.
        applied: records that took effect since it was opened.
        duplicates: records that had taken effect before.
        pruned: rows that retention has removed, by table.
    """

    state: str
    reason: str | None
    bytes_on_disk: int
    applied: int
    duplicates: int
    pruned: Mapping[str, int] = field(default_factory=dict)


class Repository(Protocol):
    """The store. Opened and closed by its implementation's own context manager.

    Cancellation: a write that has begun completes; a read is abandoned without effect.
    All methods raise `StoreUnavailable` where the store is away for now and the same call may
    succeed later, `StoreDamaged` where its files are broken, `StoreError` where this call will
    never succeed.
    """

    async def apply(self, group: str, records: Sequence[Record], *, passed: Sequence[Record] = ()) -> int:
        """Write the effects of messages and move the group's positions, in one transaction.

        Ticks, enriched chains (with their metrics), surfaces and market status become history,
        bars are merged from new ticks. A record whose topic, epoch and seq were applied before has
        no second effect, however late, out of order or for which group it comes again, even when
        retention has dropped what it wrote. A group's position per topic becomes the greatest seq
        applied; it never moves back within an epoch, nor to an epoch seen before the present one. A
        delivery that is not the first of its message comes out of line, and moves no position.

        Args:
            group: whose positions move.
            records: messages to take effect.
            passed: messages set aside (to be retried, or dead letters): only the position moves
                over them, and they may still take effect later.

        Returns:
            How many records were new.

        Raises:
            StoreError: one of the records cannot be stored; nothing of the call took effect.
        """
        ...

    async def positions(self, group: str) -> dict[str, Position]:
        """Where the group stands, by topic."""
        ...

    async def earlier_positions(self, group: str) -> dict[str, list[Position]]:
        """How far messages of earlier epochs than that of `positions` were applied, newest epoch first."""
        ...

    async def products(self) -> list[StoredProduct]:
        """Products with data, by symbol."""
        ...

    async def expiries(self, product: str, *, at: int | None = None) -> list[StoredExpiry]:
        """Chain series of a product, nearest expiry first; with `at`, those with a chain by then."""
        ...

    async def tick(self, product: str, *, at: int | None = None) -> UnderlyingTick | None:
        """The latest tick."""
        ...

    async def ticks(
        self, product: str, *, start: int, end: int, limit: int = 1000, cursor: str | None = None
    ) -> Page[UnderlyingTick]:
        """A range of ticks, at most 5,000 a page."""
        ...

    async def chain(
        self, product: str, *, expiry: str | None = None, root: str | None = None, at: int | None = None
    ) -> EnrichedChain | None:
        """The latest chain of a series.

        Without `expiry`, of the nearest series not expired at `at` (or at the product's newest
        data) that has one. Without `root`, where several share an expiry: of the root named like
        the product, else of the first by name.
        """
        ...

    async def latest_chains(self, product: str, *, at: int | None = None) -> list[EnrichedChain]:
        """The latest chain of every series not expired at `at` (or at the product's newest data)."""
        ...

    async def chains(
        self,
        product: str,
        *,
        expiry: str,
        root: str | None = None,
        start: int,
        end: int,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[EnrichedChain]:
        """A range of one series' chains, at most 20 a page; without `root`, see `chain`."""
        ...

    async def metrics(
        self,
        product: str,
        *,
        expiry: str,
        root: str | None = None,
        start: int,
        end: int,
        every: int | None = None,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page[MetricRow]:
        """A range of one series' metrics, at most 5,000 a page; without `root`, see `chain`.

        Args:
            every: nanoseconds; of each interval of that length since the epoch only the last row within
                the range.

        Raises:
            ValueError: `every` is not positive.
        """
        ...

    async def bars(
        self,
        product: str,
        *,
        interval_s: int,
        start: int,
        end: int,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page[Bar]:
        """A range of bars of 60, 300 or 900 seconds by their start, at most 5,000 a page."""
        ...

    async def quote(self, symbol: str, *, at: int | None = None) -> OptionQuote | None:
        """The latest quote of a contract, read out of its chain.

        Raises:
            ValueError: not a contract symbol ``ROOT-YYYYMMDD-STRIKE-C|P``.
        """
        ...

    async def surface(self, product: str, *, at: int | None = None) -> VolatilitySurface | None:
        """The latest volatility surface."""
        ...

    async def status(self, product: str, *, at: int | None = None) -> MarketStatus | None:
        """The latest market status."""
        ...

    async def surfaces(
        self, product: str, *, start: int, end: int, limit: int = 100, cursor: str | None = None
    ) -> Page[VolatilitySurface]:
        """A range of volatility surfaces, at most 500 a page."""
        ...

    async def statuses(
        self, product: str, *, start: int, end: int, limit: int = 1000, cursor: str | None = None
    ) -> Page[MarketStatus]:
        """A range of market statuses, at most 5,000 a page."""
        ...

    async def statistics(self) -> StoreStatistics:
        """Size and counters."""
        ...
