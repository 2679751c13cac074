"""Stored messages as rows of a table, for export: typed columns, None where there is nothing."""

from __future__ import annotations

import base64
import datetime
import math
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

from deltastream.market import contract_symbol
from deltastream.messages import (
    BUILDUP,
    IV_STATUS,
    SIDE_ANALYTICS,
    SIDE_COLUMNS,
    EnrichedChain,
    OptionSide,
    VolatilitySurface,
    decode,
)
from deltastream.storage.protocol import METRICS

__all__ = ["COLUMNS", "TIME", "Kind", "rows_of"]

Kind = Literal["text", "time", "number", "count"]
TIME: Final[Kind] = "time"
_OTHER_SIDE: Final = 16  # added to iv_status, see `messages.IV_STATUS`
_NAMES: Final = {"iv_status": IV_STATUS, "buildup": BUILDUP}
_QUOTE: Final = SIDE_COLUMNS + SIDE_ANALYTICS
_SIDES: Final[tuple[tuple[OptionSide, str], ...]] = (("C", "call_"), ("P", "put_"))


def _quote_kind(column: str) -> Kind:
    if column == "last_trade_us":
        return "count"
    return "text" if column in _NAMES else "number"


COLUMNS: Final[dict[str, dict[str, Kind]]] = {
    "ticks": {
        "ts_event": "time",
        "ts_recv": "time",
        "product": "text",
        "price": "number",
        "volume": "number",
    },
    "bars": {
        "start": "time",
        "product": "text",
        "interval_s": "count",
        **dict.fromkeys(("open", "high", "low", "close"), "number"),
        "ticks": "count",
        "volume": "number",
    },
    "metrics": {
        "ts_event": "time",
        **dict.fromkeys(("product", "root", "expiry"), "text"),
        **dict.fromkeys(METRICS, "number"),
    },
    "chains": {
        **dict.fromkeys(("ts_event", "ts_recv"), "time"),
        **dict.fromkeys(("product", "root", "expiry", "symbol"), "text"),
        "strike": "number",
        "option_type": "text",
        **{column: _quote_kind(column) for column in _QUOTE},
        "greeks_from": "text",
        **dict.fromkeys(("spot", "forward", "forward_error"), "number"),
        "forward_source": "text",
        **dict.fromkeys(("t", "rate"), "number"),
        **dict.fromkeys(("currency", "oi_unit", "volume_unit"), "text"),
        "multiplier": "number",
        **dict.fromkeys(("flags", "reasons"), "text"),
    },
    "surfaces": {
        **dict.fromkeys(("ts_event", "ts_recv"), "time"),
        **dict.fromkeys(("product", "root", "expiry"), "text"),
        **dict.fromkeys(("t", "forward", "atm_iv", "avg_iv", "strike", "iv"), "number"),
    },
    "status": {
        "ts_event": "time",
        "ts_recv": "time",
        **dict.fromkeys(("product", "status", "reason"), "text"),
        "since": "time",
    },
}
"""Columns of every series with what they hold; times are nanoseconds UTC."""


def rows_of(series: str, item: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The rows in an item of the operation "series", in the order of `COLUMNS`."""
    names = tuple(COLUMNS[series])
    for row in item.get("metrics", ()):
        plain = {**row, **row["values"]}
        yield tuple(_there(plain.get(name)) for name in names)
    for frame in item.get("frames", ()):
        message = decode(base64.b64decode(frame))
        if isinstance(message, EnrichedChain):
            yield from _quotes(message)
        elif isinstance(message, VolatilitySurface):
            yield from _points(message)
        else:
            yield tuple(_there(getattr(message, name)) for name in names)


def _quotes(chain: EnrichedChain) -> Iterator[tuple[Any, ...]]:
    head = (chain.ts_event, chain.ts_recv, chain.product, chain.root, chain.expiry)
    tail = (
        *(chain.spot, chain.forward, chain.forward_error, chain.forward_source, chain.t, chain.rate),
        *(chain.currency, chain.oi_unit, chain.volume_unit, _there(chain.multiplier)),
        _joined(chain.flags),
        _joined(f"{name}={why}" for name, why in chain.reasons.items()),
    )
    expiry = datetime.date.fromisoformat(chain.expiry)
    strikes = chain.strikes.tolist()
    sides = [
        (
            side,
            zip(
                *(_column(chain, prefix, column) for column in _QUOTE),
                _greeks_from(chain, prefix),
                strict=True,
            ),
        )
        for side, prefix in _SIDES
    ]
    for strike in strikes:
        for side, values in sides:
            symbol = contract_symbol(chain.root, expiry, strike, side)
            yield (*head, symbol, strike, side, *next(values), *tail)


def _points(surface: VolatilitySurface) -> Iterator[tuple[Any, ...]]:
    for smile in surface.slices:
        head = (surface.ts_event, surface.ts_recv, surface.product, smile.root, smile.expiry)
        expiry = (smile.t, smile.forward, smile.atm_iv, smile.avg_iv)
        for strike, iv in zip(smile.strikes, smile.ivs, strict=True):
            yield (*head, *expiry, strike, iv)


def _column(chain: EnrichedChain, prefix: str, column: str) -> list[Any]:
    values = [_there(value) for value in chain[prefix + column].tolist()]
    if names := _NAMES.get(column):
        return [None if value is None else names[int(value) % _OTHER_SIDE] for value in values]
    if column == "last_trade_us":
        return [None if value is None else int(value) for value in values]
    return values


def _greeks_from(chain: EnrichedChain, prefix: str) -> list[str | None]:
    """Whose volatility the Greeks use; None where there are none."""
    statuses, deltas = chain[prefix + "iv_status"].tolist(), chain[prefix + "delta"].tolist()
    return [
        None if math.isnan(delta) else "other_side" if status >= _OTHER_SIDE else "own"
        for status, delta in zip(statuses, deltas, strict=True)
    ]


def _joined(codes: Iterable[str]) -> str | None:
    return ";".join(codes) or None


def _there(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
