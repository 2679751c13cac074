"""What a reader hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from deltastream.feeds.protocol import Refusal
from deltastream.messages import OptionChain, UnderlyingTick

__all__ = ["ChainKey", "FileFormat", "Recorded", "RowCounts"]

FileFormat = Literal["nse_json", "cboe_csv", "cboe_json"]
ChainKey = tuple[str, str, str]
"""Product, root and expiry (YYYY-MM-DD) of a chain."""


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows of a file belong to one chain.

    A row is what the format lists: a strike with its two sides (NSE JSON, Cboe CSV) or one option
    (Cboe JSON).

    Attributes:
        read: rows of this chain in the file, dropped ones included.
        dropped: how many of them were dropped, by reason, in order of first appearance.
    """

    read: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The content of one file.

    Flags of its chains: "timestamp_unknown" (`ts_event` is `ts_recv`), "market_closed" (taken out of
    session: the quotes are older than the timestamp), "assumed_terms" (a root, or its lot at that expiry,
    that the tables do not know), "adjusted_contract" (deliverable and multiplier unknown), "truncated" (the
    file ended in this chain), "rows_dropped" (totals are of the rest).

    Attributes:
        source: the file, as the caller named it.
        format: what the content turned out to be.
        tz: time zone of the exchange it comes from.
        digest: first 16 hexadecimal digits of the SHA-256 of the file's (decompressed) bytes.
        ts_event: when the file says its data were taken, nanoseconds UTC; None where it does not tell.
        chains: one per (product, root, expiry) with at least one good row, by expiry, then root.
        ticks: the underlying's price, where the file tells price and time.
        refusals: every row that was dropped, in order of the file.
        counts: rows read and dropped, by chain; also of chains that lost every row.
        remarks: sentences about the file as a whole, for a human.
    """

    source: str
    format: FileFormat
    tz: str
    digest: str
    ts_event: int | None
    chains: tuple[OptionChain, ...]
    ticks: tuple[UnderlyingTick, ...]
    refusals: tuple[Refusal, ...]
    counts: Mapping[ChainKey, RowCounts]
    remarks: tuple[str, ...] = field(default=())
