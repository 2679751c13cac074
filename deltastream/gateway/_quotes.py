"""The options of a chain as rows and as columns, of which both layouts and all media types are made."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from deltastream.gateway.meta import iso
from deltastream.gateway.tables import Column
from deltastream.market import contract_symbol
from deltastream.messages import BUILDUP, IV_STATUS, EnrichedChain, OptionSide

__all__ = ["Quote", "QuoteColumns", "Window", "columns_of", "picked", "rows_of", "table_columns"]

_OTHER_SIDE: Final = 16  # added to iv_status, see `messages.IV_STATUS`
_STATUS: Final = dict(enumerate(IV_STATUS)) | {
    code + _OTHER_SIDE: name for code, name in enumerate(IV_STATUS)
}
_BUILDUP: Final = dict(enumerate(BUILDUP))

_NUMBERS: Final = {
    "bid": "bid",
    "bid_size": "bid_size",
    "ask": "ask",
    "ask_size": "ask_size",
    "last": "last",
    "volume": "volume",
    "open_interest": "oi",
    "oi_change": "oi_change",
    "iv": "iv",
    "bid_iv": "bid_iv",
    "ask_iv": "ask_iv",
    "vendor_iv": "vendor_iv",
    "delta": "delta",
    "gamma": "gamma",
    "vega": "vega",
    "theta": "theta",
    "rho": "rho",
    "prev_close": "prev_close",
    "prev_open_interest": "prev_oi",
}
"""Field of a quote, column of the chain."""

Label = Annotated[str, msgspec.Meta(pattern="^(ATM|(ITM|OTM)[1-9][0-9]*)$")]
GreeksFrom = Literal["own", "other_side"]
Number = float | None


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """What rows and columns hold; what is not there is null.

    Attributes:
        symbol: ``ROOT-YYYYMMDD-STRIKE-C|P``.
        product: the underlying.
        root: contract family.
        strike: price at which it can be exercised.
        expiry: last trading date, in exchange time.
        option_type: C or P.
        label: ATM, or by how many strikes it is in or out of the money from the ATM strike.
        bid, ask: best prices.
        bid_size, ask_size: what is wanted or offered there, in the chain's `volume_unit`.
        last: last traded price.
        volume: traded in the session, in the chain's `volume_unit`.
        open_interest: in the chain's `oi_unit`.
        oi_change: open interest less that of the previous session.
        buildup: class of the changes of price and open interest since the previous session.
        iv: volatility of the mid, a fraction per year.
        bid_iv: volatility of the bid.
        ask_iv: volatility of the ask.
        vendor_iv: the source's own volatility.
        iv_status: "converged", or why there is no `iv`.
        delta: per point of spot.
        gamma: of delta, per point.
        vega: per volatility point (0.01).
        theta: per calendar day that passes.
        rho: per 1 % of rate.
        greeks_from: whether the Greeks use the option's own volatility or that of the other side.
        prev_close: the previous session's close, the exchange's own where it gives one.
        prev_open_interest: at the end of the previous session.
        last_trade: when it last traded.
        timestamp: of the chain it was read out of.
    """


class Quote(_Said, frozen=True, kw_only=True):
    """One option at one instant. What is not there is null."""

    symbol: str
    product: str
    root: str
    strike: float
    expiry: str
    option_type: OptionSide
    label: Label | None
    bid: Number
    bid_size: Number
    ask: Number
    ask_size: Number
    last: Number
    volume: Number
    open_interest: Number
    oi_change: Number
    buildup: str | None
    iv: Number
    bid_iv: Number
    ask_iv: Number
    vendor_iv: Number
    iv_status: str | None
    delta: Number
    gamma: Number
    vega: Number
    theta: Number
    rho: Number
    greeks_from: GreeksFrom | None
    prev_close: Number
    prev_open_interest: Number
    last_trade: str | None
    timestamp: str


class QuoteColumns(_Said, frozen=True, kw_only=True):
    """One side of a chain, a list per field, all by ascending strike."""

    symbol: Sequence[str]
    strike: Sequence[float]
    label: Sequence[Label | None]
    bid: Sequence[Number]
    bid_size: Sequence[Number]
    ask: Sequence[Number]
    ask_size: Sequence[Number]
    last: Sequence[Number]
    volume: Sequence[Number]
    open_interest: Sequence[Number]
    oi_change: Sequence[Number]
    buildup: Sequence[str | None]
    iv: Sequence[Number]
    bid_iv: Sequence[Number]
    ask_iv: Sequence[Number]
    vendor_iv: Sequence[Number]
    iv_status: Sequence[str | None]
    delta: Sequence[Number]
    gamma: Sequence[Number]
    vega: Sequence[Number]
    theta: Sequence[Number]
    rho: Sequence[Number]
    greeks_from: Sequence[GreeksFrom | None]
    prev_close: Sequence[Number]
    prev_open_interest: Sequence[Number]
    last_trade: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Window:
    """Which strikes of a chain are wanted; the whole ladder unless told otherwise.

    Attributes:
        strikes: so many on each side of the ATM strike, or of spot where there is none.
        delta: strikes whose out-of-the-money option has a magnitude of delta between these two, included.
    """

    strikes: int | None = None
    delta: tuple[float, float] | None = None


Picked = slice | np.ndarray[Any, np.dtype[np.intp]]
"""Index of strikes."""


def picked(chain: EnrichedChain, window: Window) -> Picked:
    """The wanted strikes; none where the window cannot be placed."""
    if window.delta is not None:
        low, high = window.delta
        deltas = np.fmin(np.abs(chain["call_delta"]), np.abs(chain["put_delta"]))
        return np.flatnonzero((deltas >= low) & (deltas <= high))
    if window.strikes is None:
        return slice(None)
    at = _atm_index(chain)
    if at is None:
        return slice(0, 0)
    return slice(max(at - window.strikes, 0), at + window.strikes + 1)


def rows_of(chain: EnrichedChain, side: OptionSide, at: Picked, zone: ZoneInfo) -> list[Quote]:
    """One side's quotes by ascending strike."""
    columns = _columns(chain, side, at, zone)
    same: dict[str, Any] = {
        "product": chain.product,
        "root": chain.root,
        "expiry": chain.expiry,
        "option_type": side,
        "timestamp": iso(chain.ts_event, zone),
    }
    names = tuple(columns)
    return [
        Quote(**same, **dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)
    ]


