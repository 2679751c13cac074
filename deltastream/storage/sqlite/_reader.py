"""Reading: one method per question, each answered from one state of the store."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from deltastream.messages import (
    Bar,
    EnrichedChain,
    MarketStatus,
    OptionQuote,
    OptionSide,
    UnderlyingTick,
    VolatilitySurface,
)
from deltastream.storage._blobs import Unpacker
from deltastream.storage._paging import Key
from deltastream.storage._quotes import quote_of
from deltastream.storage.protocol import METRICS, MetricRow, StoredExpiry, StoredProduct
from deltastream.storage.sqlite._applied import earlier_positions, positions
from deltastream.storage.sqlite._schema import transaction

__all__ = ["NEWEST", "Reader"]

T = TypeVar("T")
Rows = Iterable[tuple[Any, ...]]

NEWEST: Final = (1 << 63) - 1
"""An instant after everything."""

_PRODUCT: Final = "product = (SELECT id FROM products WHERE symbol = ?)"
_LATEST: Final = "AND ts_event <= ? ORDER BY ts_event DESC, ordinal DESC LIMIT 1"
_TICK: Final = "ts_event, ts_recv, price, volume"
_METRICS: Final = f"ts_event, {', '.join(METRICS)}"


class _Range:
    """SQL for a page of one owner's rows, and for the key of its last row and the one after it."""

    def __init__(
        self, table: str, owner: str, columns: str, key: tuple[str, str] = ("ts_event", "ordinal")
    ) -> None:
        order = ", ".join(key)
        rest = f"FROM {table} WHERE {owner} AND ({order}) > (?, ?) AND {key[0]} < ? ORDER BY {order} LIMIT ?"
        self.rows = f"SELECT {columns} {rest}"
        self.keys = f"SELECT {order} {rest} OFFSET ?"


_TICKS: Final = _Range("ticks", _PRODUCT, _TICK)
_CHAINS: Final = _Range("chains", "series = ?", "body")
_SURFACES: Final = _Range("surfaces", _PRODUCT, "body")
_STATUSES: Final = _Range("statuses", _PRODUCT, "body")
_METRIC_ROWS: Final = _Range("metrics", "series = ?", _METRICS)
_NEXT_METRIC: Final = (
    "SELECT ts_event FROM metrics WHERE series = ? AND (ts_event, ordinal) > (?, ?) AND ts_event < ?"
    " ORDER BY ts_event, ordinal LIMIT 1"
)
_LAST_METRIC: Final = (
    f"SELECT {_METRICS}, ordinal FROM metrics WHERE series = ? AND ts_event < ?"
    " ORDER BY ts_event DESC, ordinal DESC LIMIT 1"
)
_BARS: Final = _Range(
    "bars",
    f"{_PRODUCT} AND interval_s = ?",
    "start, open, high, low, close, ticks, volume",
    ("start", "interval_s"),
)


