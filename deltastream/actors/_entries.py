"""Entries for the bus, checked one by one: a bad one must not take its neighbours with it."""

from __future__ import annotations

from typing import Final

from deltastream.bus import Entry
from deltastream.market import is_product_symbol
from deltastream.messages import (
    EnrichedChain,
    MarketStatus,
    OptionChain,
    UnderlyingTick,
    VolatilitySurface,
    encode,
)

__all__ = ["entry_of"]

_LONGEST_KEY: Final = 512
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

    Raises:
        ValueError: its product is not a symbol, its columns are not of its kind's shape, or the
            key is longer than 512 bytes or not Unicode.
        TypeError, OverflowError: a field holds what cannot be encoded.
    """
    if not is_product_symbol(message.product):
        raise ValueError(f"{message.product[:80]!r} is not a product symbol")
    if key is not None and len(key.encode()) > _LONGEST_KEY:
        raise ValueError(f"key of {len(key)} characters is too long")
    encode(message)
    return Entry(f"{_PREFIX[type(message)]}.{message.product}", message, key)