def columns_of(chain: EnrichedChain, side: OptionSide, at: Picked, zone: ZoneInfo) -> QuoteColumns:
    """One side's quotes as columns."""
    return QuoteColumns(**_columns(chain, side, at, zone))


def table_columns(chains: Sequence[EnrichedChain], window: Window) -> dict[str, Column]:
    """Calls, then puts, of each chain as columns of one table, with what places them in their chain."""
    parts = [
        (chain, side, _columns(chain, side, picked(chain, window), None))
        for chain in chains
        for side in ("C", "P")
    ]

    def same(kind: Any, value: Any) -> Column:
        return Column(kind, [v for chain, side, c in parts for v in [value(chain, side)] * len(c["strike"])])

    def own(kind: Any, name: str) -> Column:
        return Column(kind, [v for _, _, columns in parts for v in columns[name]])

    return {
        "timestamp": same("time", lambda chain, side: chain.ts_event),
        "product": same("text", lambda chain, side: chain.product),
        "root": same("text", lambda chain, side: chain.root),
        "expiry": same("text", lambda chain, side: chain.expiry),
        "symbol": own("text", "symbol"),
        "strike": own("number", "strike"),
        "option_type": same("text", lambda chain, side: side),
        **{name: own(_kind(name), name) for name in QuoteColumns.__struct_fields__[2:]},
        "spot_price": same("number", lambda chain, side: chain.spot),
        "forward": same("number", lambda chain, side: chain.forward),
        "atm_strike": same("number", lambda chain, side: chain.atm_strike),
    }


def _kind(name: str) -> str:
    if name == "last_trade":
        return "time"
    return "number" if name in _NUMBERS else "text"


def _columns(
    chain: EnrichedChain, side: OptionSide, at: Picked, zone: ZoneInfo | None
) -> dict[str, Sequence[Any]]:
    """Every field of one side by name; times as text in a zone, or as nanoseconds without one."""
    prefix = "call_" if side == "C" else "put_"
    strikes = chain.strikes[at].tolist()

    def column(name: str) -> list[Any]:
        return [v if v - v == 0.0 else None for v in chain[prefix + name][at].tolist()]  # finite, or none

    numbers = {field: column(name) for field, name in _NUMBERS.items()}
    statuses, traded = column("iv_status"), column("last_trade_us")
    others = {
        "symbol": _symbols(chain.root, chain.expiry, tuple(strikes), side),
        "strike": strikes,
        "label": _labels(chain, side)[at] if isinstance(at, slice) else _chosen(_labels(chain, side), at),
        "buildup": [None if code is None else _BUILDUP.get(code) for code in column("buildup")],
        "iv_status": [None if code is None else _STATUS.get(code) for code in statuses],
        "greeks_from": [
            None if delta is None else "other_side" if (status or 0) >= _OTHER_SIDE else "own"
            for delta, status in zip(numbers["delta"], statuses, strict=True)
        ],
        "last_trade": [
            None if us is None else iso(int(us) * 1000, zone) if zone is not None else int(us) * 1000
            for us in traded
        ],
    }
    found = numbers | others
    return {name: found[name] for name in QuoteColumns.__struct_fields__}


@functools.lru_cache(maxsize=256)
def _symbols(root: str, expiry: str, strikes: tuple[float, ...], side: OptionSide) -> tuple[str, ...]:
    """Contract symbols; a series lists the same strikes from one chain to the next."""
    date = dt.date.fromisoformat(expiry)
    return tuple(contract_symbol(root, date, strike, side) for strike in strikes)


def _atm_index(chain: EnrichedChain) -> int | None:
    """Where the ATM strike stands; without one, the strike nearest spot."""
    strikes = chain.strikes
    anchor = chain.spot if chain.atm_strike is None else chain.atm_strike
    return None if anchor is None or not strikes.size else int(np.abs(strikes - anchor).argmin())


def _labels(chain: EnrichedChain, side: OptionSide) -> list[str | None]:
    """ATM, ITM1, OTM1, … of every strike of a side; nothing without an ATM strike."""
    count = len(chain.strikes)
    at = None if chain.atm_strike is None else _atm_index(chain)
    if at is None:
        return [None] * count
    below, above = ("ITM", "OTM") if side == "C" else ("OTM", "ITM")
    return [
        *(f"{below}{at - i}" for i in range(at)),
        "ATM",
        *(f"{above}{i - at}" for i in range(at + 1, count)),
    ]


def _chosen(labels: list[str | None], at: np.ndarray[Any, np.dtype[np.intp]]) -> list[str | None]:
    return [labels[i] for i in at.tolist()]
