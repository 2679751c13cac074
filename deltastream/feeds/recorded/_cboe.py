"""What both of Cboe's formats share: option symbols and the contracts behind them."""

from __future__ import annotations

import math
from datetime import date
from typing import Literal

from deltastream.feeds.recorded._assemble import Contract
from deltastream.feeds.recorded._contracts import look_up
from deltastream.feeds.recorded._dates import NEW_YORK
from deltastream.feeds.recorded._values import RowRefused, shown
from deltastream.market import parse_occ

__all__ = ["NEW_YORK", "contract", "parse_option"]


def parse_option(symbol: object) -> tuple[str, date, Literal["C", "P"], float]:
    """Root, expiry, side and strike.

    Raises:
        RowRefused: not an option symbol.
    """
    if not isinstance(symbol, str):
        raise RowRefused("bad_symbol", f"{shown(symbol)} is not an option symbol")
    try:
        return parse_occ(symbol.strip())
    except ValueError as error:
        raise RowRefused(
            "bad_symbol", str(error) if len(symbol) <= 40 else f"{shown(symbol)} is too long"
        ) from None


def contract(root: str, expiry: date, ts_event: int | None, *, product: str | None = None) -> Contract:
    """Terms of a root and expiry; those of adjusted contracts (root ending in a digit) are not known.

    An adjusted contract delivers something else than 100 shares, so its multiplier is NaN and its
    prices belong to no multiple of the underlying that we could know.
    """
    found = look_up(root, expiry, ts_event, product=product)
    if not (found.terms.assumed and root[-1].isdigit()):
        return found
    plain = root.rstrip("0123456789")
    return found._replace(
        product=product or plain, multiplier=math.nan, flags=(*found.flags, "adjusted_contract")
    )
