"""Series of an underlying: ticks and bars, ``/api/data/underlying`` and ``/api/data/bars``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
import trio

from deltastream.bus import Bus
from deltastream.errors import BusClosed
from deltastream.gateway.instants import Instant
from deltastream.gateway.lookup import history, moment, nothing_yet, product_named, range_of, stored
from deltastream.gateway.meta import Meta, iso, meta_of, place_of, zone_of
from deltastream.gateway.problems import Problem
from deltastream.gateway.rendering import answered
from deltastream.gateway.routes.chains import ProductName
from deltastream.gateway.routing import ARROW, CSV, JSON, Answer, Call, Route, route
from deltastream.gateway.tables import Column, Table
from deltastream.messages import Bar, UnderlyingTick

__all__ = ["ROUTES", "BarParameters", "BarRow", "Bars", "TickParameters", "TickRow", "Ticks"]

_SECOND: Final = 1_000_000_000
_INTERVALS: Final = {"1m": 60, "5m": 300, "15m": 900}
_PRICES: Final = ("open", "high", "low", "close", "volume")
_BAR_FIELDS: Final = tuple(f"bar.{name}" for name in _PRICES)
_TICK_FIELDS: Final = ("price",)
_MOST_NEWEST: Final = 500
_PATIENCE_S: Final = 2.0

Cursor = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class TickParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which ticks.

    Attributes:
        product: in whatever case.
        start: begin of a range; without one, the newest `limit` ticks.
        end: end of the range, not included; now unless given.
        limit: the most ticks in one answer; 1000 of a range and 1 without one unless given, 500 at
            most without one.
        cursor: of the answer before, to go on with its range.
        at: the last tick at that instant.
    """

    product: ProductName
    start: Instant | None = None
    end: Instant | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=5000)] | None = None
    cursor: Cursor | None = None
    at: Instant | None = None


class TickRow(msgspec.Struct, frozen=True, kw_only=True):
    """One price of an underlying.

    Attributes:
        product: the underlying.
        price: in the product's currency.
        volume: traded since the tick before; null for an index.
        timestamp: when it happened.
        processed_at: when we got it.
        tick_id: the same whenever and wherever this tick is answered.
    """

    product: str
    price: float
    volume: float | None
    timestamp: str
    processed_at: str
    tick_id: str


class Ticks(msgspec.Struct, frozen=True, kw_only=True):
    """Ticks of one product, oldest first.

    Attributes:
        product: the underlying.
        count: of the ticks.
        ticks: oldest first.
        cursor: hand it in to go on; null at the end.
        meta: what the answer says of itself.
    """

    product: str
    count: int
    ticks: list[TickRow]
    cursor: str | None
    meta: Meta


class BarParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which bars.

    Attributes:
        product: in whatever case.
        interval: length of a bar.
        start: the first bar begins here or later; without one, the span of the newest `limit` bars.
        end: bars begin before it; now unless given.
        limit: the most bars in one answer.
        cursor: of the answer before, to go on with its range.
        at: only bars that were complete at that instant.
    """

    product: ProductName
    interval: Literal["1m", "5m", "15m"] = "1m"
    start: Instant | None = None
    end: Instant | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 1000
    cursor: Cursor | None = None
    at: Instant | None = None


class BarRow(msgspec.Struct, frozen=True, kw_only=True):
    """Open, high, low and close over one aligned interval.

    Attributes:
        product: the underlying.
        timestamp: when the interval begins.
        open: price of its first tick.
        high: greatest price.
        low: least price.
        close: price of its last tick.
        volume: sum of what the ticks say; null where none says.
        ticks: how many it is made of.
        complete: whether the interval had ended when this was answered; not whether ticks came throughout,
            see `ticks`.
    """

    product: str
    timestamp: str
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    ticks: int
    complete: bool


class Bars(msgspec.Struct, frozen=True, kw_only=True):
    """Bars of one product, oldest first. An interval without ticks has no bar.

    Attributes:
        product: the underlying.
        interval: length of a bar.
        count: of the bars.
        bars: oldest first.
        cursor: hand it in to go on; null at the end.
        meta: what the answer says of itself.
    """

    product: str
    interval: str
    count: int
    bars: list[BarRow]
    cursor: str | None
    meta: Meta


@route(
    "GET",
    "/api/data/underlying/{product}",
    scope="read:market",
    tag="data",
    parameters=TickParameters,
    answers=Ticks,
    media=(JSON, CSV, ARROW),
    problems=("not_found", "not_acceptable", "store_unavailable"),
)
async def underlying(call: Call[TickParameters, None]) -> Answer:
    """Prices of an underlying: the newest, the one at an instant, or a range.

    In CSV and Arrow the cursor of a range is in the header `X-Next-Cursor`.
    """
    services, asked = call.services, call.parameters
    product = await product_named(services, asked.product)
    zone = zone_of(product)
    if (asked.start, asked.end, asked.cursor, asked.at) != (None, None, None, None):
        history(call.identity)
    if asked.start is not None or asked.end is not None or asked.cursor is not None:
        span = range_of(services, asked.start, asked.end, asked.cursor, asked.at)
        with stored():
            page = await services.store.ticks(
                product, start=span.start, end=span.end, limit=asked.limit or 1000, cursor=span.cursor
            )
        meta = meta_of("store", zone, fields=_TICK_FIELDS)
        return await _ticks(call, product, page.items, meta, span.continued(page.cursor))
    if asked.at is not None:
        at = moment(services, asked.at)
        with stored():
            tick = await services.store.tick(product, at=at)
        if tick is None:
            await nothing_yet(services, product, at, "tick")
        meta = meta_of("store", zone, as_of={"price": tick.ts_event}, fields=_TICK_FIELDS)
        return await _ticks(call, product, [tick], meta, None)
    return await _newest_ticks(call, product)


async def _newest_ticks(call: Call[TickParameters, None], product: str) -> Answer:
    services = call.services
    held = services.live.tick(product)
    if held is None:
        raise Problem("not_found", f"There is no tick of {product} yet.")
    ticks = [held.message]
    count = min(call.parameters.limit or 1, _MOST_NEWEST)
    missing: tuple[str, ...] = ()
    if count > 1:
        found = await _last(services.bus, held.topic, count)
        ticks, missing = (found, ()) if found else (ticks, ("bus_away",))
    newest = ticks[-1].ts_event
    flags = services.live.stale(product, services.seams.clock.now_ns(), newest)
    meta = meta_of(
        "live",
        zone_of(product),
        as_of={"price": newest},
        fields=_TICK_FIELDS,
        flags=(*flags, *missing),
        position=place_of(held) if len(ticks) == 1 else None,
    )
    return await _ticks(call, product, ticks, meta, None)


async def _last(bus: Bus, topic: str, count: int) -> list[UnderlyingTick]:
    """The newest ticks of a topic by their time; none where the bus does not answer soon."""
    with trio.move_on_after(_PATIENCE_S):
        try:
            records = await bus.last(topic, limit=count)
        except BusClosed:
            return []
        found = [one.message for one in records if isinstance(one.message, UnderlyingTick)]
        return sorted(found, key=lambda tick: tick.ts_event)
    return []


async def _ticks(
    call: Call[TickParameters, None],
    product: str,
    ticks: Sequence[UnderlyingTick],
    meta: Meta,
    cursor: str | None,
) -> Answer:
    zone = zone_of(product)

    def value() -> Ticks:
        rows = [
            TickRow(
                product=product,
                price=tick.price,
                volume=tick.volume,
                timestamp=iso(tick.ts_event, zone),
                processed_at=iso(tick.ts_recv, zone),
                tick_id=_tick_id(tick),
            )
            for tick in ticks
        ]
        return Ticks(product=product, count=len(rows), ticks=rows, cursor=cursor, meta=meta)

    def table() -> Table:
        return Table(
            zone,
            {
                "timestamp": Column("time", [tick.ts_event for tick in ticks]),
                "product": Column("text", [product] * len(ticks)),
                "price": Column("number", [tick.price for tick in ticks]),
                "volume": Column("number", [tick.volume for tick in ticks]),
                "processed_at": Column("time", [tick.ts_recv for tick in ticks]),
                "tick_id": Column("text", [_tick_id(tick) for tick in ticks]),
            },
        )

    seams = call.services.seams
    return await answered(seams, call.media, meta, len(ticks), value, table, cursor=cursor)


def _tick_id(tick: UnderlyingTick) -> str:
    """Made of what the bus and the store both know of it."""
    return f"{tick.product}:{tick.ts_event}:{tick.ts_recv}"


@route(
    "GET",
    "/api/data/bars/{product}",
    scope="read:history",
    tag="data",
    parameters=BarParameters,
    answers=Bars,
    media=(JSON, CSV, ARROW),
    problems=("not_found", "not_acceptable", "store_unavailable"),
)
async def bars(call: Call[BarParameters, None]) -> Answer:
    """Bars of an underlying, aligned to the clock.

    In CSV and Arrow the cursor of a range is in the header `X-Next-Cursor`.
    """
    services, asked = call.services, call.parameters
    product = await product_named(services, asked.product)
    length = _INTERVALS[asked.interval] * _SECOND
    at = moment(services, asked.at)
    until = services.seams.clock.now_ns() + 1 if at is None else at - length + 1  # complete by then
    newest = services.live.newest(product)
    last = until if newest is None else min(until, newest + 1)
    begin = (last - 1) // length * length - (asked.limit - 1) * length
    span = range_of(services, asked.start, asked.end, asked.cursor, asked.at, begin=begin, until=until)
    with stored():
        page = await services.store.bars(
            product,
            interval_s=_INTERVALS[asked.interval],
            start=span.start,
            end=span.end,
            limit=asked.limit,
            cursor=span.cursor,
        )
    return await _bars(call, product, page.items, span.continued(page.cursor))


async def _bars(
    call: Call[BarParameters, None], product: str, found: Sequence[Bar], cursor: str | None
) -> Answer:
    zone, now, interval = zone_of(product), call.services.seams.clock.now_ns(), call.parameters.interval
    meta = meta_of("store", zone, fields=_BAR_FIELDS)

    def complete(bar: Bar) -> bool:
        return bar.start + bar.interval_s * _SECOND <= now

    def value() -> Bars:
        rows = [
            BarRow(
                product=product,
                timestamp=iso(bar.start, zone),
                open=bar.open,
                high=bar.high,
                low=bar.low,
                close=bar.close,
                volume=bar.volume,
                ticks=bar.ticks,
                complete=complete(bar),
            )
            for bar in found
        ]
        return Bars(product=product, interval=interval, count=len(rows), bars=rows, cursor=cursor, meta=meta)

    def table() -> Table:
        numbers = {name: Column("number", [getattr(bar, name) for bar in found]) for name in _PRICES}
        return Table(
            zone,
            {
                "timestamp": Column("time", [bar.start for bar in found]),
                "product": Column("text", [product] * len(found)),
                **numbers,
                "ticks": Column("count", [bar.ticks for bar in found]),
                "complete": Column("text", ["true" if complete(bar) else "false" for bar in found]),
            },
        )

    seams = call.services.seams
    return await answered(seams, call.media, meta, len(found), value, table, cursor=cursor)


ROUTES: Final[tuple[Route, ...]] = (underlying, bars)