class Reader:
    """Answers the repository's questions through one connection. For one thread at a time.

    The methods are those of `Repository`, with `at` given and arguments checked already.
    Ranges take `after`, the key they continue from, and return rows with the key of the last one,
    or None at the end.

    Args:
        connection: of `connect_reader`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._chains = Unpacker(EnrichedChain)
        self._surfaces = Unpacker(VolatilitySurface)
        self._statuses = Unpacker(MarketStatus)

    def positions(self, group: str) -> list[tuple[str, str, int]]:
        return positions(self.connection, group)

    def earlier_positions(self, group: str) -> list[tuple[str, str, int]]:
        return earlier_positions(self.connection, group)

    def products(self) -> list[StoredProduct]:
        rows = self.connection.execute(
            "SELECT symbol, first_ts, last_ts FROM products WHERE first_ts IS NOT NULL ORDER BY symbol"
        )
        return [StoredProduct(*row) for row in rows]

    def expiries(self, product: str, at: int) -> list[StoredExpiry]:
        rows = self.connection.execute(
            f"""SELECT root, expiry, expiry_ts, first_ts, iif(last_ts <= :at, last_ts, coalesce(
                    (SELECT max(ts_event) FROM metrics WHERE series = s.id AND ts_event <= :at), first_ts))
                FROM series s WHERE {_PRODUCT.replace("?", ":product")} AND first_ts <= :at
                ORDER BY expiry_ts, expiry, root""",
            {"product": product, "at": at},
        )
        return [StoredExpiry(*row) for row in rows]

    def tick(self, product: str, at: int) -> UnderlyingTick | None:
        row = self.connection.execute(
            f"SELECT {_TICK} FROM ticks WHERE {_PRODUCT} {_LATEST}", (product, at)
        ).fetchone()
        return None if row is None else _ticks(product, (row,))[0]

    def ticks(
        self, product: str, after: Key, end: int, limit: int
    ) -> tuple[list[UnderlyingTick], Key | None]:
        return self._page(_TICKS, (product,), after, end, limit, lambda rows: _ticks(product, rows))

    def bars(
        self, product: str, interval_s: int, after: Key, end: int, limit: int
    ) -> tuple[list[Bar], Key | None]:
        def made(rows: Rows) -> list[Bar]:
            return [
                Bar(
                    product=product, interval_s=interval_s, start=start,
                    open=first, high=high, low=low, close=last, ticks=count, volume=volume,
                )
                for start, first, high, low, last, count, volume in rows
            ]  # fmt: skip

        return self._page(_BARS, (product, interval_s), after, end, limit, made)

    def chain(self, product: str, expiry: str | None, root: str | None, at: int) -> EnrichedChain | None:
        with transaction(self.connection, "BEGIN"):
            if expiry is not None:
                series = self._series(product, expiry, root)
                return None if series is None else self._latest_chain(series, at)
            for series in self._live_series(product, root, at):
                chain = self._latest_chain(series, at)
                if chain is not None:
                    return chain
            return None

    def latest_chains(self, product: str, at: int) -> list[EnrichedChain]:
        with transaction(self.connection, "BEGIN"):
            chains = [self._latest_chain(series, at) for series in self._live_series(product, None, at)]
        return [chain for chain in chains if chain is not None]

    def chains(
        self, product: str, expiry: str, root: str | None, after: Key, end: int, limit: int
    ) -> tuple[list[EnrichedChain], Key | None]:
        series = self._series(product, expiry, root)
        return self._page(_CHAINS, (series,), after, end, limit, self._chains.unpack_all)

    def metrics(
        self,
        product: str,
        expiry: str,
        root: str | None,
        every: int | None,
        after: Key,
        end: int,
        limit: int,
    ) -> tuple[list[MetricRow], Key | None]:
        series = self._series(product, expiry, root)
        (root,) = self.connection.execute("SELECT root FROM series WHERE id = ?", (series,)).fetchone() or (
            root,
        )

        def made(rows: Rows) -> list[MetricRow]:
            return [
                MetricRow(product, str(root), expiry, ts, dict(zip(METRICS, values, strict=True)))
                for ts, *values in rows
            ]

        if every is not None:
            rows, last = self._last_of_each(series, every, after, end, limit)
            return made(rows), last
        return self._page(_METRIC_ROWS, (series,), after, end, limit, made)

    def _last_of_each(
        self, series: int | None, every: int, after: Key, end: int, limit: int
    ) -> tuple[list[tuple[Any, ...]], Key | None]:
        """The last row of metrics in each interval, found by two look-ups however many it has."""
        rows: list[tuple[Any, ...]] = []
        with transaction(self.connection, "BEGIN"):
            while (first := self.connection.execute(_NEXT_METRIC, (series, *after, end)).fetchone()) and len(
                rows
            ) < limit:
                until = min(end, (first[0] // every + 1) * every)
                *row, ordinal = self.connection.execute(_LAST_METRIC, (series, until)).fetchone()
                rows.append(tuple(row))
                after = (row[0], ordinal)
        return rows, after if first else None

    def quote(
        self, root: str, expiry: datetime.date, strike: float, side: OptionSide, at: int
    ) -> OptionQuote | None:
        with transaction(self.connection, "BEGIN"):
            row = self.connection.execute(
                "SELECT id FROM series WHERE root = ? AND expiry = ? ORDER BY last_ts DESC, product LIMIT 1",
                (root, expiry.isoformat()),
            ).fetchone()
            chain = None if row is None else self._latest_chain(row[0], at)
        return None if chain is None else quote_of(chain, strike, side)

    def surface(self, product: str, at: int) -> VolatilitySurface | None:
        body = self._latest_body("surfaces", product, at)
        return None if body is None else self._surfaces.unpack(body)

    def status(self, product: str, at: int) -> MarketStatus | None:
        body = self._latest_body("statuses", product, at)
        return None if body is None else self._statuses.unpack(body)

    def surfaces(
        self, product: str, after: Key, end: int, limit: int
    ) -> tuple[list[VolatilitySurface], Key | None]:
        return self._page(_SURFACES, (product,), after, end, limit, self._surfaces.unpack_all)

    def statuses(
        self, product: str, after: Key, end: int, limit: int
    ) -> tuple[list[MarketStatus], Key | None]:
        return self._page(_STATUSES, (product,), after, end, limit, self._statuses.unpack_all)

    def _page(
        self,
        kind: _Range,
        owner: tuple[str | int | None, ...],
        after: Key,
        end: int,
        limit: int,
        made: Callable[[Rows], list[T]],
    ) -> tuple[list[T], Key | None]:
        with transaction(self.connection, "BEGIN"):
            bounds = (*owner, *after, end)
            items = made(self.connection.execute(kind.rows, (*bounds, limit)))
            keys: list[Key] = []
            if len(items) == limit:
                keys = self.connection.execute(kind.keys, (*bounds, 2, limit - 1)).fetchall()
        return items, keys[0] if len(keys) == 2 else None

    def _series(self, product: str, expiry: str, root: str | None) -> int | None:
        """Without a root: the one named like the product, else the first by name."""
        row = self.connection.execute(
            f"""SELECT id FROM series WHERE {_PRODUCT} AND expiry = ? AND root = coalesce(?, root)
                ORDER BY root != ?, root LIMIT 1""",
            (product, expiry, root, product),
        ).fetchone()
        return None if row is None else row[0]

    def _live_series(self, product: str, root: str | None, at: int) -> list[int]:
        """Series not expired at `at`, or at the product's newest data if that is earlier."""
        rows = self.connection.execute(
            """SELECT s.id FROM series s JOIN products p ON p.id = s.product
               WHERE p.symbol = :product AND s.root = coalesce(:root, s.root)
                 AND s.first_ts <= :at AND s.expiry_ts > iif(:at = :newest, p.last_ts, :at)
               ORDER BY s.expiry_ts, s.expiry, s.root""",
            {"product": product, "root": root, "at": at, "newest": NEWEST},
        )
        return [series for (series,) in rows]

    def _latest_chain(self, series: int, at: int) -> EnrichedChain | None:
        row = self.connection.execute(
            f"SELECT body FROM chains WHERE series = ? {_LATEST}", (series, at)
        ).fetchone()
        return None if row is None else self._chains.unpack(row[0])

    def _latest_body(self, table: str, product: str, at: int) -> bytes | None:
        row = self.connection.execute(
            f"SELECT body FROM {table} WHERE {_PRODUCT} {_LATEST}", (product, at)
        ).fetchone()
        return None if row is None else row[0]


def _ticks(product: str, rows: Rows) -> list[UnderlyingTick]:
    return [
        UnderlyingTick(product=product, ts_event=ts_event, ts_recv=ts_recv, price=price, volume=volume)
        for ts_event, ts_recv, price, volume in rows
    ]
