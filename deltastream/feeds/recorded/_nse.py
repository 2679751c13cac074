"""The NSE website's option-chain JSON: the legacy shape, and version 3's other spellings.

Open interest and volume are contracts, possibly fractional after a change of lot; bid and ask
quantities are units of the underlying and stay so. The timestamp is Indian time and stands still
after the close while values are still revised, so it is no revision number.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from deltastream.errors import FileRefused
from deltastream.feeds.recorded._assemble import Assembly, FileFacts, Side
from deltastream.feeds.recorded._contracts import look_up
from deltastream.feeds.recorded._model import Recorded
from deltastream.feeds.recorded._values import (
    ABSENT,
    RowRefused,
    fraction,
    number,
    previous,
    shown,
    trading_date,
)

__all__ = ["is_nse", "nse_time", "read_nse"]

_INDIA: Final = ZoneInfo("Asia/Kolkata")
_CLOCK: Final = re.compile(r"(\d{1,2}-[A-Za-z]{3}-\d{4}) (\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_ROOT: Final = re.compile(r"[A-Z0-9][A-Z0-9&.-]{0,19}", re.ASCII)


def is_nse(document: Any) -> bool:
    """Whether a JSON document has the shape of the site's option chain."""
    return isinstance(document, dict) and isinstance(document.get("records"), dict)


def read_nse(source: str, document: Any, *, digest: str, ts_recv: int) -> Recorded:
    """The chains of one reply.

    Raises:
        FileRefused: no rows, or none that can be used.
    """
    records = document["records"]
    rows = records.get("data")
    if not isinstance(rows, list) or not rows:
        raise FileRefused(source, "no_rows", "is an NSE option chain without rows")
    assembly = Assembly(source)
    underlying = _underlying(rows)
    for index, row in enumerate(rows):
        _add_row(assembly, index, row, underlying)
    ts_event = nse_time(records.get("timestamp"))
    if ts_event is None:
        assembly.remarks.append(f"its timestamp {shown(records.get('timestamp'))} cannot be read")
    facts = FileFacts(
        source=source,
        format="nse_json",
        tz=_INDIA.key,
        digest=digest,
        ts_recv=ts_recv,
        ts_event=ts_event,
        spot=_spot(records, rows),
        oi_cadence="3min",
        contract=partial(look_up, exchange="NSE"),
    )
    return assembly.finish(facts)


def _add_row(assembly: Assembly, index: int, row: object, underlying: str | None) -> None:
    root: str | None = None
    expiry: date | None = None
    try:
        if not isinstance(row, dict):
            raise RowRefused("not_an_object", f"{shown(row)} is not an object")
        legs = {side: _leg(row, side) for side in ("CE", "PE")}
        expiry = trading_date(_first(row, "expiryDate", "expiryDates") or _of_legs(legs, "expiryDate"))
        root = _root(legs, underlying)
        strike = number(_first(row, "strikePrice"), "strikePrice")
        for leg in legs.values():
            _agree(leg, strike, expiry)
        sides = {side: _side(leg) if leg else None for side, leg in legs.items()}
        if not any(sides.values()):
            raise RowRefused("no_side", "neither CE nor PE is there")
    except RowRefused as refused:
        assembly.refuse(index, refused, root if root is not None else underlying, expiry)
    else:
        assembly.add(root, expiry, index, strike, sides["CE"], sides["PE"])


def _leg(row: dict[str, Any], side: str) -> dict[str, Any]:
    """One side, empty where it is missing or names, by nulls and zeros, no contract."""
    leg = row.get(side)
    if leg is None:
        return {}
    if not isinstance(leg, dict):
        raise RowRefused("not_an_object", f"{side} is {shown(leg)}")
    is_blank = "underlying" in leg and not leg["underlying"] and not leg.get("strikePrice")
    return {} if is_blank else leg


def _root(legs: dict[str, dict[str, Any]], underlying: str | None) -> str:
    for leg in legs.values():
        named = leg.get("underlying", underlying)
        if leg and named != underlying:
            raise RowRefused(
                "other_underlying", f"the underlying is {shown(named)}, that of the file {underlying}"
            )
    if underlying is None:
        raise RowRefused("unknown_root", "no row names an underlying")
    return underlying


def _agree(leg: dict[str, Any], strike: float, expiry: date) -> None:
    """A side that tells strike or expiry itself must tell the row's."""
    own_strike = number(leg.get("strikePrice"), "strikePrice")
    own_expiry = leg.get("expiryDate")
    if own_strike == own_strike and own_strike != strike:
        raise RowRefused("strike_mismatch", f"a side has strike {own_strike:g} in a row of {strike:g}")
    if isinstance(own_expiry, str) and own_expiry and trading_date(own_expiry) != expiry:
        raise RowRefused("expiry_mismatch", f"a side expires {own_expiry} in a row of {expiry}")


def _side(leg: dict[str, Any]) -> Side:
    def told(*names: str) -> float:
        return number(_first(leg, *names), names[0])

    last, oi = told("lastPrice"), told("openInterest")
    oi_before = oi - told("changeinOpenInterest")
    return (
        told("bidprice", "bidPrice", "buyPrice1"),
        told("bidQty", "buyQuantity1"),
        told("askPrice", "askprice", "sellPrice1"),
        told("askQty", "sellQuantity1"),
        last,
        told("totalTradedVolume"),
        oi,
        previous(last, told("change")),
        oi_before if oi_before >= 0.0 else ABSENT,
        ABSENT,
        fraction(told("impliedVolatility")),
    )


def _first(row: dict[str, Any], *names: str) -> Any:
    """The value under the first of these names that is there."""
    return next((row[name] for name in names if name in row), None)


def _of_legs(legs: dict[str, dict[str, Any]], name: str) -> Any:
    return next((leg[name] for leg in legs.values() if name in leg), None)


def _underlying(rows: list[Any]) -> str | None:
    """The first sound name of an underlying in the file; one reply has one underlying."""
    for row in rows:
        for side in ("CE", "PE"):
            leg = row.get(side) if isinstance(row, dict) else None
            named = leg.get("underlying") if isinstance(leg, dict) else None
            if isinstance(named, str) and _ROOT.fullmatch(named):
                return named
    return None


def _spot(records: dict[str, Any], rows: list[Any]) -> float | None:
    """The reply's price of the underlying, else that of its first side that has one."""
    legs = (row.get(side) for row in rows if isinstance(row, dict) for side in ("CE", "PE"))
    for told in (records, *(leg for leg in legs if isinstance(leg, dict))):
        try:
            price = number(told.get("underlyingValue"), "underlyingValue")
        except RowRefused:
            continue
        if 0.0 < price < float("inf"):
            return price
    return None


def nse_time(text: object) -> int | None:
    """Nanoseconds UTC of ``05-Dec-2025 13:01:51``, Indian time; None where it is not such a text."""
    found = _CLOCK.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        return None
    try:
        day = trading_date(found[1])
        at = datetime(
            day.year, day.month, day.day, int(found[2]), int(found[3]), int(found[4] or 0), tzinfo=_INDIA
        )
    except (RowRefused, ValueError):
        return None
    return int(at.timestamp()) * 1_000_000_000
