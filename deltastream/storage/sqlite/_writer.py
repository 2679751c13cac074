"""Writing: the effects of messages and the group's positions, in one transaction."""

from __future__ import annotations

import datetime
import math
import sqlite3
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from deltastream.bus.protocol import Delivery, Record
from deltastream.errors import MessageDecodeError, StoreError
from deltastream.messages import EnrichedChain, MarketStatus, UnderlyingTick, VolatilitySurface
from deltastream.storage._blobs import Packer
from deltastream.storage.protocol import METRICS, metrics_of
from deltastream.storage.sqlite._applied import claim, move_positions
from deltastream.storage.sqlite._bars import BarMerge
from deltastream.storage.sqlite._retention import used_bytes
from deltastream.storage.sqlite._schema import SEQ_BITS, ordinal_of, transaction

__all__ = ["INSERT_TICK", "Writer"]

INSERT_TICK: Final = "INSERT INTO ticks VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_METRICS: Final = f"INSERT INTO metrics VALUES (?, ?, ?{', ?' * len(METRICS)})"

_REFUSALS: Final = (
    MessageDecodeError,
    TypeError,
    ValueError,
    OverflowError,
    AttributeError,
    RecursionError,
    struct.error,
    sqlite3.IntegrityError,
)
"""What a message that is not what its type says can make happen on the way into a row."""

_SPAN: Final = """
UPDATE products SET first_ts = min(coalesce(first_ts, :first), :first),
                    last_ts = max(coalesce(last_ts, :last), :last)
WHERE id = :id
"""
_SERIES: Final = """
INSERT INTO series (product, root, expiry, expiry_ts, first_ts, last_ts)
VALUES (?1, ?2, ?3, ?4, ?5, ?5)
ON CONFLICT DO UPDATE SET first_ts = min(excluded.first_ts, first_ts),
    expiry_ts = iif(excluded.last_ts >= last_ts, excluded.expiry_ts, expiry_ts),
    last_ts = max(excluded.last_ts, last_ts)
RETURNING id
"""


def _in_line(record: Record) -> bool:
    """Whether all before it was given, too: a retry may overtake what a store that is behind still lacks."""
    return not isinstance(record, Delivery) or record.attempt == 1


