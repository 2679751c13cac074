"""Cboe's delayed-quotes JSON: the whole reply, or its inner ``data`` object with fields missing.

Two clocks: the reply's ``timestamp`` is UTC, every ``last_trade_time`` is New York time; neither
says so. Each row is one option; open interest is that of the start of the day.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any, Final

from deltastream.errors import FileRefused
from deltastream.feeds.recorded._assemble import Assembly, FileFacts, Side
from deltastream.feeds.recorded._cboe import NEW_YORK, contract, parse_option
from deltastream.feeds.recorded._model import Recorded
from deltastream.feeds.recorded._values import ABSENT, RowRefused, number, previous, shown

__all__ = ["cboe_time", "is_cboe", "read_cboe_json"]

_YEARS: Final = range(1990, 2100)


def is_cboe(document: Any) -> bool:
    """Whether a JSON document has the shape of delayed quotes."""
    return _data(document) is not None


def _data(document: Any) -> dict[str, Any] | None:
    for inner in (document, document.get("data") if isinstance(document, dict) else None):
        if isinstance(inner, dict) and isinstance(inner.get("options"), list):
            return inner
    return None


def read_cboe_json(source: str, document: Any, *, digest: str, ts_recv: int) -> Recorded:
    """The chains of one reply.

    Raises:
        FileRefused: no options, or none that can be used.
    """
    data = _data(document)
    if data is None or not data["options"]:
        raise FileRefused(source, "no_rows", "is a Cboe reply without options")
    assembly = Assembly(source)
    for index, option in enumerate(data["options"]):
        _add_option(assembly, index, option)
    ts_event = cboe_time(document.get("timestamp"))
    if ts_event is None and (ts_event := cboe_time(data.get("last_trade_time"), NEW_YORK)) is not None:
        assembly.remarks.append(
            "it has no timestamp of its own; the underlying's last trade stands in for it"
        )
    if ts_event is None:
        assembly.remarks.append("it does not tell when it was taken")
    facts = FileFacts(
        source=source,
        format="cboe_json",
        tz=NEW_YORK.key,
        digest=digest,
        ts_recv=ts_recv,
        ts_event=ts_event,
        spot=_spot(data),
        oi_cadence="daily",
        contract=partial(contract, product=_symbol(data.get("symbol", document.get("symbol")))),
    )
    return assembly.finish(facts)


def _add_option(assembly: Assembly, index: int, option: object) -> None:
    root = expiry = None
    try:
        if not isinstance(option, dict):
            raise RowRefused("not_an_object", f"{shown(option)} is not an object")
        root, expiry, side, strike = parse_option(option.get("option"))
        quote = _side(option)
    except RowRefused as refused:
        assembly.refuse(index, refused, root, expiry)
    else:
        call, put = (quote, None) if side == "C" else (None, quote)
        assembly.add(root, expiry, index, strike, call, put)


def _side(option: dict[str, Any]) -> Side:
    def told(name: str) -> float:
        return number(option.get(name), name)

    last = told("last_trade_price")
    before = told("prev_day_close") if "prev_day_close" in option else previous(last, told("change"))
    traded = cboe_time(option.get("last_trade_time"), NEW_YORK)
    return (
        told("bid"),
        told("bid_size"),
        told("ask"),
        told("ask_size"),
        last,
        told("volume"),
        told("open_interest"),
        round(before, 6) if before == before and abs(before) < 1e12 else before,
        ABSENT,
        ABSENT if traded is None else traded / 1000,
        told("iv"),
    )


def _spot(data: dict[str, Any]) -> float | None:
    for name in ("current_price", "close"):
        try:
            price = number(data.get(name), name)
        except RowRefused:
            continue
        if 0.0 < price < float("inf"):
            return price
    return None


def _symbol(text: object) -> str | None:
    symbol = text.lstrip("_^") if isinstance(text, str) else ""
    return symbol if symbol.isascii() and symbol.isalnum() and symbol == symbol.upper() else None


def cboe_time(text: object, zone: tzinfo = UTC) -> int | None:
    """Nanoseconds UTC of an ISO time in `zone`, unless it names a zone itself."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if at.year not in _YEARS:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=zone)
    return int(at.timestamp()) * 1_000_000_000
