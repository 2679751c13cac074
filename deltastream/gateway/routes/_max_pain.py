"""Max pain: of each expiry, the mean of all, and how one of them went."""

from __future__ import annotations

from math import fsum
from typing import Any, Final

import msgspec

from deltastream.analytics.exposure import units_of_interest
from deltastream.analytics.open_interest import coverage
from deltastream.gateway.lookup import Range, history, range_of, stored
from deltastream.gateway.meta import Meta
from deltastream.gateway.routes._analytics import (
    HistoryParameters,
    Hours,
    chosen,
    hours_ns,
    in_turn,
    instant,
    known,
    sent,
)
from deltastream.gateway.routing import ARROW, CSV, JSON, Answer, Call, route
from deltastream.messages import EnrichedChain
from deltastream.storage.protocol import MetricRow, Repository

__all__ = ["max_pain"]

_FIELDS: Final = (
    *("spot_price", "max_pain_strike", "max_pain_interval", "max_pain_value", "distance_from_spot"),
    *("distance_pct", "total_call_oi", "total_put_oi", "oi_coverage", "weighted_mean"),
)


class MaxPainParameters(HistoryParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which expiries, and how much of the history.

    Attributes:
        hours: of history, up to `at` or to the newest data; none of it unless given.
    """

    hours: Hours | None = None


class MaxPainOfExpiry(msgspec.Struct, frozen=True, kw_only=True):
    """Where the writers of one expiry's open contracts would pay least.

    Attributes:
        root, expiry: of the series.
        timestamp: of the chain.
        spot_price: of the underlying at that time.
        max_pain_strike: the point of the interval nearest spot.
        max_pain_interval: lowest and highest settlement at which they pay the same least amount.
        max_pain_value: that amount, in price points times `oi_unit`.
        distance_from_spot: `max_pain_strike` less spot.
        distance_pct: likewise, in per cent of spot.
        total_call_oi, total_put_oi: open interest of a side, in `oi_unit`.
        oi_coverage: share of the listed contracts whose open interest is stated: of a part of a chain, max
            pain may lie anywhere.
        oi_unit: "contracts", "units" or "coin".
        reasons: why fields are null, by name.
    """

    root: str
    expiry: str
    timestamp: str
    spot_price: float | None
    max_pain_strike: float | None
    max_pain_interval: tuple[float, float] | None
    max_pain_value: float | None
    distance_from_spot: float | None
    distance_pct: float | None
    total_call_oi: float | None
    total_put_oi: float | None
    oi_coverage: float | None
    oi_unit: str
    reasons: dict[str, str]


class MaxPainPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Max pain at one instant.

    Attributes:
        timestamp: of the chain.
        spot_price: of the underlying at that time.
        max_pain_strike: the point of the interval nearest spot.
        max_pain_interval: lowest and highest settlement at which writers pay the same least amount.
    """

    timestamp: str
    spot_price: float | None
    max_pain_strike: float | None
    max_pain_interval: tuple[float, float] | None


class MaxPainHistory(msgspec.Struct, frozen=True, kw_only=True):
    """How max pain of one series went.

    Attributes:
        root, expiry: of the series: the one that was asked for, or the nearest.
        data_points: of `points`.
        points: oldest first.
        cursor: continues them; null at the end.
    """

    root: str
    expiry: str
    data_points: int
    points: list[MaxPainPoint]
    cursor: str | None


class MaxPain(msgspec.Struct, frozen=True, kw_only=True):
    """Max pain. It tells where writers would pay least, not where prices go.

    Attributes:
        product: underlying symbol.
        expiries: nearest first.
        weighted_mean: of their strikes, by open interest x multiplier x spot; null where there is none.
        history: where `hours` are asked for.
        meta: what the answer says of itself.
    """

    product: str
    expiries: list[MaxPainOfExpiry]
    weighted_mean: float | None
    history: MaxPainHistory | None
    meta: Meta


@route(
    "GET",
    "/api/analytics/max-pain/{product}",
    scope="read:market",
    tag="analytics",
    parameters=MaxPainParameters,
    answers=MaxPain,
    media=(JSON, CSV, ARROW),
    problems=("not_found", "store_unavailable"),
    cost=5,
)
async def max_pain(call: Call[MaxPainParameters, None]) -> Answer:
    """Max pain of every expiry, or of one, with its history.

    As a table: the expiries, or the history where `hours` are asked for.
    """
    asked, services = call.parameters, call.services
    now = await chosen(call, asked)
    past = None
    if asked.hours is None and asked.cursor is None:
        if (answer := known(call, now.identity)) is not None:
            return answer
    else:
        history(call.identity)
        begin = now.until - hours_ns(asked.hours or 1.0)
        span = range_of(services, None, None, asked.cursor, None, begin=begin, until=now.until)
        past = await _history(services.store, now.chains[0], span, asked.limit)
    mean = _mean(now.chains)
    body = MaxPain(
        product=now.product,
        expiries=[_of(chain) for chain in now.chains],
        weighted_mean=mean,
        history=past,
        meta=now.meta(*_FIELDS, reasons={} if mean is not None else {"weighted_mean": "no_weight"}),
    )
    if past is not None:
        return await sent(call, body, past.points, MaxPainPoint, cursor=past.cursor)
    return await sent(call, body, body.expiries, MaxPainOfExpiry, identity=now.identity)


def _of(chain: EnrichedChain) -> MaxPainOfExpiry:
    strike, spot = chain.max_pain_strike, chain.spot
    away = None if strike is None or spot is None else strike - spot
    values: dict[str, Any] = {
        "spot_price": spot,
        "max_pain_strike": strike,
        "max_pain_interval": chain.max_pain_interval,
        "max_pain_value": chain.max_pain_value,
        "distance_from_spot": away,
        "distance_pct": None if away is None or not spot else away / spot * 100.0,
        "total_call_oi": chain.total_call_oi,
        "total_put_oi": chain.total_put_oi,
        "oi_coverage": coverage(chain),
    }
    lacking = chain.reasons.get("max_pain_strike") or chain.reasons.get("spot")
    why = {
        "spot_price": chain.reasons.get("spot"),
        "distance_from_spot": lacking,
        "distance_pct": lacking,
        "oi_coverage": "no_strikes",
    }
    return MaxPainOfExpiry(
        root=chain.root,
        expiry=chain.expiry,
        timestamp=instant(chain.ts_event, chain.product),
        oi_unit=chain.oi_unit,
        reasons={
            name: why.get(name) or chain.reasons.get(name, "not_given")
            for name, value in values.items()
            if value is None
        },
        **values,
    )


def _mean(chains: list[EnrichedChain]) -> float | None:
    """Mean of the strikes by open interest in currency; None where nothing has a weight."""
    weights, products = [], []
    for chain in chains:
        units = units_of_interest(chain)
        if chain.max_pain_strike is not None and units is not None and chain.spot is not None:
            interest = fsum(total for total in (chain.total_call_oi, chain.total_put_oi) if total is not None)
            weights.append(interest * units * chain.spot)
            products.append(weights[-1] * chain.max_pain_strike)
    whole = fsum(weights)
    return fsum(products) / whole if whole > 0 else None


async def _history(store: Repository, series: EnrichedChain, span: Range, limit: int) -> MaxPainHistory:
    with stored():
        page = await store.metrics(
            series.product,
            expiry=series.expiry,
            root=series.root,
            start=span.start,
            end=span.end,
            limit=limit,
            cursor=span.cursor,
        )
    return MaxPainHistory(
        root=series.root,
        expiry=series.expiry,
        data_points=len(page.items),
        points=await in_turn(page.items, _point),
        cursor=span.continued(page.cursor),
    )


def _point(row: MetricRow) -> MaxPainPoint:
    low, high = row.values["max_pain_low"], row.values["max_pain_high"]
    return MaxPainPoint(
        timestamp=instant(row.ts_event, row.product),
        spot_price=row.values["spot"],
        max_pain_strike=row.values["max_pain_strike"],
        max_pain_interval=None if low is None or high is None else (low, high),
    )
