"""How the metrics of a product went: of one series, or of all together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Annotated, Final

import msgspec
import trio

from deltastream.gateway.lookup import Range
from deltastream.gateway.routes._analytics import AT_ONCE, ChainsParameters
from deltastream.messages import EnrichedChain
from deltastream.storage.protocol import BadCursor, MetricRow, Page, Repository, StoredExpiry, metrics_of

__all__ = ["HistoryParameters", "Moment", "Series", "of_one", "together"]

Series = tuple[str, str]
"""Root and expiry."""

_ROWS: Final = 20_000
"""Rows of all series together that are read for one answer."""


class HistoryParameters(ChainsParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which chains, and how much of their history.

    Attributes:
        every: seconds: of each interval of that length, counted from 1970 in UTC, only the last point; all
            unless given.
        limit: the most points of history in one answer.
        cursor: of the answer before, to go on with its history.
    """

    every: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 1000
    cursor: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None

    @property
    def every_ns(self) -> int | None:
        """The interval in nanoseconds."""
        return None if self.every is None else self.every * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant at which something changed.

    Attributes:
        ts: nanoseconds UTC.
        values: the latest of each series that has not expired by then, and is known.
    """

    ts: int
    values: Mapping[Series, Mapping[str, float | None]]


async def of_one(
    store: Repository, series: EnrichedChain, span: Range, asked: HistoryParameters
) -> Page[MetricRow]:
    """The history of one series, oldest first.

    Cancellation: no effect.

    Raises:
        StoreError, BadCursor: as `Repository.metrics`.
    """
    return await store.metrics(
        series.product,
        expiry=series.expiry,
        root=series.root,
        start=span.start,
        end=span.end,
        every=asked.every_ns,
        limit=asked.limit,
        cursor=span.cursor,
    )


async def together(
    store: Repository, product: str, span: Range, asked: HistoryParameters
) -> tuple[list[Moment], str | None]:
    """The history of all series, or of all of a root: a moment for each instant at which one changed.

    Returns:
        The moments, oldest first, and where they go on.

    Cancellation: no effect.

    Raises:
        StoreError, BadCursor: as `Repository.metrics`.
    """
    start = span.start if span.cursor is None else _whole(span.cursor)
    series = [
        one
        for one in await store.expiries(product, at=span.end - 1)
        if one.expiry_ts > start and asked.root in (None, one.root)
    ]
    latest = await _before(store, product, series, start)
    rows, more = await _rows(store, product, series, start, span.end, asked)
    expires = {(one.root, one.expiry): one.expiry_ts for one in series}
    step = asked.every_ns or 1
    moments: list[Moment] = []
    for _, changed in groupby(rows, key=lambda row: row.ts_event // step):
        if len(moments) == asked.limit:
            more = True
            break
        for row in changed:
            latest[row.root, row.expiry] = row.values
            ts = row.ts_event
        moments.append(Moment(ts, {key: values for key, values in latest.items() if expires[key] > ts}))
        if len(moments) % AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
    return moments, str((moments[-1].ts // step + 1) * step) if moments and more else None


async def _before(
    store: Repository, product: str, series: list[StoredExpiry], start: int
) -> dict[Series, Mapping[str, float | None]]:
    """The latest of each series before `start`."""
    latest: dict[Series, Mapping[str, float | None]] = {}
    for one in series:
        if one.first_ts < start:
            chain = await store.chain(product, expiry=one.expiry, root=one.root, at=start - 1)
            if chain is not None:
                latest[one.root, one.expiry] = metrics_of(chain)
    return latest


async def _rows(
    store: Repository,
    product: str,
    series: list[StoredExpiry],
    start: int,
    end: int,
    asked: HistoryParameters,
) -> tuple[list[MetricRow], bool]:
    """Rows of all series in order, as far as each is known, and whether there are more."""
    step = asked.every_ns or 1
    each = max(1, min(asked.limit, _ROWS // max(1, len(series))))
    rows: list[MetricRow] = []
    horizon, more = end // step, False
    for one in series:
        page = await store.metrics(
            product, expiry=one.expiry, root=one.root, start=start, end=end, every=asked.every_ns, limit=each
        )
        rows += page.items
        if page.cursor is not None:
            horizon, more = min(horizon, page.items[-1].ts_event // step), True
    known = (row for row in rows if row.ts_event // step <= horizon)
    return sorted(known, key=attrgetter("ts_event")), more


def _whole(text: str) -> int:
    """The instant that a cursor of ours goes on from.

    Raises:
        BadCursor: it is none of ours.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise BadCursor("cursor was not made for this query")
    return int(text)
