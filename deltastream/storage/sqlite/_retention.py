"""Retention: when the store outgrows its limit, the oldest detail goes first, in small steps.

Chains go before ticks, ticks before metrics and surfaces; within a kind the series with the oldest
row goes first. The newest row of every series stays, and so do bars and statuses, which are small.
Freed pages are used again; the file itself is cut where it is still larger than the limit.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from deltastream.storage.sqlite._schema import transaction

__all__ = ["HIGH", "LOW", "prune", "shrink", "used_bytes"]

HIGH: Final = 0.95
"""Share of the limit at which pruning begins: the rest is room for the write-ahead log."""

LOW: Final = 0.90
"""Share of the limit at which it ends."""

_PAGES_PER_STEP: Final = 512


class _Kind(NamedTuple):
    table: str
    owners: str
    owner: str
    rows: int
    """How many to drop in one step."""


_KINDS: Final = (
    _Kind("chains", "series", "series", 128),
    _Kind("ticks", "products", "product", 4096),
    _Kind("metrics", "series", "series", 2048),
    _Kind("surfaces", "products", "product", 128),
)


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the database file that hold something, or will with the transaction under way."""
    pages, free, size = _pages(connection)
    return (pages - free) * size


def prune(connection: sqlite3.Connection) -> tuple[str, int] | None:
    """Drop one portion of the oldest detail, in a transaction of its own.

    Returns:
        The table and how many rows; None where nothing is left to drop.

    Raises:
        sqlite3.Error: see `translated`.
    """
    for kind in _KINDS:
        with transaction(connection):
            dropped = _prune_kind(connection, kind)
        if dropped:
            return kind.table, dropped
    return None


def _prune_kind(connection: sqlite3.Connection, kind: _Kind) -> int:
    table, owners, owner, rows = kind
    key_at = (
        f"SELECT ts_event, ordinal FROM {table} WHERE {owner} = ? ORDER BY ts_event, ordinal LIMIT 1 OFFSET ?"
    )
    oldest = connection.execute(
        f"""SELECT o.id FROM {owners} o WHERE EXISTS (
                SELECT 1 FROM {table} WHERE {owner} = o.id LIMIT 1 OFFSET 1)
            ORDER BY (SELECT min(ts_event) FROM {table} WHERE {owner} = o.id) LIMIT 1"""
    ).fetchone()
    if oldest is None:
        return 0
    bound = connection.execute(key_at, (*oldest, rows)).fetchone()
    if bound is None:
        bound = connection.execute(
            f"SELECT ts_event, ordinal FROM {table} WHERE {owner} = ? "
            "ORDER BY ts_event DESC, ordinal DESC LIMIT 1",
            oldest,
        ).fetchone()
    return connection.execute(
        f"DELETE FROM {table} WHERE {owner} = ? AND (ts_event, ordinal) < (?, ?)", (*oldest, *bound)
    ).rowcount


def shrink(connection: sqlite3.Connection, limit: int) -> bool:
    """Give a portion of free pages back to the file system while the file is larger than `limit`.

    Returns:
        Whether there may be more to give back.

    Raises:
        sqlite3.Error: see `translated`.
    """
    pages, free, size = _pages(connection)
    excess = min(pages - limit // size, free, _PAGES_PER_STEP)
    if excess <= 0:
        return False
    # one row per page and no column: `execute` would stop after the first
    connection.executescript(f"PRAGMA incremental_vacuum({excess})")
    return excess == _PAGES_PER_STEP


def _pages(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Pages of the file, how many of them are free, and the size of one in bytes."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return pages, free, size
