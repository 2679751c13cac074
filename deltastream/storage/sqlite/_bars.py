"""Bars, merged from ticks in whatever order and portions these arrive.

A bar remembers which tick opened and which closed it, so merging is associative and commutative:
the same ticks give the same bar however they come. (Volumes are sums of float64, exact as long as
they are whole numbers below 2**53.)
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

__all__ = ["INTERVALS", "BarMerge"]

INTERVALS: Final = (60, 300, 900)
"""Lengths of the bars that are kept, seconds."""

_NS: Final = 1_000_000_000

_UPSERT: Final = """
INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    open = iif((excluded.open_ts, excluded.open_ordinal) < (open_ts, open_ordinal), excluded.open, open),
    open_ordinal = iif((excluded.open_ts, excluded.open_ordinal) < (open_ts, open_ordinal),
                       excluded.open_ordinal, open_ordinal),
    open_ts = min(excluded.open_ts, open_ts),
    high = max(excluded.high, high),
    low = min(excluded.low, low),
    close = iif((excluded.close_ts, excluded.close_ordinal) > (close_ts, close_ordinal),
                excluded.close, close),
    close_ordinal = iif((excluded.close_ts, excluded.close_ordinal) > (close_ts, close_ordinal),
                        excluded.close_ordinal, close_ordinal),
    close_ts = max(excluded.close_ts, close_ts),
    ticks = ticks + excluded.ticks,
    volume = iif(excluded.volume IS NULL, volume, coalesce(volume, 0) + excluded.volume)
"""


@dataclass(slots=True)
class _Bar:
    open: float
    high: float
    low: float
    close: float
    ticks: int
    volume: float | None
    opened: tuple[int, int]
    closed: tuple[int, int]

    def add(self, price: float, volume: float | None, key: tuple[int, int]) -> None:
        if key < self.opened:
            self.open, self.opened = price, key
        if key > self.closed:
            self.close, self.closed = price, key
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.ticks += 1
        if volume is not None:
            self.volume = volume if self.volume is None else self.volume + volume


class BarMerge:
    """Gathers new ticks and merges them into the stored bars."""

    def __init__(self) -> None:
        self._bars: dict[tuple[int, int, int], _Bar] = {}

    def add(self, product: int, ts_event: int, ordinal: int, price: float, volume: float | None) -> None:
        """One tick that is new to the store."""
        key = (ts_event, ordinal)
        for interval in INTERVALS:
            name = (product, interval, ts_event - ts_event % (interval * _NS))
            bar = self._bars.get(name)
            if bar is None:
                self._bars[name] = _Bar(price, price, price, price, 1, volume, key, key)
            else:
                bar.add(price, volume, key)

    def flush(self, connection: sqlite3.Connection) -> None:
        """Merge what was gathered, within the caller's transaction."""
        connection.executemany(
            _UPSERT,
            [
                (*name, b.open, b.high, b.low, b.close, b.ticks, b.volume, *b.opened, *b.closed)
                for name, b in self._bars.items()
            ],
        )
        self._bars.clear()