class Writer:
    """Applies messages through the store's one writing connection. For one thread at a time.

    Attributes:
        used: bytes of the database that held something when messages were last applied.

    Args:
        connection: of `connect_writer`.
        packer: for chains, surfaces and statuses.
    """

    def __init__(self, connection: sqlite3.Connection, packer: Packer) -> None:
        self.connection = connection
        self.used = 0
        self._packer = packer
        self._streams: dict[tuple[str, str], int] = {}
        self._products: dict[str, int] = {}
        self._bars = BarMerge()
        self._spans: dict[int, tuple[int, int]] = {}
        self._stores: dict[type, Callable[[Any, int], None]] = {
            UnderlyingTick: self._tick,
            EnrichedChain: self._chain,
            VolatilitySurface: self._surface,
            MarketStatus: self._status,
        }

    def apply(self, group: str, records: Sequence[Record], passed: Sequence[Record] = ()) -> int:
        """See `Repository.apply`.

        Raises:
            StoreError: one of the records cannot be stored.
            sqlite3.Error: see `translated`.
        """
        try:
            with transaction(self.connection):
                fresh = self._claim(group, records, passed)
                for record, ordinal in fresh:
                    self._store(record, ordinal)
                self._bars.flush(self.connection)
                self._flush_spans()
                self.used = used_bytes(self.connection)  # here it costs no lock
        except BaseException:  # what was gathered and looked up belongs to the lost transaction
            self._streams.clear()
            self._products.clear()
            self._spans.clear()
            self._bars = BarMerge()
            raise
        return len(fresh)

    def _claim(
        self, group: str, records: Sequence[Record], passed: Sequence[Record]
    ) -> list[tuple[Record, int]]:
        by_stream: dict[int, dict[int, Record]] = {}
        reached: dict[str, tuple[int, int]] = {}
        places = [(record, self._place(record)) for record in records]
        for record, (stream, seq) in places:
            by_stream.setdefault(stream, {}).setdefault(seq, record)
        places += [(record, self._place(record)) for record in passed if _in_line(record)]
        for record, place in places:
            if _in_line(record):
                reached[record.topic] = max(reached.get(record.topic, place), place)
        fresh = []
        for stream, by_seq in by_stream.items():
            new = claim(self.connection, stream, by_seq)
            fresh += [(record, ordinal_of(stream, seq)) for seq, record in by_seq.items() if seq in new]
        move_positions(self.connection, group, reached)
        return fresh

    def _place(self, record: Record) -> tuple[int, int]:
        epoch, seq = record.position.epoch, record.position.seq
        if not 1 <= seq < 1 << SEQ_BITS:
            raise _refusal(record, f"its number is not within 1 and {(1 << SEQ_BITS) - 1}")
        name = (record.topic, epoch)
        stream = self._streams.get(name)
        if stream is None:
            try:
                self.connection.execute("INSERT OR IGNORE INTO streams (topic, epoch) VALUES (?, ?)", name)
            except UnicodeEncodeError as error:
                raise _refusal(record, str(error)) from error
            (stream,) = self.connection.execute(
                "SELECT id FROM streams WHERE topic = ? AND epoch = ?", name
            ).fetchone()
            self._streams[name] = stream
        return stream, seq

    def _store(self, record: Record, ordinal: int) -> None:
        message = record.message
        store = self._stores.get(type(message))
        if store is None:
            raise _refusal(record, f"a store does not keep a {type(message).__name__}")
        try:
            store(message, ordinal)
        except _REFUSALS as error:
            raise _refusal(record, str(error)) from error

    def _tick(self, tick: UnderlyingTick, ordinal: int) -> None:
        price, volume = float(tick.price), tick.volume
        if not (math.isfinite(price) and price > 0):
            raise ValueError(f"price {price} is not finite and positive")
        if volume is not None and not math.isfinite(volume):
            raise ValueError(f"volume {volume} is not finite")
        product = self._product(tick.product, tick.ts_event)
        self.connection.execute(INSERT_TICK, (product, tick.ts_event, ordinal, tick.ts_recv, price, volume))
        self._bars.add(product, tick.ts_event, ordinal, price, volume)

    def _chain(self, chain: EnrichedChain, ordinal: int) -> None:
        if datetime.date.fromisoformat(chain.expiry).isoformat() != chain.expiry:
            raise ValueError(f"expiry {chain.expiry!r} is not YYYY-MM-DD")
        body = self._packer.pack(chain)
        ts = chain.ts_event
        product = self._product(chain.product, ts)
        (series,) = self.connection.execute(
            _SERIES, (product, chain.root, chain.expiry, chain.expiry_ts, ts)
        ).fetchone()
        self.connection.execute(
            "INSERT INTO chains (series, ts_event, ordinal, body) VALUES (?, ?, ?, ?)",
            (series, ts, ordinal, body),
        )
        self.connection.execute(_INSERT_METRICS, (series, ts, ordinal, *metrics_of(chain).values()))

    def _surface(self, surface: VolatilitySurface, ordinal: int) -> None:
        product = self._product(surface.product, surface.ts_event)
        self.connection.execute(
            "INSERT INTO surfaces (product, ts_event, ordinal, body) VALUES (?, ?, ?, ?)",
            (product, surface.ts_event, ordinal, self._packer.pack(surface)),
        )

    def _status(self, status: MarketStatus, ordinal: int) -> None:
        self.connection.execute(
            "INSERT INTO statuses (product, ts_event, ordinal, body) VALUES (?, ?, ?, ?)",
            (self._product(status.product), status.ts_event, ordinal, self._packer.pack(status)),
        )

    def _product(self, symbol: str, ts_event: int | None = None) -> int:
        if not isinstance(symbol, str):
            raise TypeError(f"product {symbol!r} is not text")
        product = self._products.get(symbol)
        if product is None:
            self.connection.execute("INSERT OR IGNORE INTO products (symbol) VALUES (?)", (symbol,))
            (product,) = self.connection.execute(
                "SELECT id FROM products WHERE symbol = ?", (symbol,)
            ).fetchone()
            self._products[symbol] = product
        if ts_event is not None:
            first, last = self._spans.get(product, (ts_event, ts_event))
            self._spans[product] = (min(first, ts_event), max(last, ts_event))
        return product

    def _flush_spans(self) -> None:
        self.connection.executemany(
            _SPAN,
            [{"id": i, "first": first, "last": last} for i, (first, last) in self._spans.items()],
        )
        self._spans.clear()


def _refusal(record: Record, reason: str) -> StoreError:
    position = record.position
    return StoreError(f"{record.topic} {position.epoch}/{position.seq} cannot be stored: {reason}")
