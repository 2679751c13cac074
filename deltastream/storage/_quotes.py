"""Single quotes, read out of chains."""

from __future__ import annotations

import datetime
import math
from typing import Any, Final

import numpy as np

from deltastream.market import contract_symbol
from deltastream.messages import BUILDUP, IV_STATUS, EnrichedChain, OptionQuote, OptionSide

__all__ = ["quote_of"]

_FIELDS: Final = (
    ("bid", "bid"),
    ("bid_size", "bid_size"),
    ("ask", "ask"),
    ("ask_size", "ask_size"),
    ("last", "last"),
    ("volume", "volume"),
    ("open_interest", "oi"),
    ("prev_close", "prev_close"),
    ("prev_open_interest", "prev_oi"),
    ("vendor_iv", "vendor_iv"),
    ("bid_iv", "bid_iv"),
    ("iv", "iv"),
    ("ask_iv", "ask_iv"),
    ("delta", "delta"),
    ("gamma", "gamma"),
    ("theta", "theta"),
    ("vega", "vega"),
    ("rho", "rho"),
    ("oi_change", "oi_change"),
)
"""Field of the quote, column of the chain."""

_OTHER_SIDE: Final = 16  # added to a status, see `messages.IV_STATUS`
_IV_STATUS: Final[dict[float, str]] = {
    code + mark: name for mark in (0, _OTHER_SIDE) for code, name in enumerate(IV_STATUS)
}
_BUILDUP: Final[dict[float, str]] = dict(enumerate(BUILDUP))


def quote_of(chain: EnrichedChain, strike: float, side: OptionSide) -> OptionQuote | None:
    """The quote of one contract in a chain; None where the chain does not list the strike."""
    at = int(np.searchsorted(chain.strikes, strike))
    if at == len(chain.strikes) or chain.strikes[at] != strike:
        return None
    prefix = "call_" if side == "C" else "put_"

    def value(column: str) -> float | None:
        number = float(chain[prefix + column][at])
        return number if math.isfinite(number) else None

    numbers: dict[str, Any] = {field: value(column) for field, column in _FIELDS}
    last_trade, status, buildup = value("last_trade_us"), value("iv_status"), value("buildup")
    expiry = datetime.date.fromisoformat(chain.expiry)
    return OptionQuote(
        symbol=contract_symbol(chain.root, expiry, strike, side),
        product=chain.product,
        root=chain.root,
        expiry=chain.expiry,
        strike=strike,
        option_type=side,
        ts_event=chain.ts_event,
        ts_recv=chain.ts_recv,
        oi_unit=chain.oi_unit,
        volume_unit=chain.volume_unit,
        last_trade_us=None if last_trade is None else int(last_trade),
        iv_status=None if status is None else _IV_STATUS.get(status),
        buildup=None if buildup is None else _BUILDUP.get(buildup),
        **numbers,
    )
