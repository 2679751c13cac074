"""What a field means wherever it stands: said once, for every struct whose docstring does not say it.

Metrics are explained by their definitions; these are the names beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deltastream.gateway.definitions import DEFINITIONS

__all__ = ["GLOSSARY", "meaning"]

GLOSSARY: Final[Mapping[str, str]] = {
    "ask_size": "What is offered at the best ask, in the chain's `volume_unit`.",
    "bars": "Oldest first.",
    "bid_size": "What is wanted at the best bid, in the chain's `volume_unit`.",
    "currency": "In which prices are quoted.",
    "details": "The same, with what is known of each.",
    "exercise": "Whether it can be exercised before it expires.",
    "expiries": "Last trading dates, nearest first.",
    "expiry": "Last trading date.",
    "expiry_time": "When the contracts end.",
    "forward_source": "What the forward was taken from.",
    "greeks_from": "Whether the Greeks use the option's own volatility or that of the other side.",
    "interval": "How long each bar is.",
    "iv_status": '"converged", or why there is no volatility.',
    "label": "ATM, or by how many strikes it is in or out of the money from the ATM strike.",
    "last_trade": "When it last traded.",
    "meta": "What the answer says of itself: definitions, as-of times, flags.",
    "oi_cadence": "How often the source renews open interest.",
    "oi_unit": "What open interest counts.",
    "option_type": "Call or put.",
    "prev_close": "Close of the previous session, the exchange's own where it gives one.",
    "prev_open_interest": "Open interest of the previous session, in the chain's `oi_unit`.",
    "processed_at": "When this was computed.",
    "product": "Symbol of the underlying.",
    "products": "Symbols of the underlyings.",
    "rate_source": "Where the rate comes from.",
    "reason": "Why the status is what it is.",
    "root": "Contract family, such as SPX or SPXW.",
    "settlement": "How contracts are settled.",
    "since": "From when on it has been so.",
    "strike": "Price at which the option can be exercised.",
    "symbol": "Of the contract: ROOT-YYYYMMDD-STRIKE-C|P.",
    "tick_size": "The smallest step of an option's price.",
    "ticks": "Oldest first.",
    "time_zone": "In which times are told.",
    "timestamp": "When it happened.",
    "volume_unit": "What volume counts.",
}


def meaning(field: str) -> str | None:
    """What a field of this name means, as a sentence; None where that is for its struct to say."""
    if field in GLOSSARY:
        return GLOSSARY[field]
    definition = DEFINITIONS.get(field)
    return None if definition is None else f"{definition.meaning} Unit: {definition.unit}."
