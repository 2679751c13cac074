"""Entries for the bus, checked one by one: a bad one must not take its neighbours with it."""

from __future__ import annotations

import math
from datetime import date
from typing import Final

from deltastream.bus import Entry
from deltastream.errors import MessageDecodeError
from deltastream.market import is_product_symbol
from deltastream.messages import (
    ChainHead,
    EnrichedChain,
    MarketStatus,
    OptionChain,
    UnderlyingTick,
    VolatilitySurface,
    decode,
    encode,
)

__all__ = ["entry_of"]

_LONGEST_KEY: Final = 512
_TIMES: Final = ("ts_event", "ts_recv", "expiry_ts")
_LATEST_NS: Final = 1 << 63
_PREFIX: Final = {
    UnderlyingTick: "market.tick",
    OptionChain: "market.chain",
    MarketStatus: "market.status",
    EnrichedChain: "enriched.chain",
    VolatilitySurface: "analytics.surface",
}

Published = UnderlyingTick | OptionChain | MarketStatus | EnrichedChain | VolatilitySurface


def entry_of(message: Published, key: str | None = None) -> Entry:
    """The message as an entry of its topic, one per kind and product.

    It is one that every reader can read, and the same for those that read it in memory as for those
    that read the journal, where a message is only what its bytes say. A tick is one that a store can
    keep.

    Raises:
        ValueError: its product is not a symbol, its columns are not of its kind's shape, a field is
            not of its type, a time is not of 64 bits, its expiry is no date, its price not finite and
            positive, its volume not finite, or the key is longer than 512 bytes, not Unicode, or with
            a NUL.
        TypeError, OverflowError: not a message for the bus, or a field holds what cannot be encoded.
    """
    prefix = _PREFIX.get(type(message))
    if prefix is None:
        raise TypeError(f"a {type(message).__name__} is not published")
    if not is_product_symbol(message.product):
        raise ValueError(f"{message.product[:80]!r} is not a product symbol")
    if key is not None:
        _check_key(key)
    try:
        frame = encode(message)
        read = decode(frame)
    except MessageDecodeError as error:
        raise ValueError(str(error)) from error
    for name in _TIMES:
        if not -_LATEST_NS <= getattr(read, name, 0) < _LATEST_NS:
            raise ValueError("a time is not within the years 1678 to 2262")
    if isinstance(read, UnderlyingTick):
        _check_tick(read)
    if isinstance(read, ChainHead) and date.fromisoformat(read.expiry).isoformat() != read.expiry:
        raise ValueError(f"expiry {read.expiry!r} is not YYYY-MM-DD")
    return Entry(f"{prefix}.{message.product}", read, key, frame)


def _check_tick(tick: UnderlyingTick) -> None:
    if not 0 < tick.price < math.inf:
        raise ValueError(f"price {tick.price} is not finite and positive")
    if tick.volume is not None and not math.isfinite(tick.volume):
        raise ValueError(f"volume {tick.volume} is not finite")


def _check_key(key: str) -> None:
    if not isinstance(key, str):
        raise TypeError(f"a key is text, not a {type(key).__name__}")
    if len(key.encode()) > _LONGEST_KEY:
        raise ValueError(f"key of {len(key)} characters is too long")
    if "\0" in key:
        raise ValueError("a key has no NUL")
