"""Terms of a contract family at one expiry: lot, tick, style, and when it ends."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deltastream.market import _tables
from deltastream.market._calendars import calendar, to_ns

__all__ = ["Terms", "expiry_instant", "strike_step", "terms"]


@dataclass(frozen=True, slots=True)
class Terms:
    """By which terms the contracts of one root and expiry trade.

    Attributes:
        exchange: "NSE", "BSE", "CBOE" (index options), "OPRA" (US equity and ETF options), "DERIBIT".
        calendar: name for `calendar`; tz its time zone.
        currency: in which premiums are quoted ("BTC" for Deribit's inverse options).
        multiplier: units of the underlying per contract: the lot in India, 100 in the US; NaN where
            it is not known (an assumed Indian stock).
        tick_size: the smallest price step.
        tick_steps: (from option price, step) ascending; the first step is `tick_size`.
        oi_cadence: how often the exchange refreshes its open interest.
        assumed: the root, or its lot at that expiry, is not in the tables.
    """

    product: str
    root: str
    exchange: str
    calendar: str
    tz: str
    currency: str
    exercise: Literal["european", "american"]
    settlement: Literal["cash", "physical"]
    multiplier: float
    tick_size: float
    tick_steps: tuple[tuple[float, float], ...]
    oi_cadence: Literal["live", "3min", "daily"]
    assumed: bool


def terms(root: str, expiry: dt.date, *, on: dt.date | None = None, exchange: str | None = None) -> Terms:
    """Terms of `root`'s contracts that expire on `expiry`, as they stood on the date `on`.

    A lot belongs to the contract, and may change during its life: `on` defaults to the expiry.
    A root that the tables do not know is taken for a stock of `exchange` (default "OPRA", generic
    US equity terms) and the result says `assumed`.

    Raises:
        KeyError: no such exchange.
    """
    facts, known = _facts(root, exchange)
    multiplier, dated = float(facts.get("multiplier", math.nan)), known
    if lots := facts.get("lots"):
        lot = _dated(lots, expiry, on or expiry)
        dated = lot is not None
        multiplier = float((lot or lots[-1])["lot"])
    ticks = tuple((float(price), float(step)) for price, step in facts["tick_steps"])
    return Terms(
        product=_product_of(root),
        root=root,
        exchange=facts["venue"],
        calendar=facts["calendar"],
        tz=calendar(facts["calendar"]).tz,
        currency=facts["currency"],
        exercise=facts["exercise"],
        settlement=facts["settlement"] if known else "physical",
        multiplier=multiplier,
        tick_size=ticks[0][1],
        tick_steps=ticks,
        oi_cadence=facts["oi_cadence"],
        assumed=not dated,
    )


def expiry_instant(root: str, expiry: dt.date, *, exchange: str | None = None) -> int:
    """When the contracts of `root` that expire on `expiry` end: nanoseconds UTC.

    The close of the exchange's session (its early or dated hours respected), its opening for roots
    settled on opening prices, 08:00 UTC on Deribit. Where the exchange has no session that day
    (an old Saturday expiry, a holiday not foreseen), the regular hours of that date are taken.

    Raises:
        KeyError: no such exchange.
    """
    facts, _ = _facts(root, exchange)
    if facts["cutoff"] == "08:00Z":
        return to_ns(dt.datetime.combine(expiry, dt.time(8), dt.UTC))
    sessions = calendar(facts["calendar"])
    opens, closes = sessions.regular_hours(expiry)
    session = sessions.session(expiry)
    if session and sessions.is_trading_day(expiry):
        opens, closes = session.open_ns, session.close_ns
    return opens if facts["cutoff"] == "open" else closes


def strike_step(root: str, expiry: dt.date, *, on: dt.date | None = None) -> float:
    """Distance of neighbouring strikes near the money, as listed on the date `on`.

    For building a ladder; what an exchange lists has gaps, so never complete a recorded one by it.

    Raises:
        KeyError: the tables do not know the root.
    """
    facts, known = _facts(root, None)
    if not known:
        raise KeyError(f"the strike step of {root} is not in the tables")
    seen = on or expiry
    for row in facts["steps"]:
        near = "within_days" not in row or (expiry - seen).days <= row["within_days"]
        if near and seen <= row.get("on_until", dt.date.max):
            return float(row["step"])
    raise KeyError(f"the strike step of {root} at {expiry} is not in the tables")


def _facts(root: str, exchange: str | None) -> tuple[dict[str, Any], bool]:
    table = _tables.contracts()
    own: Mapping[str, Any] | None = table["roots"].get(root)
    if own is not None and exchange in (None, own["venue"]):
        return {**table["venues"][own["venue"]], **own}, True
    venue = exchange or "OPRA"
    if venue not in table["venues"]:
        raise KeyError(f"no exchange named {venue!r}")
    return {**table["venues"][venue], "venue": venue}, False


def _dated(lots: Iterable[Mapping[str, Any]], expiry: dt.date, on: dt.date) -> Mapping[str, Any] | None:
    for row in lots:
        if row["expiry_from"] <= expiry and on <= row.get("on_until", dt.date.max):
            return row
    return None


def _product_of(root: str) -> str:
    for symbol, facts in _tables.contracts()["products"].items():
        if root in facts["roots"]:
            return str(symbol)
    return root
