"""Put-call ratios: of each expiry, of all together, and how they went."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import fsum
from typing import Annotated, Any, Final

import msgspec

from deltastream.analytics.open_interest import ratio
from deltastream.gateway.lookup import history, range_of, stored
from deltastream.gateway.meta import Meta
from deltastream.gateway.routes._analytics import (
    MOST_HOURS,
    Chosen,
    chosen,
    common,
    hours_ns,
    in_turn,
    instant,
    sent,
)
from deltastream.gateway.routes._history import HistoryParameters, Moment, of_one, together
from deltastream.gateway.routing import ARROW, CSV, JSON, Answer, Call, route
from deltastream.messages import EnrichedChain
from deltastream.storage.protocol import MetricRow

__all__ = ["pcr"]

Sums = Mapping[str, float | None]

_SUMS: Final = ("total_call_oi", "total_put_oi", "total_call_volume", "total_put_volume")
_CHANGES: Final = ("call_oi_change", "put_oi_change")
_FIELDS: Final = ("pcr_oi", "pcr_volume", "pcr_oi_change", "net_oi_change", *_SUMS, *_CHANGES)


class PcrParameters(HistoryParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which expiries, and how much of the history.

    Attributes:
        hours: of history, up to `at` or to the newest data; 0 for none of it.
    """

    hours: Annotated[float, msgspec.Meta(ge=0, le=MOST_HOURS)] = 1.0


class PcrPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The ratios at one instant.

    Attributes:
        timestamp: of the chain that changed them.
        expiry: null where they are of all expiries together.
        series: how many chains are in it.
        pcr_oi, pcr_volume: put over call; null where a sum is, or that of the calls is 0.
        total_call_oi, total_put_oi: in `oi_unit`.
        total_call_volume, total_put_volume: in `volume_unit`.
    """

    timestamp: str
    expiry: str | None
    series: int
    pcr_oi: float | None
    pcr_volume: float | None
    total_call_oi: float | None
    total_put_oi: float | None
    total_call_volume: float | None
    total_put_volume: float | None


class PutCall(msgspec.Struct, frozen=True, kw_only=True):
    """The ratios now, of one expiry or of all together.

    Attributes:
        root, expiry: of the series; null where it is all of them.
        timestamp: of the newest chain in it.
        pcr_oi, pcr_volume: put over call.
        pcr_oi_change: change of the puts' open interest over that of the calls'; the signs may differ.
        net_oi_change: change of the puts' open interest less that of the calls'.
        total_call_oi, total_put_oi, call_oi_change, put_oi_change: in `oi_unit`.
        total_call_volume, total_put_volume: in `volume_unit`.
        oi_unit, volume_unit: "contracts", "units" or "coin".
        reasons: why fields are null, by name.
    """

    root: str | None
    expiry: str | None
    timestamp: str
    pcr_oi: float | None
    pcr_volume: float | None
    pcr_oi_change: float | None
    net_oi_change: float | None
    total_call_oi: float | None
    total_put_oi: float | None
    total_call_volume: float | None
    total_put_volume: float | None
    call_oi_change: float | None
    put_oi_change: float | None
    oi_unit: str | None
    volume_unit: str | None
    reasons: dict[str, str]


class Pcr(msgspec.Struct, frozen=True, kw_only=True):
    """Put-call ratios.

    Attributes:
        product: underlying symbol.
        data_points: of `pcr_trend`.
        pcr_trend: oldest first: of the expiry where one is named, else of all expiries together.
        cursor: continues the trend; null at its end.
        all: every expiry together, now.
        expiries: each of them, now.
        meta: what the answer says of itself.
    """

    product: str
    data_points: int
    pcr_trend: list[PcrPoint]
    cursor: str | None
    all: PutCall
    expiries: list[PutCall]
    meta: Meta


@route(
    "GET",
    "/api/analytics/pcr/{product}",
    scope="read:market",
    tag="analytics",
    parameters=PcrParameters,
    answers=Pcr,
    media=(JSON, CSV, ARROW),
    problems=("not_found", "store_unavailable"),
    cost=5,
)
async def pcr(call: Call[PcrParameters, None]) -> Answer:
    """Put-call ratios: the trend, and now, by expiry and of all expiries together.

    The trend needs the scope `read:history`, and the store; with `hours=0` there is none of it. As a table:
    the trend.
    """
    asked = call.parameters
    now = await chosen(call, asked)
    points, cursor = await _trend(call, now) if asked.hours or asked.cursor else ([], None)
    body = Pcr(
        product=now.product,
        data_points=len(points),
        pcr_trend=points,
        cursor=cursor,
        all=_now(now.chains, None, None),
        expiries=[_now([chain], chain.root, chain.expiry) for chain in now.chains],
        meta=now.meta(*_FIELDS),
    )
    return await sent(call, body, points, PcrPoint, cursor=body.cursor)


async def _trend(call: Call[PcrParameters, None], now: Chosen) -> tuple[list[PcrPoint], str | None]:
    """The history that is asked for, and where it goes on."""
    asked, services = call.parameters, call.services
    history(call.identity)
    begin = now.until - hours_ns(asked.hours)
    span = range_of(services, None, None, asked.cursor, None, begin=begin, until=now.until)
    with stored():
        if asked.expiry is None:
            moments, after = await together(services.store, now.product, span, asked)
            points = await in_turn(moments, partial(_of_all, now.product))
        else:
            page = await of_one(services.store, now.chains[0], span, asked)
            points, after = await in_turn(page.items, _of_one), page.cursor
    return points, span.continued(after)


def _of_one(row: MetricRow) -> PcrPoint:
    return _point(row.product, row.ts_event, row.expiry, row.values)


def _of_all(product: str, moment: Moment) -> PcrPoint:
    live = list(moment.values.values())
    return _point(product, moment.ts, None, _sums(live, _SUMS), len(live))


def _point(product: str, ts: int, expiry: str | None, values: Sums, series: int = 1) -> PcrPoint:
    sums = {name: values[name] for name in _SUMS}
    return PcrPoint(
        timestamp=instant(ts, product),
        expiry=expiry,
        series=series,
        pcr_oi=ratio(sums["total_put_oi"], sums["total_call_oi"]),
        pcr_volume=ratio(sums["total_put_volume"], sums["total_call_volume"]),
        **sums,
    )


def _now(chains: list[EnrichedChain], root: str | None, expiry: str | None) -> PutCall:
    """The ratios of chains together; null where they count in different units."""
    units = {name: common(getattr(chain, name) for chain in chains) for name in ("oi_unit", "volume_unit")}
    values: dict[str, Any] = {}
    for name in (*_SUMS, *_CHANGES):
        counted = chains if units[_unit_of(name)] else []
        values |= _sums([{name: getattr(chain, name)} for chain in counted], (name,))
    calls, puts = values["call_oi_change"], values["put_oi_change"]
    values["pcr_oi"] = ratio(values["total_put_oi"], values["total_call_oi"])
    values["pcr_volume"] = ratio(values["total_put_volume"], values["total_call_volume"])
    values["pcr_oi_change"] = ratio(puts, calls)
    values["net_oi_change"] = None if calls is None or puts is None else puts - calls
    reasons = {
        name: _why(name, values, chains) if units[_unit_of(name)] else "mixed_units"
        for name, value in values.items()
        if value is None
    }
    return PutCall(
        root=root,
        expiry=expiry,
        timestamp=instant(max(chain.ts_event for chain in chains), chains[0].product),
        reasons=reasons,
        **units,
        **values,
    )


def _unit_of(name: str) -> str:
    return "volume_unit" if name.endswith("volume") else "oi_unit"


def _why(name: str, values: Sums, chains: list[EnrichedChain]) -> str:
    """Why a number is null: what the chains say of it, or of what it is made of."""
    if name in ("pcr_oi_change", "net_oi_change"):
        if values["call_oi_change"] == 0 and values["put_oi_change"] is not None:
            return "call_oi_change_is_zero"
        name = "call_oi_change" if values["call_oi_change"] is None else "put_oi_change"
    return next((chain.reasons[name] for chain in chains if name in chain.reasons), "not_given")


def _sums(parts: list[Any], names: tuple[str, ...]) -> dict[str, float | None]:
    """Sums by name over what is known."""
    sums: dict[str, float | None] = {}
    for name in names:
        known = [value for part in parts if (value := part[name]) is not None]
        sums[name] = fsum(known) if known else None
    return sums
