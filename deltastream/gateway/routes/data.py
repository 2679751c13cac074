"""Market data: ``/api/data``."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from deltastream.gateway.instants import Instant
from deltastream.gateway.live import Live
from deltastream.gateway.lookup import history, moment, product_named, stored
from deltastream.gateway.meta import Meta, iso, meta_of, zone_of
from deltastream.gateway.rendering import answered_json
from deltastream.gateway.routes import chains, series
from deltastream.gateway.routes.chains import ProductName
from deltastream.gateway.routing import Answer, Call, NoParameters, Route, route
from deltastream.market import products as market_products

__all__ = ["ROUTES", "Expiries", "ExpiryParameters", "ProductRow", "Products", "Series"]


class ProductRow(msgspec.Struct, frozen=True, kw_only=True):
    """One product.

    Attributes:
        product: its symbol.
        name, exchange, currency: of the tables; null where they do not know it.
        time_zone: of its exchange and of the times here.
        roots: contract families, of the tables.
        price: of its latest tick.
        timestamp: of that tick.
        status: of its market; null where nobody has told.
        reason: why that is so.
        since: when that began.
    """

    product: str
    name: str | None
    exchange: str | None
    currency: str | None
    time_zone: str
    roots: tuple[str, ...]
    price: float | None
    timestamp: str | None
    status: Literal["open", "closed", "halted", "stale", "degraded"] | None
    reason: str | None
    since: str | None


class Products(msgspec.Struct, frozen=True, kw_only=True):
    """The products with data.

    Attributes:
        products: their symbols, in order.
        details: of each of them, in the same order.
        meta: what the answer says of itself.
    """

    products: list[str]
    details: list[ProductRow]
    meta: Meta


class ExpiryParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose expiries, and when.

    Attributes:
        product: in whatever case.
        expired: those too whose time has passed, as far as history goes back.
        at: as they were known at that instant; now unless given.
    """

    product: ProductName
    expired: bool = False
    at: Instant | None = None


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One chain series.

    Attributes:
        root: contract family.
        expiry: last trading date, in exchange time.
        expiry_time: when its contracts end.
        first_timestamp: of its first chain, where history was asked.
        timestamp: of its latest chain.
    """

    root: str
    expiry: str
    expiry_time: str
    first_timestamp: str | None
    timestamp: str


class Expiries(msgspec.Struct, frozen=True, kw_only=True):
    """Expiries of a product, nearest first.

    Attributes:
        product: the underlying.
        expiries: their dates.
        series: one for each root of an expiry.
        meta: what the answer says of itself.
    """

    product: str
    expiries: list[str]
    series: list[Series]
    meta: Meta


@route("GET", "/api/data/products", scope="read:market", tag="data", answers=Products)
async def products(call: Call[NoParameters, None]) -> Answer:
    """The products with data, and how their markets are."""
    live = call.services.live
    names = live.products()
    details = [_product_row(live, name) for name in names]
    meta = meta_of("live", zone_of(""), fields=("price",), flags=live.away())
    return answered_json(Products(products=names, details=details, meta=meta))


def _product_row(live: Live, name: str) -> ProductRow:
    zone, held, told = zone_of(name), live.tick(name), live.status(name)
    tick = None if held is None else held.message
    status = None if told is None else told.message
    known = next((one for one in market_products() if one.symbol == name), None)
    return ProductRow(
        product=name,
        name=None if known is None else known.name,
        exchange=None if known is None else known.exchange,
        currency=None if known is None else known.currency,
        time_zone=zone.key,
        roots=() if known is None else known.roots,
        price=None if tick is None else tick.price,
        timestamp=None if tick is None else iso(tick.ts_event, zone),
        status=None if status is None else status.status,
        reason=None if status is None else status.reason,
        since=None if status is None else iso(status.since, zone),
    )


@route(
    "GET",
    "/api/data/expiries/{product}",
    scope="read:market",
    tag="data",
    parameters=ExpiryParameters,
    answers=Expiries,
    problems=("not_found", "store_unavailable"),
)
async def expiries(call: Call[ExpiryParameters, None]) -> Answer:
    """The expiries of a product: those that are live, or all that history knows."""
    services, asked = call.services, call.parameters
    product = await product_named(services, asked.product)
    zone, at = zone_of(product), moment(services, asked.at)
    if at is not None or asked.expired:
        history(call.identity)
    if at is None and not asked.expired:
        found = [
            Series(
                root=held.message.root,
                expiry=held.message.expiry,
                expiry_time=iso(held.message.expiry_ts, zone),
                first_timestamp=None,
                timestamp=iso(held.message.ts_event, zone),
            )
            for held in services.live.chains(product)
        ]
        flags = services.live.stale(product, services.seams.clock.now_ns())
        meta = meta_of("live", zone, flags=flags)
    else:
        with stored():
            known = await services.store.expiries(product, at=at)
        found = [
            Series(
                root=one.root,
                expiry=one.expiry,
                expiry_time=iso(one.expiry_ts, zone),
                first_timestamp=iso(one.first_ts, zone),
                timestamp=iso(one.last_ts, zone),
            )
            for one in known
            if asked.expired or at is None or one.expiry_ts > at
        ]
        meta = meta_of("store", zone)
    dates = list(dict.fromkeys(one.expiry for one in found))
    return answered_json(Expiries(product=product, expiries=dates, series=found, meta=meta))


ROUTES: Final[tuple[Route, ...]] = (products, expiries, *chains.ROUTES, *series.ROUTES)
