"""Max pain: of each expiry, the mean of all, and how one of them went."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import fsum
from typing import Any, Final

import msgspec

from deltastream.analytics.exposure import units_of_interest
from deltastream.analytics.open_interest import coverage
from deltastream.gateway.lookup import Range, history, range_of, stored
from deltastream.gateway.meta import Meta
from deltastream.gateway.routes._analytics import (
    Chosen,
    Hours,
    chosen,
    hours_ns,
    in_turn,
    instant,
    known,
    sent,
)
from deltastream.gateway.routes._history import HistoryParameters, Moment, Series, of_one, together
from deltastream.gateway.routing import ARROW, CSV, JSON, Answer, Call, route
from deltastream.messages import EnrichedChain
from deltastream.storage.protocol import METRICS, MetricRow, Repository, metrics_of

__all__ = ["max_pain"]

Values = Mapping[str, float | None]
Units = Mapping[Series, float | None]

_NOTHING: Final = dict.fromkeys(METRICS)
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
        timestamp: of the chain that changed it.
        spot_price: of the underlying at that time.
        max_pain_strike: of the history's series: the point of the interval nearest spot.
        max_pain_interval: lowest and highest settlement at which its writers pay the same least amount.
        weighted_mean: of all expiries; null where one is named, or nothing has a weight.
    """

    timestamp: str
    spot_price: float | None
    max_pain_strike: float | None
    max_pain_interval: tuple[float, float] | None
    weighted_mean: float | None


class MaxPainHistory(msgspec.Struct, frozen=True, kw_only=True):
    """How max pain of one series went.

    Attributes:
        root, expiry: of the series: the one that was asked for, or the nearest.
        data_points: of `points`.
        points: oldest first; where no expiry is named one whenever any of them changed.
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

    Where no expiry is named, the history is of the nearest, with the mean of all of them. As a table: the
    expiries, or the history where `hours` are asked for.
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
        past = await _history(services.store, now, span, asked)
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
    units = {(chain.root, chain.expiry): units_of_interest(chain) for chain in chains}
    return _weighted(units, {(chain.root, chain.expiry): metrics_of(chain) for chain in chains})


def _weighted(units: Units, values: Mapping[Series, Values]) -> float | None:
    weights, products = [], []
    for series, of in values.items():
        strike, spot, size = of["max_pain_strike"], of["spot"], units.get(series)
        if strike is not None and spot is not None and size is not None:
            totals = (of["total_call_oi"], of["total_put_oi"])
            weights.append(fsum(total for total in totals if total is not None) * size * spot)
            products.append(weights[-1] * strike)
    whole = fsum(weights)
    return fsum(products) / whole if whole > 0 else None


async def _history(store: Repository, now: Chosen, span: Range, asked: MaxPainParameters) -> MaxPainHistory:
    series = now.chains[0]
    with stored():
        if asked.expiry is None:
            moments, after = await together(store, now.product, span, asked)
            units = await _units(store, now, span, moments)
            own = (series.root, series.expiry)
            points = await in_turn(moments, partial(_of_all, now.product, own, units))
        else:
            page = await of_one(store, series, span, asked)
            points, after = await in_turn(page.items, _of_one), page.cursor
    return MaxPainHistory(
        root=series.root,
        expiry=series.expiry,
        data_points=len(points),
        points=points,
        cursor=span.continued(after),
    )


async def _units(store: Repository, now: Chosen, span: Range, moments: list[Moment]) -> Units:
    """Units of the underlying per unit of open interest; of a series that has expired since, too."""
    units = {(chain.root, chain.expiry): units_of_interest(chain) for chain in now.chains}
    for root, expiry in dict.fromkeys(series for moment in moments for series in moment.values):
        if (root, expiry) not in units:
            chain = await store.chain(now.product, expiry=expiry, root=root, at=span.end - 1)
            units[root, expiry] = None if chain is None else units_of_interest(chain)
    return units


def _of_one(row: MetricRow) -> MaxPainPoint:
    return _point(row.product, row.ts_event, row.values, None)


def _of_all(product: str, own: Series, units: Units, moment: Moment) -> MaxPainPoint:
    values = moment.values.get(own, _NOTHING)
    return _point(product, moment.ts, values, _weighted(units, moment.values))


def _point(product: str, ts: int, values: Values, mean: float | None) -> MaxPainPoint:
    low, high = values["max_pain_low"], values["max_pain_high"]
    return MaxPainPoint(
        timestamp=instant(ts, product),
        spot_price=values["spot"],
        max_pain_strike=values["max_pain_strike"],
        max_pain_interval=None if low is None or high is None else (low, high),
        weighted_mean=mean,
    )
