"""The volatility surface of a product."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec
import numpy as np

from deltastream.analytics.logarithm import log
from deltastream.gateway.lookup import history, moment, nothing_yet, product_named, stored
from deltastream.gateway.meta import Meta, meta_of, place_of, zone_of
from deltastream.gateway.routes._analytics import (
    ProductParameters,
    identity_of,
    in_turn,
    instant,
    known,
    numbers,
    sent,
)
from deltastream.gateway.routing import ARROW, CSV, JSON, Answer, Call, route
from deltastream.messages import SurfaceSlice

__all__ = ["volatility_surface"]

_FIELDS: Final = ("ivs", "log_moneyness", "avg_iv", "atm_iv", "forward", "t")


class SurfaceOfExpiry(msgspec.Struct, frozen=True, kw_only=True):
    """One expiry of a surface: out-of-the-money mid volatilities by strike.

    Attributes:
        root, expiry: of the series.
        timestamp: of its chain.
        strikes: ascending.
        ivs: fraction per year, of puts below the forward and of calls from it on; null where there is no
            two-sided quote, or no volatility that gives its mid.
        log_moneyness: ln(strike / forward) of each strike.
        avg_iv: mean of `ivs`.
        atm_iv: at the forward, interpolated in total variance.
        forward: price for this expiry.
        t: years of 365 days to the expiry instant.
        reasons: why fields are null, by name.
    """

    root: str
    expiry: str
    timestamp: str
    strikes: list[float]
    ivs: list[float | None]
    log_moneyness: list[float | None]
    avg_iv: float | None
    atm_iv: float | None
    forward: float
    t: float
    reasons: dict[str, str]


class SurfacePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a surface, as a line of a table."""

    root: str
    expiry: str
    timestamp: str
    t: float
    forward: float
    strike: float
    log_moneyness: float | None
    iv: float | None


class Surface(msgspec.Struct, frozen=True, kw_only=True):
    """A volatility surface.

    Attributes:
        product: underlying symbol.
        expiries: nearest first; series without time to expiry or without a forward are not part of it.
        timestamp: of the newest chain in it.
        meta: what the answer says of itself.
    """

    product: str
    expiries: list[SurfaceOfExpiry]
    timestamp: str
    meta: Meta


@route(
    "GET",
    "/api/analytics/volatility-surface/{product}",
    scope="read:market",
    tag="analytics",
    parameters=ProductParameters,
    answers=Surface,
    media=(JSON, CSV, ARROW),
    problems=("not_found", "store_unavailable"),
    cost=5,
)
async def volatility_surface(call: Call[ProductParameters, None]) -> Answer:
    """The volatility surface: smile and forward of every expiry. As a table: a line for each strike."""
    asked, services = call.parameters, call.services
    at = moment(services, asked.at)
    if at is not None:
        history(call.identity)
    product = await product_named(services, asked.product)
    held = services.live.surface(product) if at is None else None
    found = None if held is None else held.message
    if at is not None:
        with stored():
            found = await services.store.surface(product, at=at)
    if found is None:
        await nothing_yet(services, product, at, "surface")
    now = services.seams.clock.now_ns()
    flags = services.live.stale(product, now, found.ts_event) if at is None else ()
    identity = None if held is None else (product, identity_of(held), flags)
    if (answer := known(call, identity)) is not None:
        return answer
    body = Surface(
        product=product,
        expiries=await in_turn(found.slices, partial(_of, product), lambda part: len(part.strikes)),
        timestamp=instant(found.ts_event, product),
        meta=meta_of(
            "live" if at is None else "store",
            zone_of(product),
            as_of={"quotes": found.ts_event},
            fields=_FIELDS,
            flags=flags,
            position=None if held is None else place_of(held),
        ),
    )
    rows = [] if call.media == JSON else _points(body)
    return await sent(call, body, rows, SurfacePoint, identity=identity)


def _of(product: str, part: SurfaceSlice) -> SurfaceOfExpiry:
    why = {"avg_iv": "no_out_of_the_money_volatility", "atm_iv": "no_volatility_around_forward"}
    return SurfaceOfExpiry(
        root=part.root,
        expiry=part.expiry,
        timestamp=instant(part.ts_event, product),
        strikes=list(part.strikes),
        ivs=list(part.ivs),
        log_moneyness=numbers(log(np.array(part.strikes) / part.forward)),
        avg_iv=part.avg_iv,
        atm_iv=part.atm_iv,
        forward=part.forward,
        t=part.t,
        reasons={name: code for name, code in why.items() if getattr(part, name) is None},
    )


def _points(surface: Surface) -> list[SurfacePoint]:
    return [
        SurfacePoint(
            root=part.root,
            expiry=part.expiry,
            timestamp=part.timestamp,
            t=part.t,
            forward=part.forward,
            strike=strike,
            log_moneyness=k,
            iv=iv,
        )
        for part in surface.expiries
        for strike, k, iv in zip(part.strikes, part.log_moneyness, part.ivs, strict=True)
    ]
