"""Chains as the API shows them: the tutorial's names and ours, as rows or as columns, as JSON or tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from deltastream.gateway._quotes import (
    Quote,
    QuoteColumns,
    Window,
    columns_of,
    picked,
    rows_of,
    table_columns,
)
from deltastream.gateway.meta import Meta, iso
from deltastream.gateway.routing import JSON, Answer
from deltastream.gateway.tables import Table, encoded
from deltastream.messages import EnrichedChain, OptionSide
from deltastream.seams import Seams

__all__ = [
    "CHAIN_FIELDS",
    "QUOTE_FIELDS",
    "Chain",
    "Layout",
    "Quote",
    "QuoteColumns",
    "Window",
    "answered",
    "answered_json",
    "chain_of",
    "chain_table",
    "quote_of",
]

Layout = Literal["rows", "columns"]

WIDE: Final = 200
"""Rows above which rendering takes longer than the event loop may be held."""

QUOTE_FIELDS: Final = (
    *("bid", "ask", "last", "volume", "open_interest", "oi_change", "buildup"),
    *("iv", "bid_iv", "ask_iv", "vendor_iv", "delta", "gamma", "vega", "theta", "rho"),
)
CHAIN_FIELDS: Final = (
    *("spot_price", "forward", "forward_error", "rate", "t", "atm_strike", "atm_straddle_price", "atm_iv"),
    *("avg_iv", "pcr_oi", "pcr_volume", "max_pain_strike", "max_pain_interval", "max_pain_value"),
    *("total_call_oi", "total_put_oi", "total_call_volume", "total_put_volume"),
    *("call_oi_change", "put_oi_change", "call_buildup_otm", "put_buildup_otm"),
    *QUOTE_FIELDS,
)
"""Fields that have a definition."""

Number = float | None


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """All strikes of one root and expiry at one instant; a null has its reason in `reasons`.

    Totals and metrics are of the whole chain, whatever window of strikes is shown.

    Attributes:
        product: the underlying.
        root: contract family.
        expiry: last trading date, in exchange time.
        expiry_time: the instant its contracts end.
        timestamp: when the market was like this.
        processed_at: when this was computed.
        spot_price: of the underlying at `timestamp`.
        future: price of the future of this expiry, where there is one.
        forward: by put-call parity, or as `forward_source` says.
        forward_error: median absolute deviation of the forwards that single strikes imply.
        forward_source: what the forward was taken from.
        rate: continuously compounded, per year.
        rate_source: where the rate comes from.
        t: years of 365 days until `expiry_time`.
        atm_strike: listed strike nearest the forward.
        atm_straddle_price: of call and put there.
        atm_iv: volatility at the forward, a fraction per year.
        avg_iv: mean volatility of the out-of-the-money quotes.
        pcr_oi: open interest of the puts over that of the calls.
        pcr_volume: volume of the puts over that of the calls.
        max_pain_strike: the point of `max_pain_interval` nearest spot.
        max_pain_interval: every settlement in it costs option writers the same least amount.
        max_pain_value: that amount, in points times `oi_unit`.
        total_call_oi, total_put_oi: sums of the open interest.
        total_call_volume, total_put_volume: sums of the volume.
        call_oi_change, put_oi_change: sums of the changes of open interest since the previous session.
        call_buildup_otm: open interest of the calls above spot, under the tutorial's name.
        put_buildup_otm: open interest of the puts below spot, under the tutorial's name.
        calls, puts: quotes by ascending strike, or columns of them with ``layout=columns``.
        currency: of the premiums.
        multiplier: units of the underlying per unit of open interest.
        lot: smallest tradable amount, in units of the open interest.
        tick_size: smallest price step of the options.
        exercise: at any time, or at expiry alone.
        settlement: in cash, or by delivery.
        oi_unit: what open interest counts.
        volume_unit: what volume counts.
        oi_cadence: how often the source refreshes the open interest.
        oi_as_of: the instant the open interest belongs to.
        flags: remarks that hold for the whole chain, such as "stale".
        reasons: why a field is null, by field.
    """

    product: str
    root: str
    expiry: str
    expiry_time: str
    timestamp: str
    processed_at: str
    spot_price: Number
    future: Number
    forward: Number
    forward_error: Number
    forward_source: Literal["parity", "future", "spot", "none"]
    rate: float
    rate_source: str
    t: Number
    atm_strike: Number
    atm_straddle_price: Number
    atm_iv: Number
    avg_iv: Number
    pcr_oi: Number
    pcr_volume: Number
    max_pain_strike: Number
    max_pain_interval: tuple[float, float] | None
    max_pain_value: Number
    total_call_oi: Number
    total_put_oi: Number
    total_call_volume: Number
    total_put_volume: Number
    call_oi_change: Number
    put_oi_change: Number
    call_buildup_otm: Number
    put_buildup_otm: Number
    calls: list[Quote] | QuoteColumns
    puts: list[Quote] | QuoteColumns
    currency: str
    multiplier: Number
    lot: Number
    tick_size: Number
    exercise: Literal["european", "american"]
    settlement: Literal["cash", "physical"]
    oi_unit: Literal["contracts", "units", "coin"]
    volume_unit: Literal["contracts", "units", "coin"]
    oi_cadence: Literal["live", "3min", "daily"]
    oi_as_of: str | None
    flags: tuple[str, ...]
    reasons: dict[str, str]


_SAME: Final = tuple(
    name for name in Chain.__struct_fields__ if name in EnrichedChain.__struct_fields__
)  # taken over as they are
_NUMBERS: Final = frozenset(
    field.name for field in msgspec.structs.fields(Chain) if field.type in (Number, float)
)
_encoder: Final = msgspec.json.Encoder()


def chain_of(
    chain: EnrichedChain,
    layout: Layout,
    window: Window,
    zone: ZoneInfo,
    *,
    flags: Sequence[str] = (),
) -> Chain:
    """A chain as it is shown.

    Args:
        zone: of its times.
        flags: to add to its own, such as that it has expired since.
    """
    calls, puts = _otm_open_interest(chain)
    reasons = {"spot_price" if name == "spot" else name: why for name, why in chain.reasons.items()}
    for name, total in (("call", calls), ("put", puts)):
        if total is None:
            why = "no_spot" if chain.spot is None else f"no_out_of_the_money_{name}_open_interest"
            reasons[f"{name}_buildup_otm"] = why
    made: dict[str, Any] = {name: getattr(chain, name) for name in _SAME}
    made |= {name: _there(made[name]) for name in _SAME if name in _NUMBERS}
    show = rows_of if layout == "rows" else columns_of
    at = picked(chain, window)
    return Chain(
        **made
        | {
            "expiry_time": iso(chain.expiry_ts, zone),
            "timestamp": iso(chain.ts_event, zone),
            "processed_at": iso(chain.ts_recv, zone),
            "spot_price": _there(chain.spot),
            "call_buildup_otm": calls,
            "put_buildup_otm": puts,
            "calls": show(chain, "C", at, zone),
            "puts": show(chain, "P", at, zone),
            "oi_as_of": None if chain.oi_as_of is None else iso(chain.oi_as_of, zone),
            "flags": tuple(dict.fromkeys((*chain.flags, *flags))),
            "reasons": reasons,
        }
    )


def quote_of(chain: EnrichedChain, strike: float, side: OptionSide, zone: ZoneInfo) -> Quote | None:
    """One option of a chain; None where the chain does not list the strike."""
    at = int(np.searchsorted(chain.strikes, strike))
    if at == len(chain.strikes) or chain.strikes[at] != strike:
        return None
    return rows_of(chain, side, slice(at, at + 1), zone)[0]


def chain_table(chains: Sequence[EnrichedChain], window: Window, zone: ZoneInfo) -> Table:
    """The quotes of chains as one table."""
    return Table(zone, table_columns(chains, window))


async def answered(
    seams: Seams,
    media: str,
    meta: Meta,
    rows: int,
    value: Callable[[], msgspec.Struct],
    table: Callable[[], Table],
    *,
    cursor: str | None = None,
    cache_key: object = None,
) -> Answer:
    """What was read, as the media type asked for, named by its content.

    A wide one is rendered in a worker thread. CSV and Arrow have no place for a cursor: it is in
    the header ``X-Next-Cursor``.

    Args:
        rows: how many it has.
        value: makes the JSON answer; table the same as a table.
        cache_key: of what is the same bytes for everybody.

    Cancellation: what is rendered is thrown away.
    """

    def rendered() -> bytes:
        if media == JSON:
            return _encoder.encode(value())
        return encoded(table(), media, _encoder.encode(meta))

    body = await seams.threads.run(rendered) if rows > WIDE else rendered()
    headers = () if cursor is None or media == JSON else (("x-next-cursor", cursor),)
    return Answer(body=body, etag=_digest(body), headers=headers, cache_key=cache_key)


def answered_json(value: msgspec.Struct, *, cache_key: object = None) -> Answer:
    """A small answer, named by its content; `cache_key` as in `answered`."""
    body = _encoder.encode(value)
    return Answer(body=body, etag=_digest(body), cache_key=cache_key)


def _digest(body: bytes) -> str:
    return blake2b(body, digest_size=12).hexdigest()


def _otm_open_interest(chain: EnrichedChain) -> tuple[float | None, float | None]:
    """Sums of the open interest of calls above and puts below spot, as far as it is stated."""
    if chain.spot is None:
        return None, None
    strikes = chain.strikes
    calls = chain["call_oi"][strikes > chain.spot]
    puts = chain["put_oi"][strikes < chain.spot]
    stated = ([v for v in side.tolist() if math.isfinite(v)] for side in (calls, puts))
    call, put = (math.fsum(values) if values else None for values in stated)
    return call, put


def _there(value: Any) -> Any:
    return value if value is None or math.isfinite(value) else None
